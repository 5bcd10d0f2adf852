"""What is known of a live stream while it runs: its states, what it lost, and how old its frames are.

The age of a frame is the time since its picture came from the source.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.statistics import REMEMBERED_CALLS, summary_ms
from stages.results import utc

if TYPE_CHECKING:
    from pipeline.runs import DoneBatch
    from stages.messages import Cursor, LivePoint

ASK_AGAIN_S = 0.02
"""After a call that found no picture, until the next one: other streams are decoded meanwhile."""
ASK_AGAIN_LATER_S = 0.2
"""The same if the source is not live."""


class LiveWatch:
    """Gathers it for one stream."""

    def __init__(self, on_state: Callable[[Mapping[str, Any]], None]) -> None:
        """`on_state` is told the summary when another state begins."""
        self._on_state = on_state
        self._point: LivePoint | None = None
        self._ask_at_s = 0.0
        self._ages_s = {name: deque[float](maxlen=REMEMBERED_CALLS) for name in ("done", "written")}

    @property
    def may_ask(self) -> bool:
        """May the source be asked for a frame now?"""
        return time.monotonic() >= self._ask_at_s

    @property
    def is_away(self) -> bool:
        """Is the source lost, so that the next frame will follow a gap?"""
        return self.state == "reconnecting"

    @property
    def state(self) -> str:
        """Of the source."""
        return self._point.state if self._point is not None else "connecting"

    def see(self, cursor: Cursor, *, with_frame: bool) -> None:
        """What a decode call has found."""
        point = cursor.live
        assert point is not None, "a cursor of a live source"
        before, self._point = self.state, point
        if not with_frame:
            pause_s = ASK_AGAIN_S if point.state == "live" else ASK_AGAIN_LATER_S
            self._ask_at_s = time.monotonic() + pause_s
        if point.state != before:
            self._on_state(self.summary())

    def tell(self) -> None:
        """How it stands, although the state is the same."""
        self._on_state(self.summary())

    def note_age(self, what: str, batches: Iterable[DoneBatch]) -> None:
        """How old frames are whose maps are done, or that are written."""
        now_s = time.time()
        self._ages_s[what].extend(now_s - batch.came_s for batch in batches if batch.came_s is not None)

    def summary(self) -> dict[str, Any]:
        """For run.json."""
        point = self._point
        if point is None:
            return {"state": self.state}
        return {
            "state": point.state,
            "since": utc(point.since_s),
            "reason": point.reason,
            "connections": point.num_connections,
            "gaps": point.num_gaps,
            "lost_s": round(point.lost_s, 3),
            "left_out_frames": point.num_dropped,
            "clock_jumps": point.num_jumps,
            "segments": point.num_segments,
            "age": {what: summary_ms(ages) for what, ages in self._ages_s.items() if ages},
        }
