"""Capturing a live source: a thread that connects, decodes, and connects anew for as long as it is wanted.

It holds one picture. While nobody takes that, a newer one takes its place, or the source has to wait. The
life of a connection: it is opened, and its first picture makes the source live; an error, an end, or no
picture for `input.frame_timeout_s` lose it; after a pause that doubles each time, up to `LONGEST_PAUSE_S`,
the next one is tried. It ends when a pipe ends, when the stretch that is wanted is over, or when too many
tries in a row have failed.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import ConnectionLostError, SourceError
from stages.live_clock import TIME_BASE, LiveClock
from stages.live_connection import MOST_SOUND_PACKETS, LiveConnection
from stages.messages import Gap, LiveState, Sound, SoundPacket

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from stages.source import Source

log = logging.getLogger(__name__)
WAIT_S = 0.003
"""How long the next picture is waited for: a pipe's is decoded by then. Other streams wait meanwhile."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STALLED_S = 2.0
"""A source that shows nothing for so long, or for `STALLED_PICTURES`, is stalled: a gap in the stream."""
STALLED_PICTURES = 5
STEADY_S = 3.0
"""A connection that has shown pictures for so long was a good one: trying begins anew when it is lost."""
SOUND_OVERLAP = round(0.01 / TIME_BASE)
"""Packets may overlap by so much, or half of themselves, as clocks jitter; more was heard already."""
SOUND_APART_S = 5
"""What was heard lies between two pictures, or not farther than this from them."""
ENDED = "the source has ended"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """One picture of a live source, not converted yet."""

    frame: VideoFrame
    pts: int
    """In units of `TIME_BASE`, larger than that of the picture before."""
    duration: int
    """Until the next one that is wanted, by the source's rate; in the same units, at least 1."""
    came_s: float
    """Seconds since 1970, UTC."""
    gap: Gap | None
    """What is missing before it, or before those that were left out for it."""
    sound: Sound | None
    """What was heard since the last picture that was held and taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStatus:
    """How a capture stands; counts are of this capture alone."""

    state: LiveState
    since_s: float
    reason: str
    num_connections: int
    num_dropped: int
    num_jumps: int
    corrupt_packets: int


class LiveCapture:
    """The pictures of one live source."""

    def __init__(self, source: Source, clock: LiveClock, last_came_s: float | None = None) -> None:
        """`last_came_s`: when the last picture came, if another process has captured before."""
        self._source, self._clock = source, clock
        self._closing = threading.Event()
        self._changed = threading.Condition()
        """Guards what both threads use: slot, error, state and counts."""
        self._slot: Captured | None = None
        self._error: Exception | None = None
        self._state: LiveState = "connecting"
        self._reason = ""
        self._since_s = self._waiting_since_s = time.time()
        self._last_came_s, self._last_pts = last_came_s, 0
        self._lost_for = "" if last_came_s is None else "the process that read it was started anew"
        """Why a stretch is missing before the next picture; empty: none is, as far as is known."""
        self._heard: deque[SoundPacket] = deque(maxlen=MOST_SOUND_PACKETS)
        """Since the last picture that was held and taken; but for what is in the slot with one."""
        self._heard_until = 0
        """Where the last packet of sound ended."""
        self._told_apart = False
        """Was it said that sound is left out?"""
        self._gap: Gap | None = None
        """What is missing before the next picture that comes into the slot."""
        self._stalled_s = STALLED_S
        self._num_seen = self._num_failed = self._num_connections = self._num_dropped = 0
        self._corrupt_before = 0
        """Corrupt packets of the connections before."""
        self._connection: LiveConnection | None = None
        self._live_since_s: float | None = None
        """When the connection showed its first picture, by the monotonic clock."""
        self._thread = threading.Thread(target=self._run, name=f"capture {source.name}", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Captured | None, CaptureStatus]:
        """The picture that is held, if there is one, and how the capture stands; raises what ended it."""
        with self._changed:
            if self._state == "live":
                self._changed.wait_for(lambda: self._slot or self._error or self._state != "live", WAIT_S)
            captured, self._slot = self._slot, None
            if captured is not None:
                self._waiting_since_s = time.time()
                self._changed.notify_all()
            elif self._error is not None:
                raise self._error
            elif self._state != "live" and self._is_over(self._clock.now()):
                self._set_state("ended")  # it has not come back in time
            return captured, self._status()

    def close(self) -> None:
        """End the capture: its thread ends with the next picture, or when FFmpeg gives up waiting for one."""
        self._closing.set()
        with self._changed:
            self._changed.notify_all()

    # the thread

    def _run(self) -> None:
        try:
            while not self._closing.is_set() and self._state != "ended":
                self._use_one_connection()
        except Exception as error:  # told by `take`
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _use_one_connection(self) -> None:
        try:
            connection = LiveConnection(self._source)
        except SourceError as error:
            if self._source.is_pipe:  # what it was at is gone with the process that read it before
                raise ConnectionLostError(f"{self._source.label}: cannot be read on ({error})") from None
            self._lose(str(error))
            return
        self._clock.connect(in_real_time=not connection.ends_for_good)
        with self._changed:
            self._connection = connection
            self._heard.clear()
        is_new = True
        try:
            for frame in connection.pictures():
                if is_new:
                    self._go_live(connection)
                is_new = False
                self._show(frame, connection)
                if self._closing.is_set() or self._state == "ended":
                    return
            reason = ENDED
        except ConnectionLostError as error:
            reason = str(error)
        finally:
            with self._changed:
                self._connection = None
                self._corrupt_before += connection.corrupt_packets
            connection.close()
        if connection.ends_for_good and reason == ENDED:
            with self._changed:
                self._set_state("ended")
        else:
            self._lose(reason)

    def _go_live(self, connection: LiveConnection) -> None:
        with self._changed:
            self._num_connections += 1
            self._live_since_s = time.monotonic()
            self._stalled_s = max(STALLED_S, float(STALLED_PICTURES / connection.rate))
            self._set_state("live")

    def _lose(self, reason: str) -> None:
        """Note that the source is gone, and pause; ConnectionLostError if it was tried often enough.

        A connection that showed something, but not for long, counts as a try that failed.
        """
        with self._changed:
            was_steady = self._live_since_s is not None and time.monotonic() - self._live_since_s > STEADY_S
            self._live_since_s = None
            self._num_failed = 0 if was_steady else self._num_failed + 1
            self._lost_for = self._lost_for or reason
            self._set_state("reconnecting" if self._num_connections else "connecting", reason)
            retries = self._source.rules.max_retries
            if retries is not None and self._num_failed >= retries:
                raise ConnectionLostError(
                    f"{self._source.label}: is lost, {self._num_failed} tries to connect failed ({reason})"
                )
            pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._num_failed)
        self._closing.wait(pause_s * random.uniform(0.5, 1.0))  # many cameras of one switch come back at once

    def _show(self, frame: VideoFrame, connection: LiveConnection) -> None:
        """Put the picture into the slot, if it is wanted."""
        source_s = None if frame.pts is None else frame.pts * connection.time_base
        if connection.comes_in_bursts and source_s is not None:
            self._closing.wait(self._clock.early_by_s(source_s, time.time()))
        came_s = time.time()
        pts = self._clock.pts(source_s, came_s)
        with self._changed:
            missing = self._missing_before(came_s, pts)
            if self._waits(connection):
                self._changed.wait_for(lambda: self._slot is None or self._closing.is_set())
            self._gap = _joined(self._gap, missing)
            self._hear(connection, pts)
            self._last_came_s, self._last_pts, self._lost_for = came_s, pts, ""
            self._waiting_since_s = time.time()
            if self._is_over(pts):
                self._set_state("ended")
            elif self._num_seen % self._source.stride == 0:
                self._num_dropped += self._slot is not None
                sound = self._heard_until_now(connection)
                gap = _joined(self._slot.gap if self._slot is not None else None, self._gap)
                duration = max(1, round(self._source.stride / connection.rate / TIME_BASE))
                self._slot = Captured(
                    frame=frame, pts=pts, duration=duration, came_s=came_s, gap=gap, sound=sound
                )
                self._gap = None
                self._changed.notify_all()
            self._num_seen += 1

    def _waits(self, connection: LiveConnection) -> bool:
        """Has the source to wait while a picture is held?"""
        on_full = self._source.rules.on_full
        return on_full == "wait" or (on_full == "auto" and connection.ends_for_good)

    def _missing_before(self, came_s: float, pts: int) -> Gap | None:
        """What is missing before a picture that came just now.

        Without a new connection its own time decides: what comes late, but all of it, leaves no gap.
        """
        if self._last_came_s is None:
            return None
        if self._lost_for:
            end_s = max(came_s, self._last_came_s)  # the wall clock may have been set back
            return Gap(start_s=self._last_came_s, end_s=end_s, reason=self._lost_for)
        step_s = float((pts - self._last_pts) * TIME_BASE)
        if step_s <= self._stalled_s:
            return None
        reason = f"the source showed nothing for {step_s:.1f} s"
        return Gap(start_s=self._last_came_s, end_s=self._last_came_s + step_s, reason=reason)

    def _hear(self, connection: LiveConnection, picture_pts: int) -> None:
        """Take what was heard before a picture, but for what is far from it."""
        for packet in connection.take_sound():
            if packet.pts is None:
                continue
            pts = self._clock.at(packet.pts * packet.time_base, near=picture_pts)
            if pts is None or pts < 0:
                continue
            apart_s = float(max(self._last_pts - pts, pts - picture_pts) * TIME_BASE)
            if apart_s > SOUND_APART_S:
                if not self._told_apart:
                    log.warning("%s: sound %.0f s from its picture is left out", self._source.label, apart_s)
                self._told_apart = True
                continue
            duration = round((packet.duration or 0) * packet.time_base / TIME_BASE)
            if pts >= self._heard_until - max(SOUND_OVERLAP, duration // 2):
                self._heard.append(SoundPacket(pts=pts, duration=duration, content=bytes(packet)))
                self._heard_until = pts + duration

    def _heard_until_now(self, connection: LiveConnection) -> Sound | None:
        """What goes with a new picture: also what went with the one that it takes the place of."""
        held: tuple[SoundPacket, ...] = ()
        if self._slot is not None and self._slot.sound is not None and self._gap is None:
            held = self._slot.sound.packets
        packets = (*held, *self._heard)[-MOST_SOUND_PACKETS:]
        self._heard.clear()
        if not packets or connection.sound_track is None:
            return None
        return Sound(track=connection.sound_track, packets=packets)

    # both threads, with the lock

    def _status(self) -> CaptureStatus:
        state, since_s = self._state, self._since_s
        waits = self._slot is None and time.time() - self._waiting_since_s > self._stalled_s
        if state == "live" and waits:
            state, since_s = "stalled", self._waiting_since_s
        connection = self._connection
        return CaptureStatus(
            state=state,
            since_s=since_s,
            reason=self._reason,
            num_connections=self._num_connections,
            num_dropped=self._num_dropped,
            num_jumps=self._clock.num_jumps,
            corrupt_packets=self._corrupt_before + (connection.corrupt_packets if connection else 0),
        )

    def _is_over(self, pts: int) -> bool:
        """Does that time lie behind the stretch that is wanted?"""
        return self._source.end_s is not None and pts * TIME_BASE >= self._source.end_s

    def _set_state(self, state: LiveState, reason: str = "") -> None:
        if state != self._state:
            self._since_s = time.time()
        self._state, self._reason = state, reason
        self._changed.notify_all()


def _joined(earlier: Gap | None, later: Gap | None) -> Gap | None:
    """All that is missing before a picture, where pictures between two gaps were left out."""
    if earlier is None or later is None:
        return earlier or later
    return Gap(start_s=earlier.start_s, end_s=later.end_s, reason=f"{earlier.reason}; {later.reason}")
