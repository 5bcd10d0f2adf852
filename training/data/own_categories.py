"""The categories of a training: those that its first set lists."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from configs.categories import Category, check_categories, same_classes
from configs.errors import SourceError
from evaluation.formats.coco import categories_of, read_json

_GOLDEN_RATIO = 0.618034
_BLACK = (0, 0, 0)


def own_categories(root: Path, known: Sequence[Category]) -> tuple[Category, ...]:
    """Those of a packed set, by class index in the order of its list; `known` if they are the same classes.

    SourceError if no model can distinguish them.
    """
    path = root / "train" / "panoptic.json"
    listed = categories_of(path, read_json(path))
    if same_classes(listed, known):
        return tuple(known)
    try:
        check_categories(listed)
    except ValueError as error:
        raise SourceError(f"{path}: categories: {error}") from None
    return tuple(_with_colour(category, index) for index, category in enumerate(listed))


def _with_colour(category: Category, index: int) -> Category:
    """Black, which stands for no colour as well, is replaced: neighbours lie far apart in hue."""
    if category.color != _BLACK:
        return category
    # duller than objects, which have colours of their own
    red, green, blue = (
        round(255 * part) for part in colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.5, 0.6)
    )
    return replace(category, color=(red, green, blue))
