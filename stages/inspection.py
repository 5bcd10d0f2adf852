"""A closer look at a source before a run: what it is, and what would go wrong with it.

Reads every packet of a video and decodes one picture: seconds where a run takes minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc

from configs.errors import SourceError
from stages.live_connection import LiveConnection
from stages.side_tracks import CARRIED_AUDIO, CARRIED_TEXT
from stages.video_reader import JUMP_S, VideoReader, packets_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.subtitles.stream import SubtitleStream
    from av.video.stream import VideoStream

    from stages.source import Source, SourceInfo

STEADY = Fraction(1, 20)
"""A rate is constant if no interval differs by more than this part from the median."""
KEYFRAMES_FAR_S = 20.0
"""Between keyframes: from one of them decoding starts after a seek, a resume or a death."""
WATCHED_S = 3.0
"""How long a live source is watched."""
HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
MATRICES: dict[int, str] = {
    Colorspace.ITU709: "BT.709",
    Colorspace.FCC: "FCC",
    Colorspace.ITU601: "BT.601",
    6: "BT.601",  # the number of its American twin, for which PyAV has no name
    Colorspace.SMPTE240M: "SMPTE 240M",
    Colorspace.BT2020: "BT.2020",
}
RANGES: dict[int, str] = {ColorRange.MPEG: "limited", ColorRange.JPEG: "full"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was seen."""

    facts: tuple[tuple[str, str], ...]
    """Name and value, in words."""
    troubles: tuple[str, ...]
    """What would go wrong, each with the remedy; one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packets:
    """What the packets of a video's pictures say, without decoding them."""

    times: Sequence[int]
    """In the order of presentation, each once; in the track's time base."""
    num_keyframes: int
    keyframe_gap: int
    """The longest time between two keyframes, or from the last one to the end."""
    num_without_time: int
    num_repeated: int
    num_jumps: int
    """Keyframes whose time lies before that of the one before, by more than `JUMP_S`."""
    failure: str | None
    """Why reading ended before the end of the file."""


def inspect(source: Source, info: SourceInfo) -> Inspection:
    """The inspection of a source that `probe` has accepted as `info`."""
    if source.kind == "pictures":
        return _inspect_pictures(source, info)
    if source.is_live:
        return _inspect_live(source, info)
    reader = VideoReader(source)
    try:
        picture = reader.read()
        assert picture is not None, "probe has read it"
        packets = _read_packets(reader.container, reader.stream)
        return _inspect_video(source, info, reader, picture.frame, packets)
    finally:
        reader.close()


def _inspect_pictures(source: Source, info: SourceInfo) -> Inspection:
    height, width = info.size
    facts = (
        ("pictures", f"{len(source.paths)} of {width}x{height}"),
        ("rate", f"{float(source.picture_rate):g} a second, as pictures carry no time"),
    )
    return Inspection(facts=facts, troubles=())


def _inspect_live(source: Source, info: SourceInfo) -> Inspection:
    """Watches the source for a while."""
    connection = LiveConnection(source)
    try:
        until_s = time.monotonic() + WATCHED_S
        times, stream = [], connection.stream
        frame = None
        for frame in connection.pictures():
            times += [frame.pts] if frame.pts is not None else []
            if time.monotonic() >= until_s:
                break
        if frame is None:
            raise SourceError(f"{source.label}: ended before a picture came")
        sound = _codecs(connection.container.streams.audio)
        facts = (
            ("container", connection.container.format.long_name),
            ("codec", _codec(stream)),
            ("size", _size(info, stream, frame)),
            ("scan", _scan(source, frame)),
            ("colours", _colours(frame)),
            ("rate", _rate(times, connection.time_base)),
            ("duration", "live"),
            ("sound", ", ".join(sound) or "none"),
        )
        troubles = (*_troubles_of_live(connection, frame), *_troubles_of_tracks(sound, ()))
        return Inspection(facts=facts, troubles=troubles)
    finally:
        connection.close()


def _troubles_of_live(connection: LiveConnection, frame: VideoFrame) -> Iterator[str]:
    yield from _troubles_of_pictures(connection.stream, frame)
    if connection.corrupt_packets:
        yield (
            f"{connection.corrupt_packets} packets of {WATCHED_S:g} s could not be decoded: look at the "
            "network, or --set input.rtsp_transport=tcp"
        )


def _inspect_video(
    source: Source, info: SourceInfo, reader: VideoReader, frame: VideoFrame, packets: Packets
) -> Inspection:
    stream, streams = reader.stream, reader.container.streams
    sound, texts = _codecs(streams.audio), _codecs(streams.subtitles)
    facts = (
        ("container", reader.container.format.long_name),
        ("codec", _codec(stream)),
        ("size", _size(info, stream, frame)),
        ("scan", _scan(source, frame)),
        ("colours", _colours(frame)),
        ("rate", _rate(packets.times, reader.time_base)),
        ("duration", _duration(info)),
        ("keyframes", f"{packets.num_keyframes}, at most {_keyframe_gap_s(packets, reader):.1f} s apart"),
        ("sound", ", ".join(sound) or "none"),
        ("subtitles", ", ".join(texts) or "none"),
    )
    troubles = (
        *_troubles_of_packets(info, reader, packets),
        *_troubles_of_pictures(stream, frame),
        *_troubles_of_tracks(sound, texts),
    )
    return Inspection(facts=facts, troubles=troubles)


# packets


