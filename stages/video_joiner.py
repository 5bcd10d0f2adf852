"""Joining the runs of a stream into one video: packets are copied, nothing is encoded again.

Every picture gets its own time and duration, in the time base of the source. Sound and subtitles of the
source come along for the stretch that was processed. Time 0 of the video is the start of the source, or of
the stretch if that begins later, or of a live stream's segment.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import av
from av.container import OutputContainer
from av.error import ArgumentError, FFmpegError, InvalidDataError, PatchWelcomeError
from av.video.stream import VideoStream

from stages.live_sound import SegmentSound
from stages.results import Layout, WrittenRun
from stages.side_tracks import SideTracks

if TYPE_CHECKING:
    from stages.side_tracks import TimedPacket
    from stages.source import Source

log = logging.getLogger(__name__)

DAMAGED = (ArgumentError, InvalidDataError, PatchWelcomeError)
"""What an MP4 says to packets that it cannot take."""


BROKEN_SOUND = (FFmpegError, ValueError, EOFError, KeyError, BadZipFile)
"""What is raised by a track that cannot be muxed, or a damaged file of packets."""


def join_video(source: Source, layout: Layout, runs: Sequence[WrittenRun], path: Path) -> None:
    """Write all runs, and sound and subtitles of the source, to `path`."""
    nothing_or_of_file = SideTracks(source)
    if not source.is_live:
        _join(source, layout, runs, path, nothing_or_of_file)
        return
    try:
        _join(source, layout, runs, path, SegmentSound(layout, runs, source.label))
    except OSError:  # a full disk is no fault of the sound
        raise
    except BROKEN_SOUND as error:  # which would fail again and again
        log.warning("%s: the sound of %s cannot be joined (%s)", source.label, layout.directory, error)
        _join(source, layout, runs, path, nothing_or_of_file)


def _join(
    source: Source,
    layout: Layout,
    runs: Sequence[WrittenRun],
    path: Path,
    side_tracks: SideTracks | SegmentSound,
) -> None:
    movie = {"movflags": "+faststart"}
    with av.open(str(path), "w", format="mp4", options=movie) as output, side_tracks as others:
        zero_s = _zero_s(source, runs, others.start_s)
        video = _add_video(output, layout, runs[0])
        others.add_to(output)
        output.start_encoding()
        tracks = (_video_packets(layout, runs, video, zero_s), others.packets(runs, zero_s))
        num_refused = 0
        for _, _, packet in heapq.merge(*tracks, key=lambda timed: timed[:2]):
            try:
                output.mux(packet)
            except DAMAGED:  # sound, of this packet or of one before that was still held back
                num_refused += 1
        if num_refused:
            log.warning("%s: %d damaged packets of its sound are left out", source.label, num_refused)


def _zero_s(source: Source, runs: Sequence[WrittenRun], start_s: Fraction) -> Fraction:
    """The time of the source, in seconds, that is time 0 of the video; a whole number of time units."""
    time_base = runs[0].time_base
    if source.start_s > 0 or source.is_live:
        return runs[0].pts[0] * time_base
    return min(max(0, round(start_s / time_base)), runs[0].pts[0]) * time_base


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
