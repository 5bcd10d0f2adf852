"""The colours of segments, and painting a label map with them.

Stuff has the colour of its category. An object has a colour of its own, a function of its identity
alone: neighbouring identities lie far apart in hue, and all are brighter and purer than stuff.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

Colour = tuple[int, int, int]
"""RGB, 0..255."""

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
LIGHTNESS_BANDS = ((0.76, 0.80, 0.84, 0.88), (0.62, 0.65, 0.68, 0.71))
"""Of OKLCH; two, so that identities whose hues come close again still differ."""
CHROMA_MAX = 0.32
"""Of OKLCH: more than sRGB can show."""


@lru_cache(maxsize=4096)
def track_colour(track_id: int) -> Colour:
    """The colour of an object, the same for its whole life and in every run."""
    band = LIGHTNESS_BANDS[track_id % len(LIGHTNESS_BANDS)]
    _, rgb = max(_purest(lightness, track_id * GOLDEN_ANGLE) for lightness in band)
    red, green, blue = (round(255 * _gamma(channel)) for channel in rgb)
    return red, green, blue


def paint(label_map: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """(H, W, 3) uint8: label i in colours[i]."""
    # one 32-bit value a pixel is gathered several times faster than three bytes
    table = np.zeros((len(colours), 4), np.uint8)
    table[:, :3] = colours
    pixels = table.view(np.uint32)[:, 0].take(label_map)
    # the call drops the fourth byte and leaves the order of the others as it is
    return np.asarray(cv2.cvtColor(pixels.view(np.uint8).reshape(*label_map.shape, 4), cv2.COLOR_BGRA2BGR))


def _purest(lightness: float, hue: float) -> tuple[float, tuple[float, float, float]]:
    """The largest chroma that sRGB can show at a lightness and hue, and the linear colour."""
    chroma = CHROMA_MAX
    rgb = _oklch_to_linear(lightness, chroma, hue)
    while min(rgb) < 0 or max(rgb) > 1:
        chroma *= 0.97
        rgb = _oklch_to_linear(lightness, chroma, hue)
    return chroma, rgb


def _oklch_to_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """Linear sRGB of a colour in Ottosson's OKLab, given by its lightness, chroma and hue in radians."""
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
