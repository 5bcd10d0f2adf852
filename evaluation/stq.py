"""Segmentation and tracking quality (Weber et al. 2021): STQ = sqrt(AQ * SQ).

SQ is the mean IoU over the classes of all pixels. Void in the truth counts neither way. Void in the
prediction is a class of its own with IoU 0 that enters the mean as soon as one labelled pixel is predicted
void: so does the reference, and so a prediction with holes is marked down.

AQ is a mean over the true tubes g (all pixels of an object in a video):

    AQ(g) = 1 / |g| * sum over predicted tubes p of TPA * TPA / (|g| + |p| - TPA),   TPA = pixels shared

A predicted tube need not have the class of g, but its class is part of its identity: an object whose
predicted class changes is two tubes. Crowds are no tubes, and predicted pixels on a crowd of things belong
to none; those on stuff and on void do. Without a true tube AQ is 0, as in the reference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.categories import Category
from evaluation.matching import ClassIndex
from evaluation.overlap import Overlap, Segments
from evaluation.video_order import VideoOrder

Tube = tuple[int, int]
"""Class and id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingQuality:
    """STQ of a video, or of all."""

    stq: float
    """NaN without a labelled pixel, like `sq`."""
    aq: float
    sq: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingResult:
    """Quality over everything added."""

    total: TrackingQuality
    """AQ is the mean over the tubes of all videos, SQ of the pixels of all: no means over videos."""
    per_class_iou: tuple[float, ...]
    """In the order of the categories; NaN for a class that neither truth nor prediction shows."""
    per_video: dict[str, TrackingQuality]


@dataclass(slots=True, eq=False)
class _Video:
    """What is remembered of a video: tubes, never frames."""

    confusion: np.ndarray
    """(K + 1, K + 1) int64: true class, predicted class; the last of each is void."""
    truth: Counter[Tube] = field(default_factory=Counter)
    """Pixels of each tube."""
    prediction: Counter[Tube] = field(default_factory=Counter)
    shared: Counter[tuple[Tube, Tube]] = field(default_factory=Counter)

    def add(self, truth: list[Tube | None], prediction: list[Tube | None], shared: list[int]) -> None:
        """Pairs of tubes and the pixels that they share; None is what belongs to no tube."""
        for gt_tube, pred_tube, pixels in zip(truth, prediction, shared, strict=True):
            if gt_tube is not None:
                self.truth[gt_tube] += pixels
            if pred_tube is not None:
                self.prediction[pred_tube] += pixels
            if gt_tube is not None and pred_tube is not None:
                self.shared[gt_tube, pred_tube] += pixels

    def quality(self) -> TrackingQuality:
        """STQ of this video alone."""
        return _quality(self.confusion, self.association(), len(self.truth))

    def association(self) -> float:
        """Sum of AQ over the true tubes."""
        total = 0.0
        for (truth, prediction), shared in self.shared.items():
            union = self.truth[truth] + self.prediction[prediction] - shared
            total += shared * shared / union / self.truth[truth]
        return total


class SegmentationTrackingQuality:
    """Adds frames one by one, video after video; keeps the tubes of one video, and sums of those before."""

    def __init__(self, categories: Sequence[Category]) -> None:
        self._index = ClassIndex(categories)
        self._is_thing = np.array([*(category.is_thing for category in categories), False])
        self._order = VideoOrder()
        self._video = self._nothing()
        self._confusion, self._association, self._num_tubes = self._video.confusion.copy(), 0.0, 0
        self._per_video: dict[str, TrackingQuality] = {}

    def add(self, video: str, overlap: Overlap) -> None:
        """The next frame of that video; the frames of a video come together."""
        before = self._order.current
        if self._order.begins(video):
            if before is not None:
                self._leave(before)
            self._video = self._nothing()
        truth, prediction = overlap.truth_at - 1, overlap.prediction_at - 1
        void = len(self._is_thing) - 1
        # place -1 is void, which is the last entry
        gt_classes = np.append(self._index(overlap.truth, "truth"), void)[truth]
        pred_classes = np.append(self._index(overlap.prediction, "prediction"), void)[prediction]
        np.add.at(self._video.confusion, (gt_classes, pred_classes), overlap.shared)
        crowd = np.append(overlap.truth.crowd, False)[truth] & self._is_thing[gt_classes]
        in_prediction = self._is_thing[pred_classes] & ~crowd
        self._video.add(
            _tubes(gt_classes, overlap.truth.ids, truth, self._is_thing[gt_classes] & ~crowd),
            _tubes(pred_classes, _instances(overlap.prediction), prediction, in_prediction),
            overlap.shared.tolist(),
        )

    def result(self) -> TrackingResult:
        """Quality over everything added so far."""
        confusion, per_video = self._confusion + self._video.confusion, dict(self._per_video)
        if self._order.current is not None:
            per_video[self._order.current] = self._video.quality()
        association = self._association + self._video.association()
        return TrackingResult(
            total=_quality(confusion, association, self._num_tubes + len(self._video.truth)),
            per_class_iou=tuple(_iou(confusion)[:-1].tolist()),
            per_video=per_video,
        )

    def _leave(self, video: str) -> None:
        self._per_video[video] = self._video.quality()
        self._confusion += self._video.confusion
        self._association += self._video.association()
        self._num_tubes += len(self._video.truth)

    def _nothing(self) -> _Video:
        return _Video(np.zeros((len(self._is_thing), len(self._is_thing)), np.int64))


def _instances(segments: Segments) -> np.ndarray:
    """(N,) ids; 0 for what a prediction calls a crowd, so that those of a class are one tube."""
    instances: np.ndarray = np.where(segments.crowd, 0, segments.ids)
    return instances


def _tubes(classes: np.ndarray, ids: np.ndarray, places: np.ndarray, wanted: np.ndarray) -> list[Tube | None]:
    """Of each pair the tube it belongs to; None where it is not wanted. Place -1 is void."""
    numbers = np.append(ids, 0)[places]
    return [
        (number, identity) if part else None
        for number, identity, part in zip(classes.tolist(), numbers.tolist(), wanted.tolist(), strict=True)
    ]


def _iou(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class and, at last, of void; (K + 1,) float64, NaN for a class that does not occur."""
    labelled = confusion[:-1]
    right = np.append(labelled.diagonal(), 0)
    union = np.append(labelled.sum(axis=1), 0) + labelled.sum(axis=0) - right
    iou: np.ndarray = np.divide(right, union, out=np.full(right.shape, np.nan), where=union > 0)
    return iou


def _quality(confusion: np.ndarray, association: float, num_tubes: int) -> TrackingQuality:
    iou = _iou(confusion)
    occurring = iou[~np.isnan(iou)]
    sq = float(occurring.mean()) if occurring.size else float("nan")
    aq = association / num_tubes if num_tubes else 0.0
    return TrackingQuality(stq=math.sqrt(aq * sq), aq=aq, sq=sq)
