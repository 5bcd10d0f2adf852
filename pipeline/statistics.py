"""Where the time goes: of each stage the wall and CPU time of its calls, and how long it waited.

Of the last `REMEMBERED_CALLS`, as a live stream may never end: 13 minutes at 25 frames a second.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from pipeline.graph import GRAPH, Node, Now
from pipeline.host import CallReport, StageReport

REMEMBERED_CALLS = 20_000
Summary = dict[str, dict[str, float]]
"""Measure to median and p95, in milliseconds."""
Moment = tuple[str | None, float]
"""A machine, by Ray's name, and a time on its clock in seconds."""


class Statistics:
    """Gathers the reports of one stream."""

    def __init__(self, graph: Sequence[Node] = GRAPH) -> None:
        self._nodes = {node.name: node for node in graph}
        self._producer = {value: node.name for node in graph for value in node.outputs}
        self._ends: Mapping[str, Moment] = {}
        """Of each stage, at the frames before."""
        self._times: defaultdict[str, defaultdict[str, deque[float]]] = defaultdict(
            lambda: defaultdict(lambda: deque(maxlen=REMEMBERED_CALLS))
        )

    def add_batch(self, calls: Iterable[CallReport], num_frames: int) -> dict[str, float]:
        """The reports of consecutive frames, which come in order; times are told per frame.

        Returns how long each stage has waited for the whole of them, unless an input came from another
        machine, whose clock is another.
        """
        moments = {report.stage: (call.worker.node_id, report) for call in calls for report in call.stages}
        ends = {stage: (node, report.end_s) for stage, (node, report) in moments.items()}
        waits_s: dict[str, float] = {}
        for stage, (node, report) in moments.items():
            times = self._times[stage]
            times["wall"].append(report.wall_s / num_frames)
            times["cpu"].append(report.cpu_s / num_frames)
            inputs = self._inputs_ended(stage, ends)
            if all(of_input == node for of_input, _ in inputs):
                last_s = max((end_s for _, end_s in inputs), default=report.start_s)
                waits_s[stage] = max(0.0, report.start_s - last_s)
                times["wait"].append(waits_s[stage] / num_frames)
        self._ends = ends
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
            stage: {measure: summary_ms(values) for measure, values in times.items()}
            for stage, times in self._times.items()
        }

    def _inputs_ended(self, stage: str, ends: Mapping[str, Moment]) -> list[Moment]:
        """When and where a stage's inputs were made; `ends` are those of the frames themselves."""
        made = [
            (ends if isinstance(link, Now) else self._ends).get(self._producer.get(link.value, ""))
            for link in self._nodes[stage].inputs
        ]
        return [moment for moment in made if moment is not None]


def summary_ms(values: Iterable[float]) -> dict[str, float]:
    """Median and p95 of seconds, in milliseconds."""
    ordered = sorted(values)
    return {
        "median_ms": round(1000 * percentile(ordered, 0.50), 3),
        "p95_ms": round(1000 * percentile(ordered, 0.95), 3),
    }


def percentile(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least `part` of the ascending values do not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]
