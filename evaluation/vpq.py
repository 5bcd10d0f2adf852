"""Video panoptic quality (Kim et al. 2020): PQ of tubes in windows of n labelled frames.

A tube is all pixels of one id within the window. The windows slide frame by frame, so a video of T
labelled frames has T - n + 1 of them; a video shorter than n has none. The matching is that of PQ, with
the areas summed over the frames. As in the reference, the class of a tube, and whether it is a crowd, is
that of the first frame of the window that shows it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from configs.categories import Category
from configs.errors import SourceError
from evaluation.matching import PanopticResult
from evaluation.overlap import Overlap, join
from evaluation.pq import PanopticQuality
from evaluation.video_order import VideoOrder

CITYSCAPES_VPS_WINDOWS = (1, 2, 3, 4)
"""Frames are labelled five apart there, so these are k = 0, 5, 10 and 15 frames of video."""
VIPSEG_WINDOWS = (1, 2, 4, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPanopticResult:
    """Quality over everything added."""

    windows: dict[int, PanopticResult]
    """By the number of labelled frames in a window."""
    all: float
    """Mean of PQ over the windows; NaN if one of them has none, like `things` and `stuff`."""
    things: float
    stuff: float


class VideoPanopticQuality:
    """Adds frames one by one, video after video; keeps the overlaps of the longest window only."""

    def __init__(self, categories: Sequence[Category], windows: Sequence[int]) -> None:
        if not windows or min(windows) < 1:
            raise SourceError(f"windows must be numbers of frames, at least 1 each, got {list(windows)}")
        self._qualities = {length: PanopticQuality(categories) for length in sorted(set(windows))}
        self._recent: deque[Overlap] = deque(maxlen=max(windows))
        self._order = VideoOrder()

    def add(self, video: str, overlap: Overlap) -> None:
        """The next labelled frame of that video; the frames of a video come together and in order."""
        if self._order.begins(video):
            self._recent.clear()
        self._recent.append(overlap)
        frames = list(self._recent)
        for length, quality in self._qualities.items():
            if length <= len(frames):
                quality.add(join(frames[-length:]))

    def result(self) -> VideoPanopticResult:
        """Quality over everything added so far."""
        windows = {length: quality.result() for length, quality in self._qualities.items()}
        results = windows.values()
        return VideoPanopticResult(
            windows=windows,
            all=sum(result.all.pq for result in results) / len(windows),
            things=sum(result.things.pq for result in results) / len(windows),
            stuff=sum(result.stuff.pq for result in results) / len(windows),
        )
