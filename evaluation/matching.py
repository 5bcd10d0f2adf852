"""Matching of segments by IoU, the step that PQ and VPQ have in common, and the qualities of its counts.

A predicted and a true segment of the same class match when their IoU is above 0.5, where predicted
pixels on void count neither way; the areas make such matches unique. A true segment without a match
is a miss, unless it is a crowd. A prediction without a match is a false alarm, unless more than half
of it lies on void and the crowd of its own class. Where several crowds of one class are listed, only
the last one excuses predictions: so does the reference, and figures must be comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from evaluation.overlap import Overlap, Segments

_MATCH_IOU = 0.5
_EXCUSED_FRACTION = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassQuality:
    """Quality on one class."""

    category: Category
    pq: float
    """iou_sum / (tp + fp / 2 + fn / 2) = sq * rq; 0 for a class without segments."""
    sq: float
    """Mean IoU of the matches; 0 without one."""
    rq: float
    """tp / (tp + fp / 2 + fn / 2)."""
    tp: int
    fp: int
    fn: int
    iou_sum: float

    @property
    def counts(self) -> bool:
        """Whether truth or prediction has a segment of the class: others are in no mean."""
        return self.tp + self.fp + self.fn > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanQuality:
    """Mean over the classes of a group that occur."""

    pq: float
    """NaN, like `sq` and `rq`, when no class of the group occurs: the reference divides by zero there."""
    sq: float
    rq: float
    num_classes: int
    """Classes in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticResult:
    """Quality over everything added."""

    per_class: tuple[ClassQuality, ...]
    """In the order of the categories."""
    all: MeanQuality
    things: MeanQuality
    stuff: MeanQuality


@dataclass(slots=True, eq=False)
class MatchCounts:
    """Matches so far; each (K,), in the order of the categories."""

    iou_sum: np.ndarray
    """float64."""
    tp: np.ndarray
    """int64."""
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> MatchCounts:
        """Nothing counted yet."""
        return cls(np.zeros(num_classes), *(np.zeros(num_classes, np.int64) for _ in range(3)))

    def add(self, other: MatchCounts) -> None:
        """Adds what was counted elsewhere."""
        self.iou_sum += other.iou_sum
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn


class ClassIndex:
    """From category ids, which may be any numbers, to places in a list of categories."""

    def __init__(self, categories: Sequence[Category]) -> None:
        self._places = {category.id: place for place, category in enumerate(categories)}

    def __call__(self, segments: Segments, where: str) -> np.ndarray:
        """(N,) int64; SourceError for a category that is not in the list."""
        try:
            return np.array([self._places[category] for category in segments.categories.tolist()], np.int64)
        except KeyError as error:
            (category,) = error.args
            number = segments.ids[segments.categories.tolist().index(category)]
            raise SourceError(f"{where}: segment {number} has unknown category {category}") from None


def match(overlap: Overlap, index: ClassIndex, num_classes: int) -> MatchCounts:
    """Matches the segments of one frame, or the tubes of one window of frames."""
    gt_classes = index(overlap.truth, "truth")
    pred_classes = index(overlap.prediction, "prediction")
    on_void = _per_prediction(overlap, overlap.truth_at == 0)
    pairs = _comparable(overlap, gt_classes, pred_classes)
    truth, prediction = overlap.truth_at[pairs] - 1, overlap.prediction_at[pairs] - 1
    shared = overlap.shared[pairs]
    union = overlap.truth.areas[truth] + overlap.prediction.areas[prediction] - shared - on_void[prediction]
    iou = shared / np.maximum(union, 1)
    if (iou > 1).any():  # VPSNet's script stops here, too; panopticapi goes on, to figures above 1
        segment = overlap.truth.ids[truth[np.argmax(iou)]]
        raise SourceError(f"the stated area of segment {segment} of the truth is smaller than its pixels")
    matched = iou > _MATCH_IOU
    missed = ~overlap.truth.crowd
    missed[truth[matched]] = False
    false_alarm = on_void + _on_crowd(overlap, gt_classes, pred_classes) <= (
        _EXCUSED_FRACTION * overlap.prediction.areas
    )
    false_alarm[prediction[matched]] = False
    matched_classes = gt_classes[truth[matched]]
    return MatchCounts(
        iou_sum=np.bincount(matched_classes, iou[matched], num_classes),
        tp=np.bincount(matched_classes, minlength=num_classes),
        fp=np.bincount(pred_classes[false_alarm], minlength=num_classes),
        fn=np.bincount(gt_classes[missed], minlength=num_classes),
    )


