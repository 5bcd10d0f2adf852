"""How a labelled video is played to the pipeline: as a video file, whole or with frames missing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.video.frame import VideoFrame

from configs.errors import SourceError, UsageError
from evaluation.formats.id_png import size_of
from evaluation.video_set import LabelledVideo
from stages.picture_reader import read_picture
from stages.source import Source, expand_sources
from stages.video_writer import X264_REPEATABLE, mark_colours, to_yuv

Codec = Literal["ffv1", "h264"]

RATE = 10
"""Frames a second of what is played."""
_SEED = 20
_OPTIONS: dict[Codec, tuple[str, str, dict[str, str]]] = {
    "ffv1": ("ffv1", "bgr0", {}),
    "h264": ("libx264", "yuv420p", {"crf": "23", "x264-params": X264_REPEATABLE}),
}
"""Encoder, pixel format and options. FFV1 of RGB gives back every bit; H.264 is what cameras send."""


def check_codec(name: str) -> Codec:
    """UsageError for a codec that is none of those."""
    for codec in _OPTIONS:
        if codec == name:
            return codec
    raise UsageError(f"unknown codec {name!r}; use {' or '.join(_OPTIONS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to play all videos of a set."""

    name: str
    stride: int = 1
    drop_percent: int = 0
    """So many frames of a hundred are lost before they are processed, at random."""

    def processed(self, number: int, num_frames: int) -> list[int]:
        """Positions of the frames of video `number` of the set that are processed; the same in every run."""
        if not self.drop_percent:
            return list(range(0, num_frames, self.stride))
        draws = np.random.default_rng([_SEED, self.drop_percent, number]).integers(0, 100, num_frames)
        return np.flatnonzero(draws >= self.drop_percent).tolist()


WHOLE = Variant(name="pipeline")
VARIANTS = (
    WHOLE,
    Variant(name="stride-2", stride=2),
    Variant(name="stride-4", stride=4),
    Variant(name="drop-10", drop_percent=10),
    Variant(name="drop-30", drop_percent=30),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A video as one variant plays it."""

    variant: Variant
    video: LabelledVideo
    source: Source | None
    """None if every frame was dropped."""
    processed: tuple[int, ...]
    """Positions of its frames in the video, ascending."""

    def last_until(self, position: int) -> int | None:
        """Position of the last frame that was processed up to there; None if there is none."""
        number = bisect_right(self.processed, position)
        return self.processed[number - 1] if number else None


def prepare(videos: Sequence[LabelledVideo], folder: Path, codec: Codec) -> list[Played]:
    """Writes the files of all variants into `folder`."""
    played = []
    for video in videos:
        _check_label_sizes(video)
    for number, video in enumerate(videos):
        whole = folder / f"{number:04d}.mkv"
        write_video(video.pictures, range(len(video.pictures)), whole, codec)
        for variant in VARIANTS:
            processed = variant.processed(number, len(video.pictures))
            path = whole
            if variant.drop_percent and processed:
                path = folder / f"{number:04d}-{variant.name}.mkv"
                write_video(video.pictures, processed, path, codec)
            name = f"{video.name}-{variant.name}"
            source = _source(path, name, variant.stride) if processed else None
            played.append(Played(variant=variant, video=video, source=source, processed=tuple(processed)))
    return played


def _check_label_sizes(video: LabelledVideo) -> None:
    """SourceError for a map of another size than the first picture; write_video checks the pictures."""
    height, width = read_picture(str(video.pictures[0])).shape[:2]
    for label in video.labels.values():
        if (size := size_of(label.path)) != (height, width):
            raise SourceError(
                f"{label.path}: is {size[1]}x{size[0]}, but {video.pictures[0]} is {width}x{height}; "
                "labels must have the size of the pictures"
            )


def write_video(pictures: Sequence[Path], positions: Sequence[int], path: Path, codec: Codec) -> None:
    """The pictures at those positions, at least one, each at its own time; the same packets every time."""
    encoder, pixel_format, options = _OPTIONS[codec]
    first = pictures[positions[0]]
    size = read_picture(str(first)).shape
    if codec == "h264" and (size[0] % 2 or size[1] % 2):
        raise SourceError(f"{first}: is {size[1]}x{size[0]}; h264 needs even sides: play it with ffv1")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            encoder, rate=RATE, width=size[1], height=size[0], pix_fmt=pixel_format, options=options
        )
        assert isinstance(stream, av.VideoStream)
        stream.codec_context.time_base = Fraction(1, RATE)
        if codec == "h264":
            mark_colours(stream)
        for position in positions:
            image = read_picture(str(pictures[position]))
            if image.shape != size:
                raise SourceError(
                    f"{pictures[position]}: is {image.shape[1]}x{image.shape[0]}, but {first} is "
                    f"{size[1]}x{size[0]}; the pictures of a video must have one size"
                )
            frame = to_yuv(image) if codec == "h264" else _to_bgr0(image)
            frame.pts, frame.time_base = position, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _to_bgr0(image: np.ndarray) -> VideoFrame:
    return VideoFrame.from_ndarray(image, format="rgb24").reformat(format="bgr0")


def _source(path: Path, name: str, stride: int) -> Source:
    (source,) = expand_sources([str(path)], stride=stride)
    return replace(source, name=name)
