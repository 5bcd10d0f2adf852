"""What a joined video takes from its source beside the pictures: sound, and subtitles that are text.

Sound is copied packet by packet. Subtitles are copied, or put into the one form that an MP4 carries; those
that are pictures stay behind, and so does sound that players do not know in an MP4.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from av import Packet
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.subtitles.stream import SubtitleStream

from configs.errors import ConnectionLostError
from stages.video_open import open_container
from stages.video_reader import packets_of

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

    from stages.results import WrittenRun
    from stages.source import Source

    AnyPacket = Packet[Any]
    TimedPacket = tuple[Fraction, int, AnyPacket]
    """When to mux it, the number of its track (so that packets need not be compared), and the packet."""

log = logging.getLogger(__name__)

CARRIED_AUDIO = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})
"""Codecs of sound that an MP4 can carry and that players know there."""
MP4_TEXT = "mov_text"
CARRIED_TEXT = frozenset({MP4_TEXT, "ass", "srt", "ssa", "subrip", "text", "webvtt"})
"""Codecs of subtitles that are text."""
TAIL_S = 0.5
"""Sound up to the end of the source is kept if the last frame ends this close to the end of its pictures."""
_BEFORE_S = 20
"""How far before the stretch reading begins: a subtitle that begins there may last into it."""


@dataclass(frozen=True, slots=True)
class _Track:
    """One of the joined video's tracks."""

    stream: Stream
    is_text: bool
    convert: Callable[[AnyPacket], AnyPacket | None]
    """A packet for it with the content of one of the source; None if it has none that can be read."""