def summarise(counts: MatchCounts, categories: Sequence[Category]) -> PanopticResult:
    """From counts to qualities and their means."""
    per_class = tuple(_class_quality(counts, place, category) for place, category in enumerate(categories))
    return PanopticResult(
        per_class=per_class,
        all=_mean(per_class),
        things=_mean([quality for quality in per_class if quality.category.is_thing]),
        stuff=_mean([quality for quality in per_class if not quality.category.is_thing]),
    )


def _comparable(overlap: Overlap, gt_classes: np.ndarray, pred_classes: np.ndarray) -> np.ndarray:
    """Pairs of two segments that may match: of one class, and the true one no crowd; (M,) bool."""
    truth, prediction = overlap.truth_at - 1, overlap.prediction_at - 1
    if not len(gt_classes) or not len(pred_classes):
        return np.zeros(len(truth), bool)
    possible: np.ndarray = (truth >= 0) & (prediction >= 0)
    possible &= (gt_classes[truth] == pred_classes[prediction]) & ~overlap.truth.crowd[truth]
    return possible


def _on_crowd(overlap: Overlap, gt_classes: np.ndarray, pred_classes: np.ndarray) -> np.ndarray:
    """Pixels of each prediction on the last crowd of its own class, (P,) int64."""
    last = {int(gt_classes[place]): int(place) + 1 for place in np.flatnonzero(overlap.truth.crowd)}
    # -1 is no place, so a class without crowd has no pixel on it; the entry behind is that of void
    crowd_of = np.array([*(last.get(int(number), -1) for number in pred_classes), -1], np.int64)
    return _per_prediction(overlap, overlap.truth_at == crowd_of[overlap.prediction_at - 1])


def _per_prediction(overlap: Overlap, pairs: np.ndarray) -> np.ndarray:
    """Pixels of each prediction in the pairs chosen, (P,) int64; each prediction is in one pair at most."""
    pixels = np.zeros(len(overlap.prediction.ids) + 1, np.int64)
    pixels[overlap.prediction_at[pairs]] = overlap.shared[pairs]
    return pixels[1:]


def _class_quality(counts: MatchCounts, place: int, category: Category) -> ClassQuality:
    iou_sum = float(counts.iou_sum[place])
    tp, fp, fn = (int(part[place]) for part in (counts.tp, counts.fp, counts.fn))
    weight = tp + fp / 2 + fn / 2
    return ClassQuality(
        category=category,
        pq=iou_sum / weight if weight else 0.0,
        sq=iou_sum / tp if tp else 0.0,
        rq=tp / weight if weight else 0.0,
        tp=tp,
        fp=fp,
        fn=fn,
        iou_sum=iou_sum,
    )


def _mean(qualities: Sequence[ClassQuality]) -> MeanQuality:
    occurring = [quality for quality in qualities if quality.counts]
    if not occurring:
        return MeanQuality(pq=float("nan"), sq=float("nan"), rq=float("nan"), num_classes=0)
    pq, sq, rq = np.array([(quality.pq, quality.sq, quality.rq) for quality in occurring]).mean(axis=0)
    return MeanQuality(pq=float(pq), sq=float(sq), rq=float(rq), num_classes=len(occurring))
