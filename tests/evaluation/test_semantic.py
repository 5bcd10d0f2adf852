"""Mean IoU on class maps drawn by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from configs.categories import Category
from configs.errors import SourceError
from evaluation.semantic import SemanticIoU

CATEGORIES = tuple(Category(n, f"class {n}", False, (n, n, n)) for n in range(3))
VOID = 255


def classes(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def measured(truth: np.ndarray, predicted: np.ndarray) -> SemanticIoU:
    measure = SemanticIoU(CATEGORIES)
    measure.add(truth, predicted)
    return measure


def test_one_wrong_pixel_of_four_costs_both_classes() -> None:
    result = measured(classes(0, 0, 1, 1), classes(0, 0, 0, 1)).result()
    assert list(result.per_class[:2]) == pytest.approx([2 / 3, 0.5])
    assert result.mean_iou == pytest.approx(7 / 12)
    assert result.pixel_accuracy == 0.75


def test_a_class_that_nobody_shows_is_in_no_mean() -> None:
    result = measured(classes(0, 1), classes(0, 1)).result()
    assert math.isnan(result.per_class[2])
    assert result.mean_iou == 1.0


def test_void_in_the_truth_counts_neither_way() -> None:
    result = measured(classes(0, VOID), classes(0, 1)).result()
    assert (result.mean_iou, result.pixel_accuracy) == (1.0, 1.0)


def test_void_in_the_prediction_is_a_miss() -> None:
    result = measured(classes(0, 0), classes(0, VOID)).result()
    assert (result.mean_iou, result.pixel_accuracy) == (0.5, 0.5)


def test_pictures_add_up() -> None:
    together = measured(classes(0, 0, 1), classes(0, 1, 1))
    apart = measured(classes(0, 0), classes(0, 1))
    apart.add(classes(1), classes(1))
    assert apart.result().per_class[:2] == together.result().per_class[:2]


def test_no_pictures_have_no_mean() -> None:
    assert math.isnan(SemanticIoU(CATEGORIES).result().mean_iou)


def test_an_unknown_class_is_refused_by_number() -> None:
    with pytest.raises(SourceError, match=r"prediction: class 3 is unknown; classes are 0\.\.2"):
        measured(classes(0), classes(3))
    with pytest.raises(SourceError, match="must have the same size"):
        measured(classes(0), classes(0, 0))
