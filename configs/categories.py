"""The categories a model distinguishes, stuff and things mixed.

A class index is a position in their list, 0..K-1: what the network and the stages work with. A category's id
is what files call it: any number, in Cityscapes the same as the index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MAX_CATEGORIES = 255
"""Class maps are bytes, of which one value is void."""


@dataclass(frozen=True, slots=True)
class Category:
    """One class of the panoptic segmentation."""

    id: int
    """`category_id` in panoptic.json."""
    name: str
    is_thing: bool
    color: tuple[int, int, int]
    """RGB, 0..255."""

    # of a settings file: a key that is misspelt must not be passed over
    __pydantic_config__: ClassVar = {"extra": "forbid"}


CITYSCAPES: tuple[Category, ...] = (
    Category(0, "road", False, (128, 64, 128)),
    Category(1, "sidewalk", False, (244, 35, 232)),
    Category(2, "building", False, (70, 70, 70)),
    Category(3, "wall", False, (102, 102, 156)),
    Category(4, "fence", False, (190, 153, 153)),
    Category(5, "pole", False, (153, 153, 153)),
    Category(6, "traffic light", False, (250, 170, 30)),
    Category(7, "traffic sign", False, (220, 220, 0)),
    Category(8, "vegetation", False, (107, 142, 35)),
    Category(9, "terrain", False, (152, 251, 152)),
    Category(10, "sky", False, (70, 130, 180)),
    Category(11, "person", True, (220, 20, 60)),
    Category(12, "rider", True, (255, 0, 0)),
    Category(13, "car", True, (0, 0, 142)),
    Category(14, "truck", True, (0, 0, 70)),
    Category(15, "bus", True, (0, 60, 100)),
    Category(16, "train", True, (0, 80, 100)),
    Category(17, "motorcycle", True, (0, 0, 230)),
    Category(18, "bicycle", True, (119, 11, 32)),
)
"""The 19 evaluated Cityscapes classes with their train ids and the data set's own colours."""

CATEGORY_SETS: dict[str, tuple[Category, ...]] = {"cityscapes": CITYSCAPES}


def thing_ids(categories: Sequence[Category]) -> tuple[int, ...]:
    """Class indices of the things, ascending."""
    return tuple(index for index, category in enumerate(categories) if category.is_thing)


def stuff_ids(categories: Sequence[Category]) -> tuple[int, ...]:
    """Class indices of the stuff, ascending."""
    return tuple(index for index, category in enumerate(categories) if not category.is_thing)


def same_classes(some: Sequence[Category], others: Sequence[Category]) -> bool:
    """Whether both have the same ids, names and kinds, in any order and in whatever colours."""
    return _meanings(some) == _meanings(others)


def check_categories(categories: Sequence[Category]) -> None:
    """ValueError unless a model can distinguish them; it says what to change."""
    if not 2 <= len(categories) <= MAX_CATEGORIES:
        raise ValueError(f"there must be 2 to {MAX_CATEGORIES} categories, got {len(categories)}")
    for kind, values in (
        ("id", [category.id for category in categories]),
        ("name", [category.name for category in categories]),
    ):
        value, times = Counter(values).most_common(1)[0]
        if times > 1:
            raise ValueError(f"{times} categories have the {kind} {value!r}; give each its own")
    for category in categories:
        if not all(0 <= value <= 255 for value in category.color):
            raise ValueError(f"the colour of {category.name!r} must be three numbers of 0..255")
    if not thing_ids(categories):
        raise ValueError("no category is a thing; make one that can be counted a thing")
    if not stuff_ids(categories):
        raise ValueError("no category is stuff; add one for what is around the things, like 'background'")


def _meanings(categories: Sequence[Category]) -> set[tuple[int, str, bool]]:
    return {(category.id, category.name, category.is_thing) for category in categories}
