"""Reading a live source: the frames that are processed, with the gaps before them and the segments they are
in.

All that the past matters is in the cursor, so that another process can go on; but what came in between is
lost, and that is a gap like any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stages.conversion import upright_rgb
from stages.live_capture import Captured, CaptureStatus, LiveCapture
from stages.live_clock import TIME_BASE, LiveClock
from stages.messages import Cursor, Frame, Gap, LivePoint

if TYPE_CHECKING:
    from stages.messages import Size
    from stages.source import Source

NOTHING_YET = Cursor(index=-1, source_index=-1, pts=None, live=LivePoint(state="connecting", since_s=0.0))


class LiveReader:
    """The frames of one live source."""

    def __init__(self, source: Source, segment_s: float, cursor: Cursor | None) -> None:
        """`cursor`: where a process stood that has read it before; `segment_s`: when a new segment begins."""
        self._deinterlace = source.rules.deinterlace
        self._segment_length = round(segment_s / TIME_BASE)
        self._earlier = cursor or NOTHING_YET
        point = _point(self._earlier)
        self._clock = LiveClock(point.began_s, self._earlier.pts)
        self._capture = LiveCapture(source, self._clock, point.came_s)
        self._last_index = self._earlier.index

    def read(self, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
        """The next frame, None if none has come yet or none will; and the cursor, which says which."""
        before = cursor or NOTHING_YET
        captured, status = self._capture.take()
        if captured is None:
            return None, self._now(before, status)
        height, width = captured.frame.height, captured.frame.width
        image = upright_rgb(captured.frame, (height, width), deinterlace=self._deinterlace)
        gap = captured.gap if before.index == self._last_index else _lost_frames(before, captured)
        now = self._now(before, status)
        cursor = self._behind(before, now, captured, (image.shape[0], image.shape[1]), gap)
        self._last_index = cursor.index
        frame = Frame(
            index=cursor.index,
            pts=captured.pts,
            time_base=TIME_BASE,
            duration=captured.duration,
            image=image,
            captured_s=captured.came_s,
            gap=gap,
            sound=captured.sound,
        )
        return frame, cursor

    def close(self) -> None:
        """Hang up."""
        self._capture.close()

    def _behind(self, before: Cursor, now: Cursor, captured: Captured, size: Size, gap: Gap | None) -> Cursor:
        """The cursor behind a picture."""
        earlier = _point(before)
        is_first = before.index < 0
        follows = gap is None and (is_first or earlier.size == size)
        is_full = captured.pts - earlier.segment_pts >= self._segment_length
        point = replace(
            _point(now),
            began_s=self._clock.began_s,
            came_s=captured.came_s,
            gap=gap,
            size=size,
            follows=follows,
        )
        if gap is not None:
            point = replace(point, num_gaps=point.num_gaps + 1, lost_s=point.lost_s + gap.duration_s)
        if is_first or not follows or is_full:
            point = replace(
                point,
                num_segments=point.num_segments + 1,
                segment=before.index + 1,
                segment_pts=captured.pts,
            )
        return replace(
            now,
            index=before.index + 1,
            source_index=before.source_index + 1,
            pts=captured.pts,
            ended=False,
            live=point,
        )

    def _now(self, before: Cursor, status: CaptureStatus) -> Cursor:
        """The cursor of the frame before, with how the source stands now."""
        earlier = _point(self._earlier)
        point = replace(
            _point(before),
            state=status.state,
            since_s=status.since_s,
            reason=status.reason,
            num_connections=earlier.num_connections + status.num_connections,
            num_dropped=earlier.num_dropped + status.num_dropped,
            num_jumps=earlier.num_jumps + status.num_jumps,
        )
        corrupt_packets = self._earlier.corrupt_packets + status.corrupt_packets
        return replace(before, corrupt_packets=corrupt_packets, ended=status.state == "ended", live=point)


def _point(cursor: Cursor) -> LivePoint:
    assert cursor.live is not None, "a cursor of a live source"
    return cursor.live


def _lost_frames(before: Cursor, captured: Captured) -> Gap:
    """Frames that were read and then lost with the process that held them."""
    last_came_s = _point(before).came_s or captured.came_s
    return Gap(start_s=last_came_s, end_s=captured.came_s, reason="frames were lost with a worker")
