"""Joining the runs of a stream into one video: packets are copied, nothing is encoded again.

Every picture gets its own time and duration, in the time base of the source. The sound of the source
is copied for the stretch that was processed. Time 0 of the video is the start of the source, or of the
stretch if that begins later.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError, PatchWelcomeError
from av.video.stream import VideoStream

from stages.results import Layout, WrittenRun
from stages.video_open import open_container
from stages.video_reader import packets_of

if TYPE_CHECKING:
    from av.packet import Packet
    from av.stream import Stream

    from stages.source import Source

    TimedPacket = tuple[Fraction, int, Packet[Stream] | Packet[AudioStream] | Packet[VideoStream]]
    """When to mux it, the number of its track (so that packets need not be compared), and the packet."""

log = logging.getLogger(__name__)

CARRIED_AUDIO = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"})
"""Codecs of sound that an MP4 can carry and that players know there."""
DAMAGED = (ArgumentError, InvalidDataError, PatchWelcomeError)
"""What an MP4 says to packets that it cannot take."""
TAIL_S = 0.5
"""Sound up to the end of the source is kept if the last frame ends this close to the end of its pictures."""


def join_video(source: Source, layout: Layout, runs: Sequence[WrittenRun], path: Path) -> None:
    """Write all runs and the sound of the source to `path`."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        sound = _open_sound(source)
        try:
            zero_s = _zero_s(source, runs, sound)
            video = _add_video(output, layout, runs[0])
            tracks = [_video_packets(layout, runs, video, zero_s)]
            if sound is not None:
                tracks.append(_audio_packets(sound, _add_audio(output, sound, source), runs, source, zero_s))
            output.start_encoding()
            num_refused = 0
            for _, _, packet in heapq.merge(*tracks, key=lambda timed: timed[:2]):
                try:
                    output.mux(packet)
                except DAMAGED:  # sound, of this packet or of one before that was still held back
                    num_refused += 1
            if num_refused:
                log.warning("%s: %d damaged packets of its sound are left out", source.label, num_refused)
        finally:
            if sound is not None:
                sound.close()


def _open_sound(source: Source) -> InputContainer | None:
    """The source, if it is one that can hold sound; a server may have gone meanwhile."""
    if source.kind != "video":
        return None
    try:
        return open_container(source)
    except FFmpegError as error:
        log.warning("%s: its sound cannot be read any longer (%s)", source.label, error.strerror)
        return None


def _zero_s(source: Source, runs: Sequence[WrittenRun], sound: InputContainer | None) -> Fraction:
    """The time of the source, in seconds, that is time 0 of the video; a whole number of time units."""
    time_base = runs[0].time_base
    if source.start_s > 0:
        return runs[0].pts[0] * time_base
    start = Fraction((sound.start_time or 0) if sound is not None else 0, 1_000_000)
    return min(max(0, round(start / time_base)), runs[0].pts[0]) * time_base


# pictures


def _add_video(output: OutputContainer, layout: Layout, run: WrittenRun) -> VideoStream:
    with av.open(str(layout.part_video(run.first_index))) as part:
        stream = output.add_stream_from_template(part.streams.video[0], opaque=True)
    stream.time_base = Fraction(1, run.time_base.denominator)
    return stream


def _video_packets(
    layout: Layout, runs: Sequence[WrittenRun], stream: VideoStream, zero_s: Fraction
) -> Iterator[TimedPacket]:
    for run in runs:
        with av.open(str(layout.part_video(run.first_index))) as part:
            packets = (packet for packet in part.demux(video=0) if packet.size)
            for pts, duration, packet in zip(run.pts, run.durations, packets, strict=True):
                time_s = pts * run.time_base - zero_s
                packet.stream = stream
                packet.time_base = Fraction(1, run.time_base.denominator)
                packet.pts = packet.dts = int(time_s / packet.time_base)
                packet.duration = duration * run.time_base.numerator
                yield time_s, 0, packet


# sound


def _add_audio(output: OutputContainer, sound: InputContainer, source: Source) -> dict[int, AudioStream]:
    """The tracks of sound that can be copied, by their index in the source."""
    added: dict[int, AudioStream] = {}
    for stream in sound.streams.audio:
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        if stream.codec_context is not None and not stream.codec_context.sample_rate:
            log.warning("%s: a track of sound is left out, as nothing of it is there", source.label)
        elif codec in CARRIED_AUDIO:
            added[stream.index] = output.add_stream_from_template(stream, opaque=True)
        else:
            log.warning("%s: its sound is left out, as an MP4 cannot carry %s", source.label, codec)
    return added


def _audio_packets(
    sound: InputContainer,
    tracks: dict[int, AudioStream],
    runs: Sequence[WrittenRun],
    source: Source,
    zero_s: Fraction,
) -> Iterator[TimedPacket]:
    """The packets that lie in the stretch, moved to the time of the video; but for those out of order."""
    start_s = zero_s if source.start_s > 0 else None
    end_s = _end_of_sound_s(sound, runs, source)
    try:
        if not tracks:
            return
        if start_s is not None:
            sound.seek(int((start_s - 1) * 1_000_000))
        copied = [track for track in sound.streams.audio if track.index in tracks]
        packets = packets_of(lambda: sound.demux(*copied))
        for packet in in_order(packets, source.label):
            assert packet.pts is not None
            assert packet.dts is not None
            time_s = packet.pts * packet.time_base
            if (start_s is not None and time_s < start_s) or (end_s is not None and time_s >= end_s):
                continue
            shift = round(zero_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = tracks[packet.stream_index]
            yield time_s - zero_s, 1, packet
    except FFmpegError as error:
        log.warning("%s: its sound is copied only in part (%s)", source.label, error.strerror)


def in_order(packets: Iterable[Packet[Stream]], path: str) -> Iterator[Packet[Stream]]:
    """Packets whose times increase in each track; those that jump back or ahead are left out."""
    held: dict[int, Packet[Stream]] = {}
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
        log.warning("%s: %d packets of its sound are left out, as their times jump", path, num_left_out)


def _end_of_sound_s(sound: InputContainer, runs: Sequence[WrittenRun], source: Source) -> Fraction | None:
    """When the sound ends: with the last frame, or None if the pictures of the source end there too."""
    last = runs[-1]
    frames_end_s = (last.pts[-1] + last.durations[-1]) * last.time_base
    if source.end_s is not None:
        return frames_end_s
    video = sound.streams.video[0]
    if video.duration is not None and video.time_base is not None:
        pictures_end_s = ((video.start_time or 0) + video.duration) * video.time_base
    else:
        pictures_end_s = Fraction((sound.start_time or 0) + (sound.duration or 0), 1_000_000)
    return frames_end_s if frames_end_s < pictures_end_s - Fraction(TAIL_S) else None
