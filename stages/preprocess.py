"""From a decoded picture to the picture the network sees."""

from __future__ import annotations

import cv2
import numpy as np

from configs.schema import InputSettings
from stages.messages import Size


def network_size(size: Size, settings: InputSettings) -> Size:
    """The size (h, w) to which a frame of `size` (H, W) is resized; aspect kept, at least 1 px."""
    height, width = size
    scale = min(settings.short_side_px / min(size), settings.max_long_side_px / max(size))
    return max(round(height * scale), 1), max(round(width * scale), 1)


def resized(image: np.ndarray, size: Size) -> np.ndarray:
    """(H, W, 3) uint8 -> (h, w, 3) uint8; area averaging when it shrinks, bilinear when it grows."""
    if image.shape[:2] == size:
        return image
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)


def padded_size(size: Size, multiple: int) -> Size:
    """`size` rounded up to a multiple."""
    return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple
