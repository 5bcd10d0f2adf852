"""Which process did which frames of a stream, as run.json tells it: an entry for each process of each host.

The frames of an entry are a text, ranges with both ends included: "0-3,8-11,16".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.graph import ENCODE
from pipeline.host import Worker
from pipeline.placement import Plan

MOST_RANGES = 10_000
"""Of a process: of a live stream that replicas share out, the last ones are told."""
Entry = Mapping[str, Any]
"""host, stages, replica (from 1), node, node_id, pid, frames."""


class Shares:
    """Those of one stream."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, Worker], list[tuple[int, int]]] = {}
        """First and last frame; ascending."""

    def add(self, host: str, worker: Worker, first: int, num_frames: int = 1) -> None:
        """Frames that a process did; those of a host come in order."""
        ranges = self._ranges.setdefault((host, worker), [])
        last = first + num_frames - 1
        if ranges and ranges[-1][1] == first - 1:
            first, _ = ranges.pop()
        ranges.append((first, last))
        if len(ranges) > MOST_RANGES:
            del ranges[0]

    def entries(self, plan: Plan) -> list[Entry]:
        """In the order in which frames pass the hosts; a process that replaced another comes after it."""
        return [
            _entry(plan, host, worker, ranges)
            for name in plan.hosts
            for (host, worker), ranges in self._ranges.items()
            if host == name
        ]


def before(entries: Iterable[Entry], num_frames: int) -> list[Entry]:
    """Entries of an earlier part of the stream, as far as its first `num_frames` frames go."""
    kept: list[Entry] = []
    for entry in entries:
        inside = [
            (first, min(last, num_frames - 1))
            for first, last in ranges_of(entry["frames"])
            if first < num_frames
        ]
        if inside:
            kept.append({**entry, "frames": _text(inside)})
    return kept


def ranges_of(text: str) -> list[tuple[int, int]]:
    """First and last frame of each range."""
    ends = (part.partition("-") for part in text.split(","))
    return [(int(first), int(last or first)) for first, _, last in ends]


def _entry(plan: Plan, host: str, worker: Worker, ranges: Iterable[tuple[int, int]]) -> Entry:
    group = plan.hosts[host]
    return {
        "host": host,
        "stages": [node.name for node in group.nodes] if group is not None else [ENCODE],
        "replica": group.host_names.index(host) + 1 if group is not None else 1,
        "node": worker.node,
        "node_id": worker.node_id,
        "pid": worker.pid,
        "frames": _text(ranges),
    }


def _text(ranges: Iterable[tuple[int, int]]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
