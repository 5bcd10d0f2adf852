"""Writing one run of drawn frames as H.264: a closed group of pictures in a file of its own.

The file is an intermediate one: joining gives each picture its exact time, so here they only count.
The same frames give the same bytes: `X264_REPEATABLE`, and nothing that depends on other runs.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from stages.conversion import CONVERSION

if TYPE_CHECKING:
    from configs.schema import EncodeSettings
    from stages.messages import Size

NOMINAL_RATE = 30
"""Pictures a second for the encoder's rate control; the same for all runs, or their headers would differ."""
BT709 = 1
"""The number of BT.709 in the code points of H.273, for matrix, primaries and transfer alike."""
X264_REPEATABLE = "bframes=0:threads=1:cpu-independent=1"
"""For x264: the same pictures give the same bytes, on any processor.

Without `cpu-independent`, MB-tree's code for AVX-512 takes eight macroblocks at a time: where the width is no
multiple of 128 px it also counts some behind the last one, which are whatever the memory held before.
"""


class PartWriter:
    """Encodes the pictures of one run; use as a context manager."""

    def __init__(self, path: Path, size: Size, settings: EncodeSettings) -> None:
        self._padding = (size[0] % 2, size[1] % 2)
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._add_stream(size, settings)
        self._num_pictures = 0

    def _add_stream(self, size: Size, settings: EncodeSettings) -> VideoStream:
        options = {
            "preset": settings.x264_preset,
            "crf": str(settings.crf),
            "x264-params": f"{X264_REPEATABLE}:open-gop=0:stitchable=1",
        }
        height, width = (side + pad for side, pad in zip(size, self._padding, strict=True))
        stream = self._container.add_stream(
            "libx264", rate=NOMINAL_RATE, width=width, height=height, pix_fmt="yuv420p", options=options
        )
        context = stream.codec_context
        context.time_base = Fraction(1, NOMINAL_RATE)
        context.gop_size = max(settings.run_frames, 1)
        context.max_b_frames = 0
        context.thread_count = 1
        mark_colours(stream)
        return stream

    def add(self, image: np.ndarray) -> None:
        """Encode the next picture, (H, W, 3) uint8 RGB."""
        if any(self._padding):
            below, right = self._padding
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE))
        frame = to_yuv(image)
        frame.pts, frame.time_base = self._num_pictures, Fraction(1, NOMINAL_RATE)
        self._num_pictures += 1
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def mark_colours(stream: VideoStream) -> None:
    """Say in the header what `to_yuv` makes: BT.709 of limited range."""
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = ColorRange.MPEG


def to_yuv(image: np.ndarray) -> VideoFrame:
    """(H, W, 3) uint8 RGB with even sides -> YUV 4:2:0, BT.709 of limited range."""
    frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=CONVERSION,
        threads=1,
    )
    frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return frame
