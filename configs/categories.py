"""The categories a model distinguishes. A category's id is its index: 0..K-1, stuff and things mixed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Category:
    """One class of the panoptic segmentation."""

    id: int
    """Class index, and `category_id` in panoptic.json."""
    name: str
    is_thing: bool
    color: tuple[int, int, int]
    """RGB, 0..255."""


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


def thing_ids(categories: tuple[Category, ...]) -> tuple[int, ...]:
    """Class indices of the things, ascending."""
    return tuple(category.id for category in categories if category.is_thing)


def stuff_ids(categories: tuple[Category, ...]) -> tuple[int, ...]:
    """Class indices of the stuff, ascending."""
    return tuple(category.id for category in categories if not category.is_thing)
