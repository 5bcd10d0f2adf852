"""CPU time and memory of a process and all its descendants, read from /proc (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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
    members = _descendants(root)
    return TreeUsage(
        cpu_s=sum(_cpu_s(pid) for pid in members), memory_bytes=sum(_memory_bytes(pid) for pid in members)
    )


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    members, position = [root], 0
    while position < len(members):
        members += children.get(members[position], [])
        position += 1
    return members


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rsplit(")", 1)[1].split()


def _cpu_s(pid: int) -> float:
    fields = _stat(pid)
    # utime, stime, cutime, cstime
    return sum(int(value) for value in fields[11:15]) / _TICKS_PER_S if fields else 0.0


def _memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
