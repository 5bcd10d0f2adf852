from __future__ import annotations

import pytest

from pipeline.host import CallReport, StageReport, Worker
from pipeline.statistics import Statistics, percentile


def report(stage: str, start_s: float, end_s: float, node: str = "one") -> CallReport:
    stages = (StageReport(stage=stage, start_s=start_s, end_s=end_s, cpu_s=0.5, parts_s={}),)
    return CallReport(worker=Worker(node=node, pid=1, node_id=node), stages=stages)


def test_the_median_of_four_is_the_second_and_the_p95_the_last() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.95) == 4


def test_waiting_counts_from_the_end_of_the_last_input() -> None:
    statistics = Statistics()
    statistics.add_batch(
        [
            report("decode", 0, 1),
            report("features", 1, 4),
            report("flow", 1, 2),
            report("fuse", 6, 7),
        ],
        1,
    )
    summary = statistics.summary()
    assert summary["fuse"]["wait"]["median_ms"] == 2000
    assert summary["flow"]["wait"]["median_ms"] == 0
    assert summary["features"]["wall"]["median_ms"] == 3000
    assert summary["features"]["cpu"]["median_ms"] == 500


def test_waiting_counts_inputs_of_the_frame_before() -> None:
    statistics = Statistics()
    statistics.add_batch([report("detect", 0, 1), report("track", 1, 5)], 1)
    statistics.add_batch([report("detect", 2, 3), report("track", 9, 10)], 1)
    assert statistics.summary()["track"]["wait"] == {"median_ms": 0, "p95_ms": 4000}


def test_no_wait_is_told_of_inputs_from_another_machine() -> None:
    statistics = Statistics()
    waits_s = statistics.add_batch([report("detect", 0, 1), report("track", 3, 7, node="other")], 1)
    assert set(waits_s) == {"detect"}
    assert set(statistics.summary()["track"]) == {"wall", "cpu"}


def test_the_times_of_a_batch_are_told_per_frame() -> None:
    statistics = Statistics()
    statistics.add_batch([report("detect", 0, 1), report("track", 3, 7)], 4)
    track = statistics.summary()["track"]
    assert track["wall"]["median_ms"] == 1000
    assert track["cpu"]["median_ms"] == 125
    assert track["wait"]["median_ms"] == 500


def test_an_encoded_run_counts_per_frame_with_its_parts() -> None:
    statistics = Statistics()
    run = StageReport(stage="encode", start_s=0, end_s=6, cpu_s=3, parts_s={"draw": 1.5})
    statistics.add_run(run, num_frames=3)
    assert statistics.summary()["encode"]["wall"]["median_ms"] == 2000
    assert statistics.summary()["draw"]["wall"]["median_ms"] == 500


def test_no_frames_give_no_stages() -> None:
    assert Statistics().summary() == {}


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0]])
def test_equal_values_have_themselves_as_every_percentile(values: list[float]) -> None:
    assert percentile(values, 0.5) == percentile(values, 0.95) == 5.0
