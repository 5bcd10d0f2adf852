"""IDF1 and HOTA on mask tracks, counted by the library `trackers` (Roboflow) from the overlaps of frames.

Each class of things is counted by itself, and only objects of one class can match; the similarity is the
IoU of the masks. As in the MOTS evaluation, a prediction of which more than half lies on void and on crowds
of its class is left out; what matches an object with an IoU of 0.5 or more never does. The mean is over the
classes of which truth or prediction has an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.categories import Category
from evaluation.matching import ClassIndex
from evaluation.overlap import Overlap
from evaluation.video_order import VideoOrder

_EXCUSED_FRACTION = 0.5
_HOTA = ("HOTA", "DetA", "AssA", "LocA")
_IDENTITY = ("IDF1", "IDP", "IDR")
MEASURES = (*_HOTA, *_IDENTITY)

_Counted = dict[str, Any]
"""The library's figures of one class: the measures, and the counts to add them up by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityResult:
    """Each by the measures' names, in 0..1."""

    mean: dict[str, float]
    """NaN when no class occurs."""
    per_class: dict[int, dict[str, float]]
    """By category id; without the classes of which neither side has an object."""


@dataclass(slots=True, eq=False)
class _Tracks:
    """The objects of one class in one video, frame by frame: the arguments of the library."""

    truth: list[np.ndarray] = field(default_factory=list)
    prediction: list[np.ndarray] = field(default_factory=list)
    similarity: list[np.ndarray] = field(default_factory=list)


class IdentityQuality:
    """Adds frames one by one, video after video; keeps the objects and similarities of one video, and a sum
    over those before."""

    def __init__(self, categories: Sequence[Category]) -> None:
        self._things = {place: c.id for place, c in enumerate(categories) if c.is_thing}
        self._index = ClassIndex(categories)
        self._order = VideoOrder()
        self._tracks: dict[int, _Tracks] = {}
        self._counted: dict[int, _Counted] = {}
        """By category id, of the videos that were left."""

    def add(self, video: str, overlap: Overlap) -> None:
        """The next frame of that video; the frames of a video come together and in order."""
        if self._order.begins(video):
            self._counted, self._tracks = self._summed(), {}
        gt_classes = self._index(overlap.truth, "truth")
        pred_classes = self._index(overlap.prediction, "prediction")
        shared = np.zeros((len(gt_classes) + 1, len(pred_classes) + 1), np.int64)
        shared[overlap.truth_at, overlap.prediction_at] = overlap.shared
        for place in np.intersect1d(list(self._things), np.append(gt_classes, pred_classes)).tolist():
            tracks = self._tracks.setdefault(self._things[place], _Tracks())
            _add_frame(tracks, overlap, shared, gt_classes == place, pred_classes == place)

    def result(self) -> IdentityResult:
        """Quality over everything added so far."""
        per_class: dict[int, dict[str, float]] = {}
        for category, total in sorted(self._summed().items()):
            if total["HOTA_TP"] + total["HOTA_FN"] + total["HOTA_FP"]:
                per_class[category] = {measure: float(total[measure]) for measure in MEASURES}
        mean = {m: float(np.mean([row[m] for row in per_class.values()])) for m in MEASURES if per_class}
        return IdentityResult(mean=mean or dict.fromkeys(MEASURES, float("nan")), per_class=per_class)

    def _summed(self) -> dict[int, _Counted]:
        """All videos so far, by category id."""
        summed = dict(self._counted)
        for category, tracks in self._tracks.items():
            summed[category] = _count(tracks, summed.get(category))
        return summed


def _add_frame(
    tracks: _Tracks, overlap: Overlap, shared: np.ndarray, of_truth: np.ndarray, of_prediction: np.ndarray
) -> None:
    """The objects of one class; `shared` (G + 1, P + 1) pixels, row and column 0 are void."""
    objects = np.flatnonzero(of_truth & ~overlap.truth.crowd)
    crowds = np.flatnonzero(of_truth & overlap.truth.crowd)
    predictions = np.flatnonzero(of_prediction)
    common = shared[np.ix_(objects + 1, predictions + 1)]
    gt_areas, pred_areas = shared[objects + 1].sum(axis=1), overlap.prediction.areas[predictions]
    iou = common / (gt_areas[:, None] + pred_areas - common)
    on_ignored = shared[np.append(crowds + 1, 0)][:, predictions + 1].sum(axis=0)
    kept = on_ignored <= _EXCUSED_FRACTION * pred_areas
    tracks.truth.append(overlap.truth.ids[objects])
    tracks.prediction.append(overlap.prediction.ids[predictions[kept]])
    tracks.similarity.append(iou[:, kept])


def _count(tracks: _Tracks, before: _Counted | None) -> _Counted:
    """The library's figures of one video, added to those of the videos before."""
    from trackers.eval import (
        aggregate_hota_metrics,
        aggregate_identity_metrics,
        compute_hota_metrics,
        compute_identity_metrics,
    )

    arguments = (tracks.truth, tracks.prediction, tracks.similarity)
    counted = compute_hota_metrics(*arguments) | compute_identity_metrics(*arguments)
    if before is None:
        return counted
    # a sum can be added to: its figures of association are weighted by their numbers of matches
    return aggregate_hota_metrics([before, counted]) | aggregate_identity_metrics([before, counted])
