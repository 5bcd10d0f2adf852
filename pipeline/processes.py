"""The processes that this one has started, and those that they have: read from /proc (Linux)."""

from __future__ import annotations

from pathlib import Path


def descendants(root: int) -> list[int]:
    """The process `root` and all below it that live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = stat_fields(int(entry.name)) if entry.name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    members, position = [root], 0
    while position < len(members):
        members += children.get(members[position], [])
        position += 1
    return members


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rsplit(")", 1)[1].split()


def title_of(pid: int) -> str:
    """What a process calls itself; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
