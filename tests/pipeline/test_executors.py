from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from benchmarks.object_store import held_bytes
from configs.errors import StageError
from pipeline.budget import Limits
from pipeline.interrupt import Interrupt
from stages.messages import Cursor, Frame
from tests.pipeline.driving import drive
from tests.pipeline.toy import (
    FIRST_RESULTS,
    ExecutorName,
    Fault,
    Placement,
    ToySource,
    make_factory,
    read_results,
)

IN_PROCESS: tuple[ExecutorName, ...] = ("inline", "local")
EVERYWHERE = ("inline", "local", pytest.param("ray", marks=pytest.mark.slow))
GOLDEN = list(enumerate(FIRST_RESULTS))


@pytest.mark.parametrize("placement", ["split", "fused"])
@pytest.mark.parametrize("executor", ["inline", "local", "ray"])
def test_every_executor_and_placement_gives_the_same_results(
    tmp_path: Path, executor: ExecutorName, placement: Placement
) -> None:
    driver = drive(tmp_path, executor, placement)
    assert driver.error is None
    assert read_results(tmp_path) == GOLDEN
    assert driver.num_written == 5


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, int]]:
    """The results of fifty frames, one host for each stage."""
    folder = tmp_path_factory.mktemp("fifty")
    drive(folder, "inline", "split", source=ToySource(num_frames=50))
    return read_results(folder)


@pytest.mark.parametrize(
    ("executor", "placement", "replicas", "batch_frames"),
    [
        *product(IN_PROCESS, ["split", "fused"], [2, 3], [1]),
        *product(IN_PROCESS, ["split", "fused"], [1, 2], [2, 4]),
        pytest.param("ray", "fused", 2, 1, marks=pytest.mark.slow),
        pytest.param("ray", "split", 3, 4, marks=pytest.mark.slow),
    ],
)
def test_any_number_of_replicas_and_frames_in_a_batch_gives_the_same_results(
    fifty: list[tuple[int, int]],
    tmp_path: Path,
    executor: ExecutorName,
    placement: Placement,
    replicas: int,
    batch_frames: int,
) -> None:
    driver = drive(
        tmp_path,
        executor,
        placement,
        source=ToySource(num_frames=50),
        limits=Limits(window_frames=12, run_frames=4),
        replicas=replicas,
        batch_frames=batch_frames,
    )
    assert (driver.num_done, driver.num_written, driver.error) == (50, 50, None)
    assert read_results(tmp_path) == fifty


@pytest.mark.parametrize("executor", IN_PROCESS)
def test_batches_before_one_with_a_failing_frame_are_written(tmp_path: Path, executor: ExecutorName) -> None:
    factory = make_factory(Fault(stage="track", index=3))
    driver = drive(
        tmp_path,
        executor,
        "split",
        factory=factory,
        batch_frames=2,
        limits=Limits(window_frames=4, run_frames=2),
    )
    assert driver.error is not None
    assert driver.error.__notes__ == ["stage track, stream toy, frame 3"]
    assert read_results(tmp_path) == GOLDEN[:2]


@pytest.mark.parametrize("executor", IN_PROCESS)
@pytest.mark.parametrize("window", [1, 2, 8])
@pytest.mark.parametrize("run_frames", [1, 3, 5, 9])
def test_window_and_run_length_do_not_change_the_results(
    tmp_path: Path, executor: ExecutorName, window: int, run_frames: int
) -> None:
    drive(tmp_path, executor, "split", limits=Limits(window_frames=window, run_frames=run_frames))
    assert read_results(tmp_path) == GOLDEN


@pytest.mark.parametrize("executor", IN_PROCESS)
def test_a_source_without_a_frame_ends_with_no_results(tmp_path: Path, executor: ExecutorName) -> None:
    driver = drive(tmp_path, executor, source=ToySource(num_frames=0))
    assert (driver.num_done, driver.num_written, driver.error) == (0, 0, None)
    assert read_results(tmp_path) == []


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_frames_before_a_failing_one_are_written(tmp_path: Path, executor: ExecutorName) -> None:
    factory = make_factory(Fault(stage="detect", index=3))
    driver = drive(tmp_path, executor, "split", factory=factory)
    assert isinstance(driver.error, ValueError)
    assert str(driver.error) == "boom at 3"
    assert driver.error.__notes__ == ["stage detect, stream toy, frame 3"]
    assert read_results(tmp_path) == GOLDEN[:3]


