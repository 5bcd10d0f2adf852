"""Maps of ids drawn by hand, a digit a pixel, and the classes that the tests of this folder speak of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from configs.categories import Category
from evaluation.overlap import Overlap, frame_overlap
from evaluation.segments import LabelledSegment

ROAD, SKY, CAR, PERSON = range(4)
CATEGORIES = (
    Category(ROAD, "road", False, (1, 1, 1)),
    Category(SKY, "sky", False, (2, 2, 2)),
    Category(CAR, "car", True, (3, 3, 3)),
    Category(PERSON, "person", True, (4, 4, 4)),
)

Labelled = tuple[np.ndarray, list[LabelledSegment]]
"""Map of ids, and its segments."""


def segment(
    number: int, category: int, *, crowd: bool = False, area_px: int | None = None
) -> LabelledSegment:
    return LabelledSegment(id=number, category_id=category, is_crowd=crowd, area_px=area_px)


def drawing(*rows: str) -> np.ndarray:
    """A map of ids, one digit a pixel; 0 is void."""
    return np.array([[int(digit) for digit in row] for row in rows], np.int32)


def compare(
    truth: str,
    truth_segments: Sequence[LabelledSegment],
    predicted: str,
    predicted_segments: Sequence[LabelledSegment],
) -> Overlap:
    """What truth and prediction of a frame of one row share."""
    return frame_overlap(drawing(truth), truth_segments, drawing(predicted), predicted_segments)
