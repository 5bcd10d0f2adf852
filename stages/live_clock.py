"""The times of a live stream: the source's own while it is connected, the wall clock's in between.

Time 0 is when the first picture came. Each connection has times of its own, which may begin anywhere: they
are moved so that its first picture has the time at which it came. So a stretch that is missing is as long as
it was.
"""

from __future__ import annotations

import time
from fractions import Fraction

TIME_BASE = Fraction(1, 90_000)
"""That of RTP; of every live stream, whatever its source counts in."""
BACK_S = 1.0
"""A time that lies further back than this has jumped; one that lies less far back is a slip."""
AHEAD_S = 5.0
"""One that runs ahead of the wall clock by more than this from one picture to the next has jumped, too."""


AROUND_S = 2.0
"""For how long after a jump sound may still be of the time before it."""


class LiveClock:
    """Gives each picture its time, which always increases."""

    def __init__(self, began_s: float | None = None, last_pts: int | None = None) -> None:
        """`began_s`: when the stream began, if it has; `last_pts`: what the last picture got."""
        self._in_real_time = True
        self.began_s = began_s
        """When the first picture came: seconds since 1970, UTC."""
        self.num_jumps = 0
        self._last_pts = last_pts
        self._step = 1
        """From the picture before the last one to that."""
        self._shift_s: Fraction | None = None
        """What is added to the source's times; None before the first picture of a connection."""
        self._shift_before_s: Fraction | None = None
        """The same before the last jump, for a while; None without one."""
        self._jumped_s = 0.0
        """When that was."""
        self._before: tuple[Fraction, float] | None = None
        """Source's time of the picture before, and when it came."""

    def connect(self, *, in_real_time: bool = True) -> None:
        """A new connection: its times have nothing to do with those before.

        `in_real_time`: what it shows happens now, so its times cannot run ahead of the wall clock.
        """
        self._in_real_time = in_real_time
        self._shift_s = self._shift_before_s = self._before = None

    def pts(self, source_s: Fraction | None, came_s: float) -> int:
        """The time of the next picture, in units of `TIME_BASE`.

        `source_s` is what the source says, None if it says nothing, `came_s` when it came.
        """
        if self.began_s is None:
            self.began_s = came_s
        elapsed_s = Fraction(came_s) - Fraction(self.began_s)
        if source_s is None:
            time_s = elapsed_s
        else:
            jumps = self._jumps(source_s, came_s)
            self.num_jumps += jumps
            if self._shift_s is None or jumps:
                self._shift_before_s, self._jumped_s = self._shift_s, came_s
                self._shift_s = self._goes_on_at_s(elapsed_s, came_s) - source_s
            elif came_s - self._jumped_s > AROUND_S:
                self._shift_before_s = None
            self._before = source_s, came_s
            time_s = source_s + self._shift_s
        pts = max(0, round(time_s / TIME_BASE))
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
            self._step = pts - self._last_pts
        self._last_pts = pts
        return pts

    def _goes_on_at_s(self, elapsed_s: Fraction, came_s: float) -> Fraction:
        """The time of the first picture of a connection, or behind a jump.

        A pipe may be read faster or more slowly than its pictures happened.
        """
        if self._in_real_time or self._last_pts is None:
            return elapsed_s
        last_s, step_s = self._last_pts * TIME_BASE, self._step * TIME_BASE
        if self._before is None:
            return max(elapsed_s, last_s + step_s)
        return last_s + max(step_s, Fraction(came_s - self._before[1]))

    def at(self, source_s: Fraction, near: int) -> int | None:
        """The time of what the source tells beside its pictures; None before a connection's first one.

        Around a jump it may be of either side: that which is nearer to the time `near`.
        """
        shifts_s = (shift_s for shift_s in (self._shift_s, self._shift_before_s) if shift_s is not None)
        times = (round((source_s + shift_s) / TIME_BASE) for shift_s in shifts_s)
        return min(times, key=lambda time: abs(time - near), default=None)

    def now(self) -> int:
        """The time that a picture would get that comes now from a new connection."""
        return 0 if self.began_s is None else round(Fraction(time.time() - self.began_s) / TIME_BASE)

    def early_by_s(self, source_s: Fraction, now_s: float) -> float:
        """How long before its time a picture is there; 0 if its time has come."""
        if self._shift_s is None or self.began_s is None or self._jumps(source_s, now_s):
            return 0.0
        early_s = self.began_s + float(source_s + self._shift_s) - now_s
        return early_s if 0 < early_s < AHEAD_S else 0.0  # or the wall clock was set back

    def _jumps(self, source_s: Fraction, came_s: float) -> bool:
        if self._before is None:
            return False
        before_s, before_came_s = self._before
        step_s = float(source_s - before_s)
        is_ahead = self._in_real_time and step_s > max(0.0, came_s - before_came_s) + AHEAD_S
        return is_ahead or step_s < -BACK_S
