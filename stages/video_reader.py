"""Reading a video: its pictures in the order of presentation, with times that always increase.

A place in a video is found again in one of two ways that give the same pictures. Quick: seek to a
keyframe before it and decode up to the picture with that very time. Certain: decode from the start
of the stretch and count. The quick way needs every time up to there to be sound, so it is checked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError, InvalidDataError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from configs.errors import ConnectionLostError, SourceError
from stages.conversion import upright_rgb
from stages.source import END_SLACK_S
from stages.video_open import open_video

if TYPE_CHECKING:
    import numpy as np

    from stages.messages import Cursor
    from stages.source import Source

AnyPacket = TypeVar("AnyPacket")
READ_FAILURES_MAX = 16
"""Reads that may fail one after the other before the rest of a file is given up."""
SEEK_BACK_S = (0, 10)
"""How far before the wanted time a seek is tried; then the file is read from its start."""
_TAIL = 0.05
"""Part of a file behind its last picture: an index, or sound that is longer."""
JUMP_S = 1
"""A time that lies further back than this begins a new count; one that lies less far back is a slip."""
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One decoded picture, not converted yet."""

    pts: int
    """Presentation time in the stream's time base, larger than that of the picture before."""
    duration: int
    """Until the next picture that is wanted, or the end; in the stream's time base, at least 1."""
    frame: VideoFrame


def packets_of(demux: Callable[[], Iterator[AnyPacket]]) -> Iterator[AnyPacket]:
    """What a container's `demux` gives, for as long as it gives something.

    PyAV raises IndexError at a packet of a track that was not there when the file was opened, as happens in
    transport streams; those are passed over.
    """
    while True:
        try:
            yield from demux()
            return
        except IndexError:
            continue


