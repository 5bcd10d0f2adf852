"""A live stream through the hosts: gaps, segments, and processes that die while no picture comes twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.budget import Limits
from pipeline.executor import HostDiedError
from stages.results import Layout
from tests.pipeline.driving import drive
from tests.pipeline.toy import (
    FIRST_RESULTS,
    Deaths,
    ExecutorName,
    Fault,
    ToySource,
    make_factory,
    read_results,
)

LIMITS = Limits(window_frames=2, run_frames=2)


def live_source(folder: Path, num_frames: int = 5, gaps: tuple[int, ...] = ()) -> ToySource:
    return ToySource(num_frames=num_frames, is_live=True, shown=folder / "shown", gaps=gaps)


def results_of(output: Path, segment: int) -> list[tuple[int, int]]:
    return read_results(Layout(output).segment(segment).directory)


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_live_stream_has_the_results_of_a_file_in_its_one_segment(
    tmp_path: Path, executor: ExecutorName
) -> None:
    driver = drive(tmp_path, executor, source=live_source(tmp_path), limits=LIMITS)
    assert driver.complete
    assert results_of(tmp_path, 0) == list(enumerate(FIRST_RESULTS))


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_behind_a_gap_a_frame_is_fused_with_itself_but_the_memory_goes_on(
    tmp_path: Path, executor: ExecutorName
) -> None:
    drive(tmp_path, executor, source=live_source(tmp_path, gaps=(2,)), limits=LIMITS)
    assert results_of(tmp_path, 0) == [(0, 1), (1, 113)]
    # 113 + 3 of itself; then 4 + 10 * 3 + 100 * 1; then 5 + 10 * 4 + 100 * 1
    assert results_of(tmp_path, 2) == [(2, 116), (3, 250), (4, 395)]


def test_a_run_ends_with_its_segment(tmp_path: Path) -> None:
    source, limits = live_source(tmp_path, gaps=(1, 4)), Limits(window_frames=2, run_frames=10)
    drive(tmp_path, "inline", source=source, limits=limits)
    assert [index for segment in (0, 1, 4) for index, _ in results_of(tmp_path, segment)] == [0, 1, 2, 3, 4]
    assert len(results_of(tmp_path, 1)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "call"), [("features", 3), ("track", 3), ("panoptic", 3), ("encode", 3), ("encode", 4)]
)  # the encoder's fifth call joins the first segment
def test_a_process_that_dies_costs_no_picture_of_a_live_source(tmp_path: Path, stage: str, call: int) -> None:
    source = live_source(tmp_path, num_frames=12, gaps=(6,))
    deaths = [Deaths(stage=stage, calls=[call], tally=tmp_path / "tally", joining=True)]
    driver = drive(
        tmp_path, "ray", "split", source=source, factory=make_factory(deaths=deaths), limits=LIMITS
    )
    golden = tmp_path / "golden"
    golden.mkdir()
    drive(golden, "inline", source=live_source(golden, num_frames=12, gaps=(6,)), limits=LIMITS)
    assert driver.complete
    assert len(driver.restarts.all()) >= 1
    assert (tmp_path / "shown").stat().st_size == 13  # each once, and the end
    for segment in (0, 6):
        assert results_of(tmp_path, segment) == results_of(golden, segment)


@pytest.mark.slow
def test_an_encoder_that_dies_over_every_joining_fails_the_stream(tmp_path: Path) -> None:
    deaths = [Deaths(stage="encode", calls=range(4, 100), tally=tmp_path / "tally", joining=True)]
    source, factory = live_source(tmp_path, num_frames=12, gaps=(6,)), make_factory(deaths=deaths)
    driver = drive(tmp_path, "ray", "split", source=source, factory=factory, limits=LIMITS)
    assert isinstance(driver.error, HostDiedError)
    assert driver.ended


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_after_a_joining_that_failed_no_run_is_written(tmp_path: Path, executor: ExecutorName) -> None:
    fault = Fault(stage="encode", index=0, kind="raise while joining")
    source, factory = live_source(tmp_path, num_frames=12, gaps=(6,)), make_factory(fault=fault)
    driver = drive(tmp_path, executor, source=source, factory=factory, limits=LIMITS)
    assert driver.error is not None
    assert "boom" in str(driver.error)
    assert driver.num_written == 8, "the first run of the next segment stood before it"
    assert [index for index, _ in results_of(tmp_path, 6)] == [6, 7]


@pytest.mark.slow
def test_the_decoder_of_a_live_source_that_dies_costs_the_pictures_shown_meanwhile(tmp_path: Path) -> None:
    deaths = [Deaths(stage="decode", calls=[3], tally=tmp_path / "tally")]
    source = live_source(tmp_path, num_frames=6)
    driver = drive(tmp_path, "ray", source=source, factory=make_factory(deaths=deaths), limits=LIMITS)
    assert driver.complete
    assert [index for index, _ in results_of(tmp_path, 0)] == [0, 1, 2, 3, 4, 5]
