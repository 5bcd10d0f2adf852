"""What the header of a video says, and how many frames it promises for a stretch."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from av.video.stream import VideoStream

from configs.errors import SourceError
from stages.hardware import tell_if_refused
from stages.source import SourceInfo
from stages.video_reader import VideoReader

if TYPE_CHECKING:
    from stages.source import Source

EXACT_CONTAINERS = ("mov",)
"""Demuxers whose index lists every picture, discarded ones marked."""
STRETCH_SLACK = 2
"""The index is in the order of decoding: at each end of a stretch it may be off by a picture."""


def probe_video(source: Source) -> SourceInfo:
    """What the header says; decodes the first picture of the stretch."""
    reader = VideoReader(source)
    try:
        picture = reader.read()
        if picture is None:
            raise SourceError(_nothing_to_read(source, reader))
        tell_if_refused(source.label, source.rules, reader.stream.codec_context)
        height, width = reader.rgb(picture.frame).shape[:2]
        num_frames, slack = _promised(source, reader)
        container, stream = reader.container, reader.stream
        return SourceInfo(
            size=(height, width),
            time_base=reader.time_base,
            average_rate=stream.average_rate,
            num_frames=num_frames,
            num_frames_slack=slack,
            end_s=_end_s(source, reader),
            stride=source.stride,
            duration_s=_duration_s(reader),
            codec=stream.codec_context.name,
            has_audio=bool(container.streams.audio),
            num_bytes=container.size,
        )
    finally:
        reader.close()


def _nothing_to_read(source: Source, reader: VideoReader) -> str:
    path, duration_s = source.label, _duration_s(reader)
    lasts = f"; it lasts {duration_s:.3f} s" if duration_s is not None else ""
    if source.end_s is not None:
        return f"{path}: no picture lies between {source.start_s:g} s and {source.end_s:g} s{lasts}"
    if source.start_s > 0:
        return f"{path}: no picture lies at or after the start of {source.start_s:g} s{lasts}"
    return f"{path}: none of its pictures can be decoded; copy the file again, or convert it"


def _duration_s(reader: VideoReader) -> float | None:
    """Of the video track if the file says so, else of the longest track."""
    stream = reader.stream
    if stream.duration is not None:
        return float(stream.duration * reader.time_base)
    if (tag := _tagged_duration_s(stream)) is not None:
        return tag
    duration = reader.container.duration
    return None if duration is None else duration / 1e6


def _tagged_duration_s(stream: VideoStream) -> float | None:
    """Matroska's own tag of a track, "00:00:12.000000000"; without the track's start."""
    try:
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")
        end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return None
    assert stream.time_base is not None
    return end_s - float((stream.start_time or 0) * stream.time_base)


def _promised(source: Source, reader: VideoReader) -> tuple[int | None, int | None]:
    """Frames that the stretch should give, and how far that may be off (None: an estimate)."""
    whole = source.start_s == 0 and source.end_s is None
    container, in_header = reader.container.format.name.split(",")[0], reader.stream.frames
    count: int | None
    slack: int | None
    if container in EXACT_CONTAINERS and in_header:
        count, slack = _count_index(source, reader), 0 if whole else STRETCH_SLACK
    elif container == "avi" and in_header and whole:
        count, slack = in_header, STRETCH_SLACK  # its packets may hold a picture more or less than one
    else:
        count, slack = _count_by_rate(source, reader), None
    return None if count is None else math.ceil(count / source.stride), slack


def _count_index(source: Source, reader: VideoReader) -> int:
    times = [entry.timestamp for entry in reader.stream.index_entries if not entry.is_discard]
    if not times:
        return 0
    first, time_base = times[0], reader.time_base  # the first decoding time is that of the first picture
    start = Fraction(str(source.start_s)) / time_base
    end = math.inf if source.end_s is None else Fraction(str(source.end_s)) / time_base
    return sum(start <= time - first < end for time in times)


def _count_by_rate(source: Source, reader: VideoReader) -> int | None:
    duration_s, rate = _duration_s(reader), reader.stream.average_rate
    if duration_s is None or rate is None:
        return None
    end_s = duration_s if source.end_s is None else min(duration_s, source.end_s)
    return max(1, round((end_s - source.start_s) * rate))


def _end_s(source: Source, reader: VideoReader) -> float | None:
    """When the last picture of the stretch should end, in the file's own time, if the header tells."""
    stream, duration_s = reader.stream, _duration_s(reader)
    of_track = stream.duration is not None or _tagged_duration_s(stream) is not None
    if duration_s is None or (reader.container.streams.audio and not of_track):
        return None  # or it may be that of a longer sound
    end_s = duration_s if source.end_s is None else min(duration_s, source.end_s)
    return end_s + float((stream.start_time or 0) * reader.time_base)
