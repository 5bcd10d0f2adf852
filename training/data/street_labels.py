"""What the street labels mean: names to classes, polygons to a map of segments, cities to splits.

The set is a reduced copy of Cityscapes' training pictures: one text file per picture, one polygon a
line (`class x y x y ...`, fractions of the picture's width and height), nearer regions later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from training.data.packing import segment_id

Split = Literal["train", "val"]

RESERVED_CITIES = frozenset({"aachen", "zurich"})
"""For a final measurement alone: their pictures are never converted, so nothing can be fitted to them."""
VAL_CITIES = frozenset({"jena", "krefeld", "ulm"})
TRAIN_CITIES = frozenset(
    [
        "bochum",
        "bremen",
        "cologne",
        "darmstadt",
        "dusseldorf",
        "erfurt",
        "hamburg",
        "hanover",
        "monchengladbach",
        "strasbourg",
        "stuttgart",
        "tubingen",
        "weimar",
    ]
)

VOID_NAMES = frozenset(
    {
        "ego vehicle", "rectification border", "static", "dynamic", "ground", "parking", "rail track",
        "bridge", "guard rail", "tunnel", "caravan", "trailer",
    }
)  # fmt: skip
"""Regions with no class among the 19."""
SKIPPED_NAMES = frozenset({"license plate"})
"""Regions that belong to what lies under them."""
_GROUP_SUFFIX = "group"
_SHIFT_BITS = 8
_LABEL_SIZE = (2048, 1024)
"""Width and height of the pictures in which the polygons were drawn, from pixel centre to pixel centre."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a name of the set stands for."""

    kind: Literal["void", "skip", "stuff", "thing", "crowd"]
    category_id: int | None
    """Class index; None for void and skip."""


@dataclass(frozen=True, slots=True)
class Polygon:
    """One line of a label file."""

    name_index: int
    points: np.ndarray
    """(n, 2) float64: x, y as fractions of width and height."""


def split_of(city: str) -> Split | None:
    """The split a city belongs to; None for a reserved one."""
    if city in RESERVED_CITIES:
        return None
    if city in VAL_CITIES:
        return "val"
    if city in TRAIN_CITIES:
        return "train"
    raise SourceError(
        f"city {city!r} has no split: add it to TRAIN_CITIES or VAL_CITIES, or remove its pictures"
    )


def meaning_of(name: str) -> Meaning:
    """Class and kind of a name of the set; `persongroup` is a crowd of persons, `polegroup` is pole."""
    if name in SKIPPED_NAMES:
        return Meaning("skip", None)
    if name in VOID_NAMES:
        return Meaning("void", None)
    base = name.removesuffix(_GROUP_SUFFIX)
    for category in CITYSCAPES:
        if category.name == base:
            if not category.is_thing:
                return Meaning("stuff", category.id)
            return Meaning("thing" if base == name else "crowd", category.id)
    raise SourceError(f"unknown class name {name!r}: expected one of Cityscapes' label names")


def read_polygons(path: Path, names: int) -> list[Polygon]:
    """The polygons of a label file in file order."""
    return [_parse(line, f"{path}:{n}", names) for n, line in enumerate(_lines(path), 1) if line.strip()]


def paint(polygons: Iterable[Polygon], meanings: Sequence[Meaning], size: tuple[int, int]) -> np.ndarray:
    """Segment ids, (H, W) int32, 0 = void: a later polygon lies over earlier ones."""
    height, width = size
    ids = np.zeros(size, np.int32)
    instance = 0
    for polygon in polygons:
        meaning = meanings[polygon.name_index]
        if meaning.kind == "skip":
            continue
        instance += meaning.kind == "thing"
        value = 0
        if meaning.category_id is not None:
            value = segment_id(meaning.category_id, instance if meaning.kind == "thing" else 0)
        cv2.fillPoly(ids, [_to_pixels(polygon.points, width, height)], value, cv2.LINE_8, _SHIFT_BITS)
    return ids


def _to_pixels(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Fixed-point positions of which whole numbers are pixel centres, in the picture reduced to this size."""
    scale = np.array([width / _LABEL_SIZE[0], height / _LABEL_SIZE[1]])
    pixels = (points * _LABEL_SIZE + 0.5) * scale - 0.5
    fixed: np.ndarray = np.round(pixels * (1 << _SHIFT_BITS)).astype(np.int32)
    return fixed


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as a label file ({error})") from error


def _parse(line: str, where: str, names: int) -> Polygon:
    try:
        index, *values = line.split()
        name_index, points = int(index), np.array(values, dtype=np.float64)
    except ValueError as error:
        raise SourceError(f"{where}: expected `class x y x y ...`, got {line[:40]!r}") from error
    if not 0 <= name_index < names:
        raise SourceError(f"{where}: class {name_index} is not among the {names} names of data.yaml")
    if points.size < 6 or points.size % 2 or not np.isfinite(points).all():
        raise SourceError(f"{where}: a polygon needs three or more finite points, got {points.size} numbers")
    return Polygon(name_index, points.reshape(-1, 2))
