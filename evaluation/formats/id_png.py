"""PNG pictures of numbers: segment ids in three bytes, or plain values of 8 or 16 bits.

OpenCV reads a damaged file only in part, or prints about it, and it takes the memory for whatever size a
file claims; so a file is checked before it is decoded.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np

from configs.errors import OutputError, SourceError
from stages.messages import Size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_INFLATED = 1032
"""Bytes that one byte of deflate can stand for."""
_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 6)


def read_ids(path: Path) -> np.ndarray:
    """Segment ids R + 256 G + 65536 B of an 8-bit RGB picture, (H, W) int32."""
    image = read_png(path)
    if image.ndim != 3 or image.dtype != np.uint8:
        raise SourceError(f"{path}: must be an 8-bit RGB PNG of segment ids, id = R + 256 G + 65536 B")
    # R, G, B, A in memory are the bytes of a little-endian number; A is 255 or the file's own: masked away
    code = cv2.COLOR_BGR2RGBA if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    packed = np.asarray(cv2.cvtColor(image, code)).view("<i4")[:, :, 0]
    return packed & 0xFFFFFF


def write_ids(path: Path, ids: np.ndarray) -> None:
    """Writes segment ids (H, W) of 0..2^24 - 1 as an RGB picture."""
    write_png(path, np.stack([ids >> 16, ids >> 8, ids], axis=-1).astype(np.uint8))


def read_png(path: Path) -> np.ndarray:
    """The picture as OpenCV gives it: (H, W) or (H, W, 3 or 4) B, G, R; uint8 or uint16."""
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if not is_whole(encoded):
        raise SourceError(f"{path}: is not a whole PNG; write or copy it again")
    try:
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # more pixels than OpenCV decodes
        image = None
    if image is None:
        raise SourceError(f"{path}: is too large or damaged inside; write it again")
    return np.asarray(image)


def size_of(path: Path) -> Size:
    """(H, W) by the header of a PNG, without decoding it."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if len(header) < 24 or not header.startswith(_SIGNATURE):
        raise SourceError(f"{path}: is not a whole PNG; write or copy it again")
    return int.from_bytes(header[20:24], "big"), int.from_bytes(header[16:20], "big")


def write_png(path: Path, image: np.ndarray) -> None:
    """Writes a picture in OpenCV's order of colours, and the folders above it."""
    done, encoded = cv2.imencode(".png", image, _OPTIONS)
    assert done, "OpenCV knows PNG"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check the place") from None


def is_whole(encoded: bytes) -> bool:
    """Whether these are all chunks of a PNG, each with the check sum it should have."""
    if not encoded.startswith(_SIGNATURE):
        return False
    start = len(_SIGNATURE)
    view = memoryview(encoded)
    kinds: list[bytes] = []
    while start + 12 <= len(view):
        end = start + 12 + int.from_bytes(view[start : start + 4], "big")
        if end > len(view) or zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(
            view[end - 4 : end], "big"
        ):
            return False
        kinds.append(bytes(view[start + 4 : start + 8]))
        if kinds[-1] == b"IEND":
            return kinds[0] == b"IHDR" and b"IDAT" in kinds and _has_possible_size(encoded)
        start = end
    return False


def _has_possible_size(encoded: bytes) -> bool:
    """Whether the file is long enough for the least of pixels, of one bit, that its header claims."""
    width, height = (int.from_bytes(encoded[at : at + 4], "big") for at in (16, 20))
    return 1 <= width * height <= 8 * _MOST_INFLATED * len(encoded)
