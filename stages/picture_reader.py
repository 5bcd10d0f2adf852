"""Reading a sequence of pictures: each file is a frame, all of one size."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from configs.errors import SourceError
from stages.source import SourceInfo, check_frame_size

if TYPE_CHECKING:
    from stages.messages import Size
    from stages.source import Source


def read_picture(path: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as its EXIF orientation says."""
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise SourceError(_unreadable(path))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def read_same_size(source: Source, path: str) -> np.ndarray:
    """The picture; SourceError if its size is not that of the first picture of the source."""
    image = read_picture(path)
    _check_size(path, _size(image), source.paths[0], _size_of_file(source.paths[0]))
    return image


def stretch(source: Source) -> range:
    """Positions in `source.paths` of the pictures from start to end, before the stride."""
    first = math.ceil(Fraction(str(source.start_s)) * source.picture_rate)
    if source.end_s is None:
        return range(first, len(source.paths))
    return range(first, min(len(source.paths), math.ceil(Fraction(str(source.end_s)) * source.picture_rate)))


def probe_pictures(source: Source) -> SourceInfo:
    """Size and number of the pictures; SourceError names a picture of another size."""
    positions, rate = stretch(source), source.picture_rate
    if not positions:
        raise SourceError(
            f"{source.name}: no picture lies between the start of {source.start_s:g} s and the end; "
            f"{len(source.paths)} pictures at {rate} a second last {float(len(source.paths) / rate):g} s"
        )
    first = source.paths[0]
    coded = {path: _coded_size(path) for path in source.paths}
    for path in source.paths:
        check_frame_size(path, coded[path], source.rules.max_frame_px)
    size = _size_of_file(first)
    for path in source.paths[1:]:
        if coded[path] != coded[first]:  # a turned picture may still come out at the same size
            _check_size(path, _size(read_picture(path)), first, size)
    return SourceInfo(
        size=size,
        time_base=1 / rate,
        average_rate=rate,
        num_frames=len(positions[:: source.stride]),
        num_frames_slack=0,
        end_s=float(positions.stop / rate),
        stride=source.stride,
        duration_s=float(len(source.paths) / rate),
        codec="pictures",
        has_audio=False,
        num_bytes=sum(map(os.path.getsize, source.paths)),
    )


def _check_size(path: str, size: Size, first: str, expected: Size) -> None:
    if size != expected:
        raise SourceError(
            f"{path}: is {size[1]}x{size[0]}, but {first} is {expected[1]}x{expected[0]}; "
            "all pictures of a sequence must have one size: resize or remove it"
        )


def _size(image: np.ndarray) -> Size:
    return image.shape[0], image.shape[1]


@lru_cache(maxsize=16)
def _size_of_file(path: str) -> Size:
    return _size(read_picture(path))


def _coded_size(path: str) -> Size:
    """(H, W) by the header alone, before any turning."""
    Image.MAX_IMAGE_PIXELS = None  # the source's own limit takes its place
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except (UnidentifiedImageError, SyntaxError, ValueError):
        raise SourceError(_unreadable(path)) from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the file") from None


def _unreadable(path: str) -> str:
    return f"{path}: is not a picture that can be read; replace or remove it"
