"""One connection to a live source: the pictures that it shows, until it is lost."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av.error import ExitError, FFmpegError, InvalidDataError

from configs.errors import ConnectionLostError
from stages.live_sound import copied_track, describe_track
from stages.video_open import is_playlist, open_video
from stages.video_reader import DEFAULT_RATE, READ_FAILURES_MAX, packets_of

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.video.frame import VideoFrame

    from stages.source import Source

log = logging.getLogger(__name__)

MOST_SOUND_PACKETS = 3000
"""About a minute of AAC is kept while no picture comes, or nobody takes one."""


class LiveConnection:
    """An open live source. SourceError, as it is made, if it cannot be opened."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.container, self.stream = open_video(source)
        assert self.stream.time_base is not None
        self.time_base: Fraction = self.stream.time_base
        self.rate: Fraction = self.stream.average_rate or self.stream.guessed_rate or DEFAULT_RATE
        """Pictures a second, as far as the source says."""
        has_end = self.container.duration is not None
        self.ends_for_good = source.is_pipe or (is_playlist(self.container) and has_end)
        """Is its end the end? A server or a camera may come back."""
        self.comes_in_bursts = is_playlist(self.container) and not has_end
        """Do many pictures come at once, although they happened one after the other?"""
        self._sound = copied_track(self.container) if source.rules.sound else None
        self._heard = self._nothing_heard()
        self.sound_track: bytes | None = None
        """What the packets of its sound are, when the first has come: see `Sound`."""
        self.corrupt_packets = 0
        """Packets that could not be decoded, and pictures that lack what was lost on the way."""

    def pictures(self) -> Iterator[VideoFrame]:
        """Until the source ends; ConnectionLostError if it fails, or shows none for `input.frame_timeout_s`.

        Time that the caller takes over a picture does not count. A pipe may pause for as long as it likes,
        since it could not be opened again where it was.
        """
        failures = 0
        timeout_s = math.inf if self._source.is_pipe else self._source.rules.frame_timeout_s
        while True:
            waiting_s = time.monotonic()
            try:
                # of all tracks: sound alone would hide that no picture comes
                for packet in packets_of(self.container.demux):
                    # when it gives up, FFmpeg hands out what it had held back: that is not shown so late
                    if time.monotonic() - waiting_s >= timeout_s:
                        raise ConnectionLostError(f"no picture for {timeout_s:g} s")
                    for frame in self._decoded(packet):
                        failures = 0
                        yield frame
                        waiting_s = time.monotonic()
                return
            except InvalidDataError:
                self.corrupt_packets += 1
                failures += 1
                if failures >= READ_FAILURES_MAX:
                    raise ConnectionLostError("what it sends cannot be read") from None
            except ExitError:
                raise ConnectionLostError(f"no picture for {timeout_s:g} s") from None
            except FFmpegError as error:
                raise ConnectionLostError(error.strerror) from None

    def take_sound(self) -> Iterable[Packet[AudioStream]]:
        """The packets of sound that have come since it was asked last."""
        heard, self._heard = self._heard, self._nothing_heard()
        return heard

    def _nothing_heard(self) -> deque[Packet[AudioStream]]:
        return deque(maxlen=MOST_SOUND_PACKETS)

    def close(self) -> None:
        """Hang up."""
        self.container.close()

    def _decoded(self, packet: Packet[Any]) -> Iterator[VideoFrame]:
        if self._sound is not None and packet.stream_index == self._sound.index and packet.size:
            self._hear(packet)
        if packet.stream_index != self.stream.index:
            return
        if packet.size == 0 and not self.ends_for_good:
            return  # what the decoder has held back came before whatever ended the connection
        try:
            frames = self.stream.decode(packet)
        except FFmpegError:
            self.corrupt_packets += 1
            return
        for frame in frames:
            if frame.is_corrupt:
                self.corrupt_packets += 1
            else:
                yield frame

    def _hear(self, packet: Packet[AudioStream]) -> None:
        try:
            self.sound_track = self.sound_track or describe_track(packet)
        except (FFmpegError, ValueError) as error:
            log.warning("%s: its sound cannot be copied (%s)", self._source.label, error)
            self._sound = None
        else:
            self._heard.append(packet)