def _read_packets(container: InputContainer, stream: VideoStream) -> Packets:
    times: list[int] = []
    keyframes: list[int] = []
    num_without_time, failure = 0, None
    with suppress(FFmpegError):  # what cannot be rewound goes on behind its first picture
        container.seek(0)
    try:
        for packet in packets_of(partial(container.demux, stream)):
            if packet.size == 0:
                continue
            if packet.pts is None:
                num_without_time += 1
                continue
            times.append(packet.pts)
            if packet.is_keyframe:
                keyframes.append(packet.pts)
    except FFmpegError as error:
        failure = error.strerror
    unique, jump = sorted(set(times)), JUMP_S / (stream.time_base or 1)
    gaps = [later - earlier for earlier, later in zip(keyframes, [*keyframes[1:], *unique[-1:]], strict=True)]
    return Packets(
        times=unique,
        num_keyframes=len(keyframes),
        keyframe_gap=max(gaps, default=0),
        num_without_time=num_without_time,
        num_repeated=len(times) - len(unique),
        num_jumps=sum(gap < -jump for gap in gaps),
        failure=failure,
    )


def _keyframe_gap_s(packets: Packets, reader: VideoReader) -> float:
    return float(packets.keyframe_gap * reader.time_base)


def _troubles_of_packets(info: SourceInfo, reader: VideoReader, packets: Packets) -> Iterator[str]:
    if packets.failure is not None:
        yield f"the file ends early ({packets.failure}): what is there is processed; copy it again"
    promised, held = reader.stream.frames, len(packets.times) + packets.num_repeated
    if promised > held + packets.num_without_time:
        yield f"its header promises {promised} pictures, but it holds {held}: it was cut off; copy it again"
    if packets.num_jumps or packets.num_repeated or packets.num_without_time:
        yield (
            f"times that cannot be trusted ({packets.num_without_time} missing, {packets.num_repeated} "
            f"twice, {packets.num_jumps} jumps back): they are made increasing, and --start, --resume and a "
            "worker that dies make it read from its start; ffmpeg -fflags +genpts -i IN -c copy OUT may mend "
            "them"
        )
    if _keyframe_gap_s(packets, reader) > KEYFRAMES_FAR_S:
        yield (
            f"keyframes lie up to {_keyframe_gap_s(packets, reader):.0f} s apart: as much is decoded again "
            "for --start, --resume and a decoder that dies"
        )


# pictures


def _codec(stream: VideoStream) -> str:
    context = stream.codec_context
    profile = f" ({context.profile})" if context.profile else ""
    return f"{context.name}{profile}, {context.pix_fmt}"


def _size(info: SourceInfo, stream: VideoStream, frame: VideoFrame) -> str:
    height, width = info.size
    text = f"{width}x{height}"
    if frame.rotation:
        text += f", turned by {frame.rotation:g} degrees from {frame.width}x{frame.height}"
    aspect = _pixel_aspect(stream)
    return text + (f", pixels {aspect.numerator}:{aspect.denominator}" if aspect != 1 else "")


def _scan(source: Source, frame: VideoFrame) -> str:
    if not frame.interlaced_frame:
        return "progressive"
    kept = "one field of each picture is used" if source.rules.deinterlace else "edges that move stay combs"
    return f"interlaced: {kept} (input.deinterlace)"


def _pixel_aspect(stream: VideoStream) -> Fraction:
    return stream.sample_aspect_ratio or Fraction(1)


def _colours(frame: VideoFrame) -> str:
    matrix = MATRICES.get(frame.colorspace, "BT.601, as it names no matrix")
    return f"{matrix}, {RANGES.get(frame.color_range, 'limited, as it names no range')}"


def _troubles_of_pictures(stream: VideoStream, frame: VideoFrame) -> Iterator[str]:
    if _pixel_aspect(stream) != 1:
        yield (
            "pixels that are not square: everything looks squeezed; "
            "ffmpeg -i IN -vf scale=iw*sar:ih,setsar=1 OUT mends it"
        )
    if frame.color_trc in HDR:
        yield "high dynamic range: colours come out pale; convert it to BT.709 first"


def _rate(times: Sequence[int], time_base: Fraction) -> str:
    intervals = sorted(later - earlier for earlier, later in pairwise(times))
    if not intervals:
        return "one picture"
    shortest, median, longest = intervals[0], intervals[len(intervals) // 2], intervals[-1]
    per_second = f"{float(1 / (median * time_base)):.6g} a second"
    off = max(median - shortest, longest - median)
    if off <= 1 or off <= STEADY * median:
        return f"{per_second}, constant"
    from_ms, to_ms = (float(1000 * interval * time_base) for interval in (shortest, longest))
    return f"{per_second} in the middle, variable: {from_ms:.1f} to {to_ms:.1f} ms"


def _duration(info: SourceInfo) -> str:
    length = f"{info.duration_s:.3f} s" if info.duration_s is not None else "not told"
    return length + (f", {info.num_frames} frames to process" if info.num_frames is not None else "")


# other tracks


def _codecs(streams: Sequence[AudioStream] | Sequence[SubtitleStream]) -> list[str]:
    return [stream.codec_context.name if stream.codec_context else "unknown" for stream in streams]


def _troubles_of_tracks(sound: Sequence[str], texts: Sequence[str]) -> Iterator[str]:
    for codec in sound:
        if codec not in CARRIED_AUDIO:
            yield f"sound as {codec}: it is left out, as an MP4 cannot carry it; convert it to AAC"
    for codec in texts:
        if codec not in CARRIED_TEXT:
            yield f"subtitles as {codec}: they are left out, as an MP4 cannot carry them"
