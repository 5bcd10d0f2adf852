"""Several streams share the hosts: each ends with the results of a run by itself."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.pipeline.driving import drive, drive_all
from tests.pipeline.toy import ExecutorName, Fault, Placement, ToySource, make_factory, read_results

LENGTHS = (5, 12, 0, 1, 30, 7)


def toy_streams(folder: Path) -> list[tuple[ToySource, Path]]:
    streams = [
        (ToySource(name=f"toy{i}", num_frames=length), folder / f"toy{i}") for i, length in enumerate(LENGTHS)
    ]
    for _, output in streams:
        output.mkdir(parents=True)
    return streams


def by_itself(folder: Path, source: ToySource) -> list[tuple[int, int]]:
    folder.mkdir()
    drive(folder, "inline", source=source)
    return read_results(folder)


@pytest.mark.parametrize(
    ("executor", "placement", "at_once"),
    [
        *product(["inline", "local"], ["split", "fused"], [1, 3, 6]),
        pytest.param("ray", "split", 3, marks=pytest.mark.slow),
        pytest.param("ray", "fused", 6, marks=pytest.mark.slow),
    ],
)
def test_each_stream_has_the_results_of_a_run_by_itself(
    tmp_path: Path, executor: ExecutorName, placement: Placement, at_once: int
) -> None:
    streams = toy_streams(tmp_path)
    drivers = drive_all(streams, executor, placement, at_once=at_once)
    for i, ((source, output), driver) in enumerate(zip(streams, drivers, strict=True)):
        assert driver.complete
        assert read_results(output) == by_itself(tmp_path / f"alone{i}", source)


def order_of_frames(folder: Path, at_once: int = 64, budget_bytes: int = 1000) -> list[str]:
    """Names of the streams, frame by frame."""
    names: list[str] = []
    drive_all(
        toy_streams(folder),
        "inline",
        on_frame=lambda name, num_done: names.append(name),
        at_once=at_once,
        budget_bytes=budget_bytes,
    )
    return names


def test_streams_take_turns(tmp_path: Path) -> None:
    names = order_of_frames(tmp_path, at_once=2)
    assert names[:4] == ["toy0", "toy1", "toy0", "toy1"]
    assert names.count("toy4") == 30


def test_one_at_a_time_keeps_their_order(tmp_path: Path) -> None:
    names = order_of_frames(tmp_path, at_once=1)
    assert names == [f"toy{i}" for i, length in enumerate(LENGTHS) for _ in range(length)]


def test_no_more_streams_are_begun_than_the_memory_holds(tmp_path: Path) -> None:
    names = order_of_frames(tmp_path, budget_bytes=25)  # two of them
    assert set(names[:8]) == {"toy0", "toy1"}
    names = order_of_frames(tmp_path / "small", budget_bytes=1)
    assert set(names[:5]) == {"toy0"}, "one runs whatever it needs"


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_stream_that_fails_leaves_the_others_alone(tmp_path: Path, executor: ExecutorName) -> None:
    streams = toy_streams(tmp_path)
    fault = Fault(stage="encode", index=20)  # only one stream is so long
    drivers = drive_all(streams, executor, factory=make_factory(fault))
    failed = [driver.error is not None for driver in drivers]
    assert failed == [False, False, False, False, True, False]
    assert [driver.complete for driver in drivers] == [not fails for fails in failed]
    for i, ((source, output), fails) in enumerate(zip(streams, failed, strict=True)):
        expected = by_itself(tmp_path / f"alone{i}", source)
        assert read_results(output) == expected[: 20 if fails else len(expected)]
