"""Processes that die: no frame is lost, none comes twice, and all results are as if nothing had happened."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from pipeline.budget import Limits
from pipeline.executor import HostDiedError
from pipeline.graph import ENCODE, GRAPH
from pipeline.placement import make_plan
from pipeline.shares import Entry, ranges_of
from tests.pipeline.driving import drive, drive_all
from tests.pipeline.toy import (
    FIRST_RESULTS,
    Deaths,
    Placement,
    ToySource,
    make_factory,
    make_settings,
    read_results,
)

pytestmark = pytest.mark.slow

STAGES = (*(node.name for node in GRAPH), ENCODE)
LIMITS = Limits(window_frames=4, run_frames=4)


def deaths_of(stage: str, calls: Collection[int], folder: Path) -> Deaths:
    return Deaths(stage=stage, calls=calls, tally=folder / f"{stage}.tally")


def frames_of(stage: str, entries: Sequence[Entry]) -> list[int]:
    """All that a stage did, whatever the process."""
    ranges = [both for entry in entries if stage in entry["stages"] for both in ranges_of(entry["frames"])]
    return sorted(index for first, last in ranges for index in range(first, last + 1))


def undisturbed(folder: Path, num_frames: int) -> list[tuple[int, int]]:
    folder.mkdir()
    drive(folder, "inline", source=ToySource(num_frames=num_frames), limits=LIMITS)
    return read_results(folder)


@pytest.mark.parametrize(
    ("placement", "replicas", "batch_frames"), [("split", 1, 1), ("fused", 1, 1), ("fused", 2, 2)]
)
def test_the_results_are_the_same_after_deaths_of_every_stage(
    tmp_path: Path, placement: Placement, replicas: int, batch_frames: int
) -> None:
    num_frames = 40
    golden = undisturbed(tmp_path / "golden", num_frames)
    rng = random.Random(5)
    ends = {ENCODE: num_frames // LIMITS.run_frames}  # it is called once a run
    deaths = [deaths_of(stage, [rng.randrange(1, ends.get(stage, num_frames))], tmp_path) for stage in STAGES]
    driver = drive(
        tmp_path,
        "ray",
        placement,
        source=ToySource(num_frames=num_frames),
        factory=make_factory(deaths=deaths),
        limits=LIMITS,
        replicas=replicas,
        batch_frames=batch_frames,
    )
    assert driver.error is None
    assert read_results(tmp_path) == golden
    assert (driver.num_done, driver.num_written) == (num_frames, num_frames)
    assert len(driver.restarts.done) == len(STAGES)
    assert all(restart.lost_s > 0 for restart in driver.restarts.done)
    entries = driver.shares.entries(make_plan(make_settings("ray", placement, replicas)))
    for stage in STAGES:
        assert frames_of(stage, entries) == list(range(num_frames))
    processes = {(entry["host"], entry["pid"]) for entry in entries}
    assert len(processes) == len(entries) > len({entry["host"] for entry in entries})


def test_a_stream_that_kills_its_host_again_and_again_leaves_the_others_alone(tmp_path: Path) -> None:
    long, short = ToySource(name="long", num_frames=16), ToySource(name="short", num_frames=8)
    for name in ("long", "short"):
        (tmp_path / name).mkdir()
    deaths = Deaths(stage="features", frame=10, tally=tmp_path / "tally")
    sources = [(long, tmp_path / "long"), (short, tmp_path / "short")]
    failed, whole = drive_all(sources, "ray", factory=make_factory(deaths=[deaths]), limits=LIMITS)
    assert isinstance(failed.error, HostDiedError)
    assert failed.error.__notes__ == ["stage features+flow+fuse+detect+track+panoptic, stream long, frame 10"]
    assert whole.complete
    assert read_results(tmp_path / "short") == undisturbed(tmp_path / "golden", 8)


@pytest.mark.parametrize("stage", ["decode", "flow", ENCODE])
def test_a_host_that_dies_in_its_first_call_is_replaced(
    tmp_path: Path, stage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    factory = make_factory(deaths=[deaths_of(stage, [0], tmp_path)])
    driver = drive(tmp_path, "ray", "split", factory=factory)
    assert driver.error is None
    assert read_results(tmp_path) == list(enumerate(FIRST_RESULTS))
    (restart,) = driver.restarts.done
    assert (restart.host, restart.index) == (stage, 0)
    assert capfd.readouterr().out == "", "Ray prints nothing; the driver logs it"


@pytest.mark.parametrize(("stage", "written"), [("flow", 3), (ENCODE, 2)])
def test_a_host_that_dies_at_the_same_frame_again_and_again_ends_the_run(
    tmp_path: Path, stage: str, written: int
) -> None:
    fatal = range(3 if stage == "flow" else 1, 1000)  # frame 3, or the second run of two frames
    factory = make_factory(deaths=[deaths_of(stage, fatal, tmp_path)])
    started_s: list[float] = []
    driver = drive(
        tmp_path,
        "ray",
        "split",
        factory=factory,
        on_frame=lambda num_done: started_s.append(time.monotonic()),
    )
    assert time.monotonic() - started_s[0] < 30
    assert isinstance(driver.error, HostDiedError)
    assert driver.error.__notes__ == [f"stage {stage}, stream toy, frame {written}"]
    assert read_results(tmp_path) == list(enumerate(FIRST_RESULTS))[:written]


def test_a_host_that_dies_while_it_is_built_is_replaced_but_not_for_ever(tmp_path: Path) -> None:
    deaths = Deaths(stage="flow", calls=[0, 1], tally=tmp_path / "twice", building=True)
    driver = drive(tmp_path, "ray", "split", factory=make_factory(deaths=[deaths]))
    assert driver.error is None
    assert read_results(tmp_path) == list(enumerate(FIRST_RESULTS))
    deaths = Deaths(stage="flow", calls=range(1000), tally=tmp_path / "always", building=True)
    with pytest.raises(HostDiedError, match="the worker process of flow died"):
        drive(tmp_path, "ray", "split", factory=make_factory(deaths=[deaths]))
    assert (tmp_path / "always").stat().st_size == 3
