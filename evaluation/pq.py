"""Panoptic quality (Kirillov et al. 2019), by the rules of the COCO panoptic evaluation.

Legend: `G` segments of the truth, `P` predicted segments, `K` classes.

A predicted and a true segment of the same class match when their IoU is above 0.5, where predicted
pixels on void count neither way; the areas make such matches unique. A true segment without a match
is a miss, unless it is a crowd. A prediction without a match is a false alarm, unless more than half
of it lies on void and the crowd of its own class. Where a picture lists several crowds of one class,
only the last one excuses predictions: so does the reference, and figures must be comparable.

The steps are functions of their own, so that measures over time can add up the overlaps of several
frames before matching.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from evaluation.segments import LabelledSegment, to_positions

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
    """NaN, like `sq` and `rq`, when no class of the group occurs."""
    sq: float
    rq: float
    num_classes: int
    """Classes in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticResult:
    """Quality over all pictures added."""

    per_class: tuple[ClassQuality, ...]
    """By class index."""
    all: MeanQuality
    things: MeanQuality
    stuff: MeanQuality
    num_pictures: int


@dataclass(slots=True, eq=False)
class MatchCounts:
    """Matches so far; each (K,), by class index."""

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


@dataclass(slots=True, eq=False)
class PanopticQuality:
    """Adds pictures one by one; keeps K counts, not the pictures."""

    categories: tuple[Category, ...]
    _counts: MatchCounts = field(init=False)
    _num_pictures: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._counts = MatchCounts.zeros(len(self.categories))

    def add(
        self,
        gt_ids: np.ndarray,
        gt_segments: Sequence[LabelledSegment],
        pred_ids: np.ndarray,
        pred_segments: Sequence[LabelledSegment],
    ) -> None:
        """Compares the id maps of one picture, both (H, W) integers with 0 = void."""
        overlap = overlap_areas(gt_ids, gt_segments, pred_ids, pred_segments)
        self._counts.add(match_segments(overlap, gt_segments, pred_segments, len(self.categories)))
        self._num_pictures += 1

    def merge(self, other: PanopticQuality) -> None:
        """Adds the pictures of another accumulator of the same categories."""
        if other.categories != self.categories:
            raise SourceError("qualities over different categories cannot be merged")
        self._counts.add(other._counts)
        self._num_pictures += other._num_pictures

    def result(self) -> PanopticResult:
        """Quality over everything added so far."""
        return summarise(self._counts, self.categories, self._num_pictures)


def overlap_areas(
    gt_ids: np.ndarray,
    gt_segments: Sequence[LabelledSegment],
    pred_ids: np.ndarray,
    pred_segments: Sequence[LabelledSegment],
) -> np.ndarray:
    """Pixels that each pair of segments shares, (G + 1, P + 1) int64; row 0 and column 0 are void."""
    if gt_ids.shape != pred_ids.shape:
        raise SourceError(f"truth {gt_ids.shape} and prediction {pred_ids.shape} must have the same size")
    truth = to_positions(gt_ids, [segment.id for segment in gt_segments], "truth")
    predicted = to_positions(pred_ids, [segment.id for segment in pred_segments], "prediction")
    rows, columns = len(gt_segments) + 1, len(pred_segments) + 1
    # int64: with many segments on both sides the number of pairs overflows uint16
    pairs = truth.reshape(-1).astype(np.int64) * columns + predicted.reshape(-1)
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def match_segments(
    overlap: np.ndarray,
    gt_segments: Sequence[LabelledSegment],
    pred_segments: Sequence[LabelledSegment],
    num_classes: int,
) -> MatchCounts:
    """Matches the segments of one volume (a picture, or a window of frames) by their shared areas."""
    gt_classes = _classes(gt_segments, num_classes, "truth")
    pred_classes = _classes(pred_segments, num_classes, "prediction")
    crowd = np.array([segment.is_crowd for segment in gt_segments], bool)
    iou = _comparable_iou(overlap, gt_classes, pred_classes, crowd)
    gt_matched, pred_matched = (iou > _MATCH_IOU).any(axis=1), (iou > _MATCH_IOU).any(axis=0)
    excused = _excused(overlap, gt_classes, pred_classes, crowd)
    return MatchCounts(
        iou_sum=np.bincount(gt_classes[gt_matched], iou.max(axis=1, initial=0.0)[gt_matched], num_classes),
        tp=np.bincount(gt_classes[gt_matched], minlength=num_classes),
        fp=np.bincount(pred_classes[~pred_matched & ~excused], minlength=num_classes),
        fn=np.bincount(gt_classes[~gt_matched & ~crowd], minlength=num_classes),
    )


def summarise(counts: MatchCounts, categories: tuple[Category, ...], num_pictures: int) -> PanopticResult:
    """From counts to qualities and their means."""
    per_class = tuple(_class_quality(counts, category) for category in categories)
    return PanopticResult(
        per_class=per_class,
        all=_mean(per_class),
        things=_mean([quality for quality in per_class if quality.category.is_thing]),
        stuff=_mean([quality for quality in per_class if not quality.category.is_thing]),
        num_pictures=num_pictures,
    )


def _comparable_iou(
    overlap: np.ndarray, gt_classes: np.ndarray, pred_classes: np.ndarray, crowd: np.ndarray
) -> np.ndarray:
    """IoU of each pair, (G, P) float64; 0 for pairs that cannot match: other class, or a crowd."""
    shared = overlap[1:, 1:]
    gt_areas, pred_areas = overlap[1:].sum(axis=1), overlap[:, 1:].sum(axis=0)
    union = gt_areas[:, None] + pred_areas - shared - overlap[0, 1:]
    comparable = (gt_classes[:, None] == pred_classes) & ~crowd[:, None]
    iou: np.ndarray = np.divide(shared, union, out=np.zeros(shared.shape), where=comparable & (union > 0))
    return iou


def _excused(
    overlap: np.ndarray, gt_classes: np.ndarray, pred_classes: np.ndarray, crowd: np.ndarray
) -> np.ndarray:
    """Predictions of which more than half lies on void and the last crowd of their class, (P,) bool."""
    last_crowd = {int(gt_classes[row]): int(row) + 1 for row in np.flatnonzero(crowd)}
    rows = np.array([last_crowd.get(int(index), 0) for index in pred_classes], np.int64)
    on_crowd = np.where(rows > 0, overlap[rows, np.arange(1, rows.size + 1)], 0)
    pred_areas = overlap[:, 1:].sum(axis=0)
    excused: np.ndarray = overlap[0, 1:] + on_crowd > _EXCUSED_FRACTION * pred_areas
    return excused


def _classes(segments: Sequence[LabelledSegment], num_classes: int, where: str) -> np.ndarray:
    for segment in segments:
        if not 0 <= segment.category_id < num_classes:
            raise SourceError(
                f"{where}: segment {segment.id} has unknown category {segment.category_id}; "
                f"categories are 0..{num_classes - 1}"
            )
    return np.array([segment.category_id for segment in segments], np.int64)


def _class_quality(counts: MatchCounts, category: Category) -> ClassQuality:
    iou_sum = float(counts.iou_sum[category.id])
    tp, fp, fn = (int(part[category.id]) for part in (counts.tp, counts.fp, counts.fn))
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
