"""KITTI-STEP: a PNG per frame that holds everything, `folder`/<sequence>/<frame>.png.

R is the class (255 = void), G and B are the instance, 256 G + B. Only persons and cars are things; on those
instance 0 is a crowd in the truth. The instance of stuff says nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from evaluation.formats.id_png import read_png, write_png
from evaluation.formats.labelled import (
    InstanceNumbers,
    LabelledFrame,
    LabelledSet,
    Labels,
    MapPaths,
    Writer,
    maps_in,
    thing_categories,
)
from evaluation.segments import LabelledSegment

PERSON, CAR, VOID = 11, 13, 255
CATEGORIES = tuple(replace(category, is_thing=category.id in (PERSON, CAR)) for category in CITYSCAPES)
_IS_THING = np.array([category.is_thing for category in CATEGORIES])
_LARGEST_INSTANCE = (1 << 16) - 1


def open_kitti_step(folder: Path, *, is_truth: bool) -> LabelledSet:
    """The sequences in a folder; only a truth has crowds."""
    return KittiStepSet(folder, is_truth=is_truth)


class KittiStepSet(LabelledSet):
    """Frames as two-byte instance maps."""

    def __init__(self, folder: Path, *, is_truth: bool) -> None:
        super().__init__(folder, CATEGORIES, maps_in(folder))
        self._is_truth = is_truth

    def read(self, frame: LabelledFrame) -> Labels:
        """The ids are 65536 (class + 1) + instance."""
        image = read_png(frame.path)
        if image.ndim != 3 or image.dtype != np.uint8:
            raise SourceError(f"{frame.path}: must be an 8-bit RGB PNG, R = class, 256 G + B = instance")
        blue, green, red = (image[:, :, channel].astype(np.int32) for channel in range(3))
        unknown = (red >= len(CATEGORIES)) & (red != VOID)
        if unknown.any():
            raise SourceError(
                f"{frame.path}: has unknown category {int(red[unknown][0])}; "
                f"categories are 0..{len(CATEGORIES) - 1} and {VOID} for void"
            )
        is_thing = np.append(_IS_THING, np.zeros(VOID + 1 - len(_IS_THING), bool))[red]
        ids = ((red + 1) << 16) + np.where(is_thing, (green << 8) + blue, 0)
        ids[red == VOID] = 0
        values = np.flatnonzero(np.bincount(ids.reshape(-1), minlength=1))
        return ids, [self._segment(value) for value in values.tolist() if value]

    def _segment(self, value: int) -> LabelledSegment:
        category, instance = (value >> 16) - 1, value & 0xFFFF
        is_crowd = self._is_truth and CATEGORIES[category].is_thing and instance == 0
        return LabelledSegment(id=value, category_id=category, is_crowd=is_crowd)


class KittiStepWriter(Writer):
    """Writes `folder`/<sequence>/<frame>.png; objects are numbered by first appearance."""

    def __init__(self, folder: Path) -> None:
        self._paths = MapPaths(folder)
        self._numbers = InstanceNumbers(thing_categories(CATEGORIES), largest=_LARGEST_INSTANCE)

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the map; SourceError for a category that the format does not have."""
        ids, segments = labels
        image = np.zeros((*ids.shape, 3), np.uint8)
        image[:, :, 2] = VOID
        for segment, number in zip(segments, self._numbers.of(frame, segments), strict=True):
            if not 0 <= segment.category_id < len(CATEGORIES):
                raise SourceError(
                    f"{frame.path}: category {segment.category_id} has no place in KITTI-STEP; "
                    f"its categories are 0..{len(CATEGORIES) - 1}, the train ids of Cityscapes"
                )
            image[ids == segment.id] = (number & 255, number >> 8, segment.category_id)
        write_png(self._paths.of(frame), image)