@pytest.mark.slow
def test_ray_prints_nothing_of_the_calls_behind_a_failing_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    driver = drive(tmp_path, "ray", "split", factory=make_factory(Fault(stage="features", index=3)))
    assert driver.error is not None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("executor", IN_PROCESS)
def test_frames_before_a_failing_decode_are_written(tmp_path: Path, executor: ExecutorName) -> None:
    driver = drive(tmp_path, executor, factory=make_factory(Fault(stage="decode", index=2)))
    assert driver.error is not None
    assert driver.error.__notes__ == ["stage decode, stream toy, frame 2"]
    assert read_results(tmp_path) == GOLDEN[:2]


@pytest.mark.parametrize("executor", IN_PROCESS)
def test_after_a_failing_encode_nothing_later_is_written(tmp_path: Path, executor: ExecutorName) -> None:
    driver = drive(tmp_path, executor, factory=make_factory(Fault(stage="encode", index=2)))
    assert driver.error is not None
    assert driver.error.__notes__ == ["stage encode, stream toy, frames 2 to 3"]
    assert read_results(tmp_path) == GOLDEN[:2]
    assert driver.num_written == 2


@pytest.mark.slow
def test_an_error_that_cannot_be_pickled_arrives_with_its_text(tmp_path: Path) -> None:
    fault = Fault(stage="track", index=1, kind="raise unpicklable")
    driver = drive(tmp_path, "ray", factory=make_factory(fault))
    assert isinstance(driver.error, StageError)
    assert "UnpicklableError" in str(driver.error)
    assert driver.error.__notes__ == ["stage track, stream toy, frame 1"]
    assert read_results(tmp_path) == GOLDEN[:1]


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_a_requested_stop_finishes_the_frames_in_flight(tmp_path: Path, executor: ExecutorName) -> None:
    interrupt = Interrupt()

    def stop_at_five(num_done: int) -> None:
        interrupt.requested = num_done >= 5

    source = ToySource(num_frames=1000)
    driver = drive(tmp_path, executor, source=source, interrupt=interrupt, on_frame=stop_at_five)
    assert driver.error is None
    assert 5 <= driver.num_written <= 8  # at most the window of 3 beyond
    assert read_results(tmp_path)[:5] == GOLDEN


@pytest.mark.parametrize("executor", IN_PROCESS)
def test_no_more_frames_are_decoded_than_window_and_runs_allow(
    tmp_path: Path, executor: ExecutorName, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.pipeline import toy

    decoded: list[int] = []
    original = toy.decode

    def counting(source: ToySource, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
        decoded.append(1)
        return original(source, cursor)

    monkeypatch.setattr(toy, "decode", counting)
    ahead: list[int] = []
    drive(
        tmp_path,
        executor,
        source=ToySource(num_frames=30),
        factory=make_factory(delay_s=0.002),
        limits=Limits(window_frames=2, run_frames=2),
        on_frame=lambda num_done: ahead.append(len(decoded) - num_done),
    )
    assert max(ahead) <= 2


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_statistics_cover_every_stage_and_its_wait(tmp_path: Path, executor: ExecutorName) -> None:
    summary = drive(tmp_path, executor).statistics.summary()
    stages = {"decode", "features", "flow", "fuse", "detect", "track", "panoptic", "encode", "draw"}
    assert set(summary) == stages
    assert set(summary["fuse"]) == {"wall", "cpu", "wait"}


@pytest.mark.slow
def test_ray_keeps_few_pictures_in_its_store_while_many_pass(tmp_path: Path) -> None:
    used: list[float] = []

    def look(num_done: int) -> None:
        if num_done % 20 == 0:
            used.append(held_bytes())

    source = ToySource(num_frames=100, size=(500, 1000))  # 1.5 MB a picture, 150 MB in all
    drive(tmp_path, "ray", source=source, on_frame=look)
    assert len(used) == 5
    assert max(used) < 40_000_000  # window 3 and three runs of 2: 9 pictures, 14 MB


@pytest.mark.slow
def test_two_drivers_in_one_process_do_not_share_the_first_ones_ray(tmp_path: Path) -> None:
    for name in ("first", "second"):
        output = tmp_path / name
        output.mkdir()
        drive(output, "ray", source=ToySource(num_frames=2))
        assert read_results(output) == GOLDEN[:2]