class SideTracks:
    """Sound and subtitles of a source, open for reading; use as a context manager."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._container = _opened(source)
        self._tracks: dict[int, _Track] = {}
        """By the index in the source."""

    def __enter__(self) -> SideTracks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is not None:
            self._container.close()

    @property
    def start_s(self) -> Fraction:
        """When the source starts, by its header."""
        start = self._container.start_time if self._container is not None else None
        return Fraction(start or 0, 1_000_000)

    def add_to(self, output: OutputContainer) -> None:
        """Give the output a track for each one that it can carry."""
        for stream in self._container.streams if self._container is not None else ():
            track = None
            if isinstance(stream, AudioStream):
                track = _sound_track(output, stream, self._source.label)
            elif isinstance(stream, SubtitleStream):
                track = _text_track(output, stream, self._source.label)
            if track is not None:
                self._tracks[stream.index] = track
                if "language" in stream.metadata:
                    track.stream.metadata["language"] = stream.metadata["language"]

    def packets(self, runs: Sequence[WrittenRun], zero_s: Fraction) -> Iterator[TimedPacket]:
        """Those that lie in the stretch, moved to the time of the video; but for those out of order."""
        container, label = self._container, self._source.label
        if container is None or not self._tracks:
            return
        start_s = zero_s if self._source.start_s > 0 else None
        end_s = _end_s(container, runs, self._source)
        try:
            if start_s is not None:
                container.seek(int((start_s - _BEFORE_S) * 1_000_000))
            copied = [stream for stream in container.streams if stream.index in self._tracks]
            for packet in in_order(packets_of(lambda: container.demux(*copied)), label):
                track = self._tracks[packet.stream_index]
                if track.is_text:
                    _cut(packet, start_s, end_s)
                assert packet.pts is not None
                time_s = packet.pts * packet.time_base
                if (start_s is not None and time_s < start_s) or (end_s is not None and time_s >= end_s):
                    continue
                if (moved := _moved(packet, track, zero_s)) is not None:
                    yield time_s - zero_s, 1, moved
        except FFmpegError as error:
            if self._source.is_remote:
                raise _lost_connection(self._source, error) from None
            log.warning("%s: its sound is copied only in part (%s)", label, error.strerror)


def _opened(source: Source) -> InputContainer | None:
    """The source, if it may hold sound that is wanted. ConnectionLostError if a server has gone meanwhile."""
    if source.kind != "video" or not source.rules.sound:
        return None
    try:
        return open_container(source)
    except FFmpegError as error:
        if source.is_remote:
            raise _lost_connection(source, error) from None
        log.warning("%s: its sound cannot be read any longer (%s)", source.label, error.strerror)
        return None


def _lost_connection(source: Source, error: FFmpegError) -> ConnectionLostError:
    return ConnectionLostError(
        f"{source.label}: the connection was lost while its sound was read ({error.strerror}); "
        "--resume reads it again"
    )


def _sound_track(output: OutputContainer, stream: AudioStream, label: str) -> _Track | None:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    if stream.codec_context is not None and not stream.codec_context.sample_rate:
        log.warning("%s: a track of sound is left out, as nothing of it is there", label)
    elif codec in CARRIED_AUDIO:
        return _Track(output.add_stream_from_template(stream, opaque=True), False, _as_it_is)
    else:
        log.warning("%s: its sound is left out, as an MP4 cannot carry %s", label, codec)
    return None


def _text_track(output: OutputContainer, stream: SubtitleStream, label: str) -> _Track | None:
    codec = stream.codec_context.name if stream.codec_context else "unknown"
    if codec == MP4_TEXT:
        return _Track(output.add_stream_from_template(stream, opaque=True), True, _as_it_is)
    if codec not in CARRIED_TEXT:
        log.warning("%s: subtitles are left out, as an MP4 cannot carry %s", label, codec)
        return None
    decoder = stream.codec_context
    decoder.open(strict=False)
    added = output.add_stream(MP4_TEXT)
    assert isinstance(added, SubtitleStream)
    encoder = added.codec_context
    encoder.subtitle_header = decoder.subtitle_header
    encoder.time_base = added.time_base = Fraction(1, 1000)

    def converted(packet: AnyPacket) -> AnyPacket | None:
        try:
            subtitle = decoder.decode2(packet)
        except FFmpegError:
            return None
        if subtitle is None:
            return None
        text: AnyPacket = Packet(bytes(encoder.encode_subtitle(subtitle)))
        text.pts, text.dts, text.duration = packet.pts, packet.dts, packet.duration
        text.time_base = packet.time_base
        return text

    return _Track(added, True, converted)


def _as_it_is(packet: AnyPacket) -> AnyPacket:
    return packet


def _moved(packet: AnyPacket, track: _Track, zero_s: Fraction) -> AnyPacket | None:
    converted = track.convert(packet)
    if converted is None or converted.pts is None or converted.dts is None:
        return None
    shift = round(zero_s / converted.time_base)
    converted.pts, converted.dts = converted.pts - shift, converted.dts - shift
    converted.stream = track.stream
    return converted


def _cut(packet: AnyPacket, start_s: Fraction | None, end_s: Fraction | None) -> None:
    """Shorten a subtitle to what is shown of it in the stretch."""
    assert packet.pts is not None
    first, last = packet.pts, packet.pts + (packet.duration or 0)
    if start_s is not None:
        first = min(max(first, math.ceil(start_s / packet.time_base)), last)
    if end_s is not None:
        last = max(min(last, math.floor(end_s / packet.time_base)), first)
    packet.pts = packet.dts = first
    packet.duration = last - first


def in_order(packets: Iterable[AnyPacket], label: str) -> Iterator[AnyPacket]:
    """Packets whose times increase in each track; those that jump back or ahead are left out."""
    held: dict[int, AnyPacket] = {}
    """The last of each track: the next one tells whether its time jumped ahead."""
    last: dict[int, int] = {}
    num_left_out = 0
    for packet in packets:
        if packet.pts is None or packet.dts is None:
            continue
        track, dts = packet.stream_index, packet.dts
        before = held.get(track)
        before_dts = before.dts if before is not None else None
        if packet.pts < dts or (before_dts is not None and dts <= before_dts):
            num_left_out += 1
            if packet.pts >= dts and dts > last.get(track, dts - 1):
                held[track] = packet  # the one before is left out
            continue
        if before is not None and before_dts is not None:
            last[track] = before_dts
            yield before
        held[track] = packet
    yield from held.values()
    if num_left_out:
        log.warning("%s: %d packets of its sound are left out, as their times jump", label, num_left_out)


def _end_s(container: InputContainer, runs: Sequence[WrittenRun], source: Source) -> Fraction | None:
    """When they end: with the last frame, or None if the pictures of the source end there too."""
    last = runs[-1]
    frames_end_s = (last.pts[-1] + last.durations[-1]) * last.time_base
    if source.end_s is not None:
        return frames_end_s
    video = container.streams.video[0]
    if video.duration is not None and video.time_base is not None:
        pictures_end_s = ((video.start_time or 0) + video.duration) * video.time_base
    else:
        pictures_end_s = Fraction((container.start_time or 0) + (container.duration or 0), 1_000_000)
    return frames_end_s if frames_end_s < pictures_end_s - Fraction(TAIL_S) else None
