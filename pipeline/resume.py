"""Going on with a run that was stopped, killed or cut off: what it left behind, and whether it fits.

`run.json` is there from the start and says what is being made of what; the runs among the parts each
have a checkpoint. The same source and the same settings give the same frames, so the joined results
are those of a run that was never stopped. How the work is spread may change: `FREE`. A live stream goes on
in a new segment, behind a gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from configs.errors import OutputError
from pipeline.shares import Entry, before
from stages.results import (
    Layout,
    complete_runs,
    prepare_output,
    read_checkpoint,
    remove_parts,
    remove_runs_from,
    remove_segments_from,
    remove_temporaries,
)

if TYPE_CHECKING:
    from stages.messages import Checkpoint

_FREE_OF_RUN = ("executor", "address", "placement", "replicas", "streams_at_once", "metrics_port")
_FREE_OF_INPUT = (
    *("corrupt_packets", "open_timeout_s", "read_timeout_s"),
    *("frame_timeout_s", "max_retries", "on_full", "rtsp_transport"),
)
FREE = frozenset((*(f"run.{name}" for name in _FREE_OF_RUN), *(f"input.{name}" for name in _FREE_OF_INPUT)))
"""Settings that do not change the results; those of training do not, either."""

_COMPARED = ("source", "settings", "run_frames", "weights", "versions")
_REMEDY = "give what it was made with, or start anew with --overwrite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePoint:
    """Where a stream goes on."""

    num_frames: int
    """Frames that are written."""
    checkpoint: Checkpoint
    segment: int | None = None
    """Of a live stream: the last one that was written into, by its first frame."""
    unjoined: int | None = None
    """The one before, if it is not joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier run left of a stream."""

    report: Mapping[str, Any]
    """Its run.json."""
    complete: bool
    point: ResumePoint | None
    """Where to go on; None: at the beginning."""

    @property
    def hosts(self) -> list[Entry]:
        """Which process did which of the frames that are kept."""
        return before(self.report.get("hosts", ()), self.point.num_frames if self.point else 0)


def find_earlier(directory: Path, work: Mapping[str, Mapping[str, Any]]) -> dict[str, Earlier]:
    """What can be gone on with, by the name of the stream; the other streams get an empty folder.

    `work`: what each stream is to make. OutputError if that is not what the earlier run made.
    """
    layouts = {name: Layout(directory / name) for name in work}
    found: dict[str, Earlier] = {}
    for name, layout in layouts.items():  # nothing is changed before all were looked at
        report = _earlier_report(layout)
        if report is not None:
            _check_same_work(layout, report, work[name])
            complete = report["status"] == "complete"
            point = None if complete else _resume_point(layout, work[name])
            found[name] = Earlier(report=report, complete=complete, point=point)
    prepare_output(directory, [name for name in work if name not in found], overwrite=False)
    for name, earlier in found.items():
        remove_temporaries(layouts[name])
        if earlier.complete:
            remove_parts(layouts[name])
        else:
            _remove_from(layouts[name], earlier.point.num_frames if earlier.point else 0)
    return found


def _earlier_report(layout: Layout) -> Mapping[str, Any] | None:
    """run.json of an earlier run, None without one; OutputError if nothing can be gone on with by it."""
    if not layout.report.exists():
        return None
    try:
        content = json.loads(layout.report.read_text(encoding="utf-8"))
    except ValueError:
        raise OutputError(f"{layout.report}: is no JSON; start anew with --overwrite") from None
    if not isinstance(content, dict) or not all(key in content for key in _COMPARED):
        raise OutputError(f"{layout.report}: is of a run that cannot be gone on with; start with --overwrite")
    return content


def _check_same_work(layout: Layout, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """OutputError, which names what differs, unless both would write the same."""
    is_live = now["source"]["kind"] == "live"
    before, after = (dict(_flat({key: of[key] for key in _COMPARED})) for of in (earlier, now))
    for key in before | after:
        name = key.removeprefix("settings.")
        is_free = name in FREE or name.startswith("train.") or (is_live and name == "run_frames")
        if is_free or before.get(key) == after.get(key):
            continue
        raise OutputError(
            f"{layout.directory}: {name} was {before.get(key)!r} and is {after.get(key)!r} now; {_REMEDY}"
        )


def _resume_point(layout: Layout, work: Mapping[str, Any]) -> ResumePoint | None:
    """Where an unfinished stream goes on; None: at its beginning.

    Behind the last full run of a file: shorter ones, which a stop leaves at the end, do not count. Behind the
    last run of a live stream. OutputError if that has results, but no such place.
    """
    if work["source"]["kind"] != "live":
        return _last_point(layout, 0, work["run_frames"])
    segments = layout.all_segments()
    while segments:
        segment = segments.pop()
        point = _last_point(segment, segment.first_index, None)
        if point is not None:
            is_joined = not segments or not segments[-1].parts.exists()
            unjoined = None if is_joined else segments[-1].first_index
            return replace(point, segment=segment.first_index, unjoined=unjoined)
        if segment.panoptic.exists():
            raise OutputError(
                f"{segment.directory}: the place to go on from is missing; name another --output, or start "
                "anew with --overwrite"
            )
    return None


def _last_point(layout: Layout, first_index: int, run_frames: int | None) -> ResumePoint | None:
    """Behind the last run that is whole, of so many frames; None: of however many."""
    point = None
    for run in complete_runs(layout, first_index):
        num_frames = run.first_index + len(run.pts)
        files = [layout.part_video(run.first_index)]
        files += [layout.picture(index) for index in range(run.first_index, num_frames)]
        if run_frames not in (None, len(run.pts)):
            break
        if not all(path.exists() and path.stat().st_size for path in files):
            break
        try:
            checkpoint = read_checkpoint(layout, run)
        except (OSError, EOFError, ValueError, KeyError, BadZipFile):
            break
        point = ResumePoint(num_frames=num_frames, checkpoint=checkpoint)
    return point


def _remove_from(layout: Layout, num_frames: int) -> None:
    """Remove what was written of frames from this one on, so that it cannot be taken for new ones."""
    if layout.parts.exists():
        remove_runs_from(layout, num_frames)
    remove_segments_from(layout, num_frames)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{name}.{key}" if name else key)
