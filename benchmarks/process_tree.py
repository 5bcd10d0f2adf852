"""CPU time and memory of a process and all its descendants, read from /proc (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.processes import descendants, stat_fields

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class TreeUsage:
    """What a tree of processes has used."""

    cpu_s: float
    """User and system time; children that have ended and been waited for are included."""
    memory_bytes: int
    """Proportional set size: memory shared by several processes counts once."""


def tree_usage(root: int) -> TreeUsage:
    """Usage of `root` and its descendants that live."""
    members = descendants(root)
    return TreeUsage(
        cpu_s=sum(_cpu_s(pid) for pid in members), memory_bytes=sum(_memory_bytes(pid) for pid in members)
    )


def _cpu_s(pid: int) -> float:
    fields = stat_fields(pid)
    # utime, stime, cutime, cstime
    return sum(int(value) for value in fields[11:15]) / _TICKS_PER_S if fields else 0.0


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
