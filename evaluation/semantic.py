"""Semantic segmentation: mean IoU over classes, from one confusion matrix over all pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from configs.categories import Category
from configs.errors import SourceError

VOID_CLASS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticResult:
    """Quality over all pictures added."""

    per_class: tuple[float, ...]
    """IoU by class index; NaN for a class that neither truth nor prediction shows."""
    mean_iou: float
    """Mean over the classes that occur; NaN without one."""
    pixel_accuracy: float
    """Share of the pixels with a true class that are predicted right; NaN without such pixels."""


@dataclass(slots=True, eq=False)
class SemanticIoU:
    """Adds class maps one by one. Pixels that are void in the truth count neither way; void in the
    prediction is a miss."""

    categories: tuple[Category, ...]
    _confusion: np.ndarray = field(init=False)
    """(K, K + 1) int64: true class, predicted class; the last column is void."""

    def __post_init__(self) -> None:
        num_classes = len(self.categories)
        self._confusion = np.zeros((num_classes, num_classes + 1), np.int64)

    def add(self, gt_classes: np.ndarray, pred_classes: np.ndarray) -> None:
        """Compares the class maps of one picture, both (H, W) uint8 with 255 = void."""
        if gt_classes.shape != pred_classes.shape:
            raise SourceError(
                f"truth {gt_classes.shape} and prediction {pred_classes.shape} must have the same size"
            )
        num_classes = len(self.categories)
        # one count over all pairs of bytes: no mask, no copy of what is known
        pairs = (gt_classes.astype(np.uint16) << 8) | pred_classes
        counts = np.bincount(pairs.reshape(-1), minlength=1 << 16).reshape(256, 256)
        _check(counts.sum(axis=1), num_classes, "truth")
        _check(counts.sum(axis=0), num_classes, "prediction")
        self._confusion[:, :num_classes] += counts[:num_classes, :num_classes]
        self._confusion[:, num_classes] += counts[:num_classes, VOID_CLASS]

    def result(self) -> SemanticResult:
        """Quality over everything added so far."""
        right = self._confusion.diagonal().astype(np.float64)
        labelled = self._confusion.sum(axis=1)
        union = labelled + self._confusion[:, :-1].sum(axis=0) - right
        iou = np.divide(right, union, out=np.full(right.shape, np.nan), where=union > 0)
        occurring = iou[union > 0]
        return SemanticResult(
            per_class=tuple(iou.tolist()),
            mean_iou=float(occurring.mean()) if occurring.size else float("nan"),
            pixel_accuracy=float(right.sum() / labelled.sum()) if labelled.any() else float("nan"),
        )


def _check(counts: np.ndarray, num_classes: int, where: str) -> None:
    unknown = np.flatnonzero(counts[num_classes:VOID_CLASS])
    if unknown.size:
        raise SourceError(
            f"{where}: class {num_classes + int(unknown[0])} is unknown; classes are "
            f"0..{num_classes - 1} and {VOID_CLASS} for void"
        )
