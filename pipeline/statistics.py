"""Where the time goes: of each stage the wall and CPU time of every call, and how long it waited.

24 bytes a stage and frame: an hour at 25 frames a second takes 17 MB.
"""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipeline.graph import GRAPH, Node, Now
from pipeline.host import StageReport

Summary = dict[str, dict[str, float]]
"""Measure to median and p95, in milliseconds."""


class Statistics:
    """Gathers the reports of one stream."""

    def __init__(self, graph: Sequence[Node] = GRAPH) -> None:
        self._nodes = {node.name: node for node in graph}
        self._producer = {value: node.name for node in graph for value in node.outputs}
        self._ends: dict[str, float] = {}
        self._times: defaultdict[str, defaultdict[str, array[float]]] = defaultdict(
            lambda: defaultdict(lambda: array("d"))
        )

    def add_frame(self, reports: Iterable[StageReport]) -> dict[str, float]:
        """The reports of all stages of one frame, which come in order; how long each stage has waited."""
        by_stage = {report.stage: report for report in reports}
        waits_s = {stage: self._wait_s(report, by_stage) for stage, report in by_stage.items()}
        for stage, report in by_stage.items():
            times = self._times[stage]
            times["wall"].append(report.wall_s)
            times["cpu"].append(report.cpu_s)
            times["wait"].append(waits_s[stage])
        self._ends = {stage: report.end_s for stage, report in by_stage.items()}
        return waits_s

    def add_run(self, report: StageReport, num_frames: int) -> None:
        """A run of frames that was encoded; times are told per frame."""
        times = self._times[report.stage]
        times["wall"].append(report.wall_s / num_frames)
        times["cpu"].append(report.cpu_s / num_frames)
        for part, seconds in report.parts_s.items():
            self._times[part]["wall"].append(seconds / num_frames)

    def summary(self) -> dict[str, Summary]:
        """Stage to measure to median and p95; draw, png and video are parts of encode."""
        return {
            stage: {measure: _summary_ms(values) for measure, values in times.items()}
            for stage, times in self._times.items()
        }

    def _wait_s(self, report: StageReport, by_stage: dict[str, StageReport]) -> float:
        """From the end of the last of a stage's inputs to its start."""
        ends = []
        for link in self._nodes[report.stage].inputs:
            producer = self._producer.get(link.value, "")
            if isinstance(link, Now) and producer in by_stage:
                ends.append(by_stage[producer].end_s)
            elif not isinstance(link, Now) and producer in self._ends:
                ends.append(self._ends[producer])
        return max(0.0, report.start_s - max(ends)) if ends else 0.0


def _summary_ms(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median_ms": round(1000 * percentile(ordered, 0.50), 3),
        "p95_ms": round(1000 * percentile(ordered, 0.95), 3),
    }


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of the ascending values do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
