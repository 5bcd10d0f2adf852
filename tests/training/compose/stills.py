"""Stills drawn for the composer's tests: sky, a wall of buildings, a road, and what stands on it."""

from __future__ import annotations

import numpy as np

from training.data.packed import PanopticPicture

ROAD, BUILDING, POLE, SIGN, SKY = 0, 2, 5, 7, 10
PERSON, RIDER, CAR, BICYCLE = 11, 12, 13, 18
SIZE = (128, 256)
ROAD_ROW = 70
"""The first row of the road; the horizon is at 53.4."""

Box = tuple[int, int, int, int]


def drawn_still(
    *, objects: dict[int, tuple[int, Box]] | None = None, stuff: dict[int, Box] | None = None
) -> PanopticPicture:
    """Objects by number and stuff by class, each a box x1, y1, x2, y2; later ones lie over earlier ones."""
    rng = np.random.default_rng(5)
    classes = np.full(SIZE, ROAD, np.uint8)
    classes[:ROAD_ROW], classes[:30] = BUILDING, SKY
    image = np.repeat(np.repeat(rng.integers(60, 200, (16, 32, 3)), 8, 0), 8, 1).astype(np.uint8)
    instances = np.zeros(SIZE, np.int32)
    for category, (x1, y1, x2, y2) in (stuff or {}).items():
        classes[y1:y2, x1:x2], image[y1:y2, x1:x2] = category, 30
    for number, (category, (x1, y1, x2, y2)) in (objects or {}).items():
        classes[y1:y2, x1:x2], instances[y1:y2, x1:x2] = category, number
        image[y1:y2, x1:x2] = (20 * abs(number), 255 - 20 * abs(number), 10)
    return PanopticPicture(name="drawn", image=image, class_map=classes, instance_map=instances)
