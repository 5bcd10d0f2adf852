"""A whole evaluation: pairs of frames are read and compared in threads, and every measure adds them up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats.labelled import LabelledSet
from evaluation.identity import IdentityQuality, IdentityResult
from evaluation.matching import PanopticResult
from evaluation.overlap import Overlap, frame_overlap
from evaluation.pairing import Pair, pair_frames
from evaluation.pq import PanopticQuality
from evaluation.stq import SegmentationTrackingQuality, TrackingResult
from evaluation.vpq import VideoPanopticQuality, VideoPanopticResult

METRICS = ("pq", "vpq", "stq", "hota", "idf1")
_THREADS = 2
_AHEAD = 2 * _THREADS
"""Frames that are read before they are needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured; None is what was not asked for."""

    categories: tuple[Category, ...]
    num_frames: int
    pq: PanopticResult | None
    vpq: VideoPanopticResult | None
    stq: TrackingResult | None
    identity: IdentityResult | None
    metrics: tuple[str, ...]


class Evaluator:
    """Adds frames, video after video, to the measures that are asked for."""

    def __init__(
        self, categories: Sequence[Category], metrics: Collection[str], windows: Sequence[int]
    ) -> None:
        """`metrics` of METRICS; `windows` are the lengths of VPQ's windows in labelled frames."""
        unknown = [metric for metric in metrics if metric not in METRICS]
        if unknown or not metrics:
            raise SourceError(
                f"metrics must be some of {', '.join(METRICS)}, got {', '.join(unknown) or 'none'}"
            )
        self._categories = tuple(categories)
        self._metrics = tuple(metric for metric in METRICS if metric in metrics)
        self._num_frames = 0
        self._pq = PanopticQuality(categories) if "pq" in metrics else None
        self._vpq = VideoPanopticQuality(categories, windows) if "vpq" in metrics else None
        self._stq = SegmentationTrackingQuality(categories) if "stq" in metrics else None
        self._identity = IdentityQuality(categories) if {"hota", "idf1"} & set(metrics) else None

    def add(self, video: str, overlap: Overlap) -> None:
        """The next frame of that video; the frames of a video come together and in order."""
        self._num_frames += 1
        if self._pq is not None:
            self._pq.add(overlap)
        for measure in (self._vpq, self._stq, self._identity):
            if measure is not None:
                measure.add(video, overlap)

    def result(self) -> Evaluation:
        """Quality over everything added so far."""
        return Evaluation(
            categories=self._categories,
            num_frames=self._num_frames,
            pq=self._pq.result() if self._pq else None,
            vpq=self._vpq.result() if self._vpq else None,
            stq=self._stq.result() if self._stq else None,
            identity=self._identity.result() if self._identity else None,
            metrics=self._metrics,
        )


def evaluate(
    truth: LabelledSet,
    prediction: LabelledSet,
    metrics: Collection[str],
    windows: Sequence[int],
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Quality of a prediction; `on_frame` hears how many frames of how many were compared."""
    evaluator = Evaluator(truth.categories, metrics, windows)
    pairs = pair_frames(truth, prediction)

    def compare(pair: Pair) -> Overlap:
        expected, found = pair
        gt_ids, gt_segments = truth.read(expected)
        pred_ids, pred_segments = prediction.read(found)
        names = {"gt_name": str(expected.path), "pred_name": str(found.path)}
        return frame_overlap(gt_ids, gt_segments, pred_ids, pred_segments, **names)

    overlaps = zip(pairs, _in_threads(compare, pairs), strict=True)
    for done, ((expected, _), overlap) in enumerate(overlaps, 1):
        try:
            evaluator.add(expected.video, overlap)
        except SourceError as error:
            error.add_note(f"{truth.source}, {expected.file_name}")
            raise
        on_frame(done, len(pairs))
    return evaluator.result()


def _in_threads(compare: Callable[[Pair], Overlap], pairs: Iterable[Pair]) -> Iterator[Overlap]:
    """`map`, in order, a few frames ahead: so memory does not depend on the number of frames."""
    ahead: deque[Future[Overlap]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for pair in pairs:
            ahead.append(pool.submit(compare, pair))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