class VideoReader:
    """The stretch of one video that a source asks for, from its first picture on."""

    container: InputContainer
    stream: VideoStream
    corrupt_packets: int
    """Packets that could not be read or decoded so far."""
    _frames: Generator[VideoFrame]
    """What comes from the decoder."""
    _ahead: VideoFrame | None
    """The next frame, where finding it meant decoding it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._last: int | None = None
        """Time of the last picture that was read."""
        self._goes_on = False
        """Were pictures read by another reader before?"""
        self._reopen()
        time_base = self.stream.time_base
        assert time_base is not None
        self.time_base: Fraction = time_base
        context = self.stream.codec_context
        self._width, self._height = context.width, context.height
        self._origin = self.stream.start_time or 0
        self._start = self._origin + math.ceil(Fraction(str(source.start_s)) / time_base)
        self._end: int | None = None
        if source.end_s is not None:
            self._end = self._origin + math.ceil(Fraction(str(source.end_s)) / time_base)
        ends = [self._end, self._origin + self.stream.duration if self.stream.duration else None]
        self._last_end = min((end for end in ends if end is not None), default=None)
        self._stride = source.stride
        self._step = max(1, round(1 / (self.stream.average_rate or DEFAULT_RATE) / time_base))
        self.num_read = 0
        """Pictures of the stretch read so far."""
        self._shift = 0
        """What is added to the file's times since they jumped back."""
        self._go_to_start()

    def read(self) -> Picture | None:
        """The next picture of the stretch; None at its end."""
        frame = self._ahead or next(self._frames, None)
        self._ahead = None
        if frame is None:
            return None
        duration = frame.duration or self._step
        pts = self._increasing(frame.pts if frame.pts is not None else frame.dts)
        if self._end is not None and pts >= self._end:
            return None
        self._last = pts
        self.num_read += 1
        return Picture(pts=pts, duration=self._until_next(pts, duration), frame=frame)

    def go_behind(self, cursor: Cursor) -> None:
        """Make the picture after that of the cursor the next one."""
        assert cursor.pts is not None
        self._goes_on = True
        sound = cursor.corrupt_packets == 0 and has_sound_times(self._source, cursor.pts)
        if sound:
            found = self._seek_frame(cursor.pts)
            if found is not None and found.pts == cursor.pts:
                self._ahead, self._last, self.num_read = None, cursor.pts, cursor.source_index + 1
                return
        self._reopen()
        self._last, self._shift, self.num_read = None, 0, 0
        self._go_to_start()
        while self.num_read <= cursor.source_index and self.read():
            pass

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """(H, W, 3) uint8: `upright_rgb`, in the size that the header gives."""
        size, rules = (self._height, self._width), self._source.rules
        return upright_rgb(frame, size, deinterlace=rules.deinterlace)

    def close(self) -> None:
        """Give the file back."""
        self._frames.close()
        self.container.close()

    # finding a place

    def _reopen(self) -> None:
        self.container, self.stream = open_video(self._source)
        self.corrupt_packets = 0
        self._frames, self._ahead = self._decoded(), None

    def _go_to_start(self) -> None:
        """Make the first picture of the stretch the next one."""
        if self._start <= self._origin:
            return
        self._ahead = self._seek_frame(self._start)
        if self._ahead is None:
            self._reopen()
            self._ahead = self._first_from(self._start)

    def _seek_frame(self, pts: int) -> VideoFrame | None:
        """The first frame at or after that time, from a keyframe before it; None if that finds none."""
        for back_s in SEEK_BACK_S:
            try:
                self.container.seek(pts - round(back_s / self.time_base), stream=self.stream)
            except FFmpegError:
                continue
            self._frames.close()
            self._frames, self.corrupt_packets = self._decoded(), 0
            # what stands before the keyframe may refer to pictures that the seek has jumped over
            keyframe = next((frame for frame in self._frames if frame.key_frame), None)
            if keyframe is not None and keyframe.pts is not None and keyframe.pts <= pts:
                return keyframe if keyframe.pts == pts else self._first_from(pts)
        return None

    def _first_from(self, pts: int) -> VideoFrame | None:
        for frame in self._frames:
            if frame.pts is not None and frame.pts >= pts:
                return frame
        return None

    # decoding

    def _decoded(self) -> Generator[VideoFrame]:
        failures = 0
        while failures < READ_FAILURES_MAX:
            try:
                for packet in self._received(packets_of(partial(self.container.demux, self.stream))):
                    failures = 0
                    yield from self._decode(packet)
                return
            except FFmpegError as error:
                if self._source.is_remote and not isinstance(error, InvalidDataError):
                    timed_out = isinstance(error, ExitError)
                    raise self._lost_connection(self._silence() if timed_out else error.strerror) from None
                if failures == 0:
                    self._count_corrupt(error)
                failures += 1
        yield from self._decode(None)

    def _received(self, packets: Iterator[av.Packet[VideoStream]]) -> Iterator[av.Packet[VideoStream]]:
        """The packets; an error where a server sends nothing for too long, or hangs up early."""
        if not self._source.is_remote:
            yield from packets
            return
        timeout_s, end, end_byte = self._source.rules.read_timeout_s, self._origin, 0
        while True:
            began_s = time.monotonic()
            packet = next(packets, None)
            if time.monotonic() - began_s >= timeout_s:
                raise self._lost_connection(self._silence())
            if packet is None:
                return
            if packet.size:
                end = max(end, (packet.pts or 0) + (packet.duration or self._step))
                end_byte = max(end_byte, (packet.pos or 0) + packet.size)
            elif self._ends_early(end, end_byte):
                raise self._lost_connection("the server hung up")
            yield packet

    def _ends_early(self, end: int, end_byte: int) -> bool:
        """Is less there than the header promises in time, and than the server promised in bytes?

        A file that is damaged in itself has the bytes; one whose sound is longer, nearly all of them.
        """
        stream, container = self.stream, self.container
        if stream.duration is not None:
            missing_s = (self._origin + stream.duration - end) * self.time_base
        elif container.duration is not None:
            first_s = Fraction(container.start_time or 0, 1_000_000)
            missing_s = first_s + Fraction(container.duration, 1_000_000) - end * self.time_base
        else:
            missing_s = Fraction(1)
        return missing_s > END_SLACK_S and end_byte < (1 - _TAIL) * container.size

    def _silence(self) -> str:
        return f"nothing came for {self._source.rules.read_timeout_s:g} s"

    def _lost_connection(self, reason: str | None) -> SourceError | ConnectionLostError:
        label = self._source.label
        if self._last is None and not self._goes_on:
            return SourceError(
                f"{label}: no picture has come ({reason}); try again. From a server that sends whole files "
                "alone only videos can be read whose index comes first: ffmpeg -i IN -c copy -movflags "
                "+faststart OUT"
            )
        return ConnectionLostError(
            f"{label}: the connection was lost{self._after()} ({reason}); --resume goes on"
        )

    def _decode(self, packet: av.Packet[VideoStream] | None) -> list[VideoFrame]:
        try:  # marked as corrupt or not: transport streams mark packets that decode well
            return self.stream.decode(packet)
        except FFmpegError as error:
            self._count_corrupt(error)
            return []

    def _count_corrupt(self, error: FFmpegError) -> None:
        self.corrupt_packets += 1
        if self._source.rules.corrupt_packets == "fail":
            raise SourceError(
                f"{self._source.label}: a packet{self._after()} cannot be decoded ({error.strerror}); "
                "--set input.corrupt_packets=skip goes on without it"
            ) from None  # PyAV's error tells the whole address

    def _after(self) -> str:
        """Where in the video it is."""
        return f" after {float(self._last * self.time_base):.3f} s" if self._last is not None else ""

    def _until_next(self, pts: int, duration: int) -> int:
        """How long a picture stands in place of those that the stride leaves out, up to the end at most."""
        until_next = duration * self._stride
        if self._last_end is not None:
            until_next = min(until_next, self._last_end - pts)
        return max(duration, until_next)

    def _increasing(self, pts: int | None) -> int:
        """The time of a picture, moved behind that of the one before where the file's time is not."""
        last = self._last
        if last is None:
            return pts if pts is not None else self._origin
        if pts is None:
            return last + self._step
        pts += self._shift
        if pts > last:
            return pts
        if (last - pts) * self.time_base < JUMP_S:
            return last + 1
        self._shift += last + self._step - pts
        return last + self._step


def has_sound_times(source: Source, until: int) -> bool:
    """Whether every packet up to that time has one, none twice, and keyframes never go back."""
    container, stream = open_video(source)
    seen: set[int] = set()
    last_key: int | None = None
    try:
        for packet in packets_of(partial(container.demux, stream)):
            if packet.size == 0:
                continue
            if packet.pts is None or packet.pts in seen:
                return False
            seen.add(packet.pts)
            if not packet.is_keyframe:
                continue
            if last_key is not None and packet.pts <= last_key:
                return False
            last_key = packet.pts
            if last_key > until:
                return True
    except FFmpegError:
        return not source.is_remote  # a file ends early: what is left is sound
    finally:
        container.close()
    return True
