"""Panoptic quality (Kirillov et al. 2019), by the rules of the COCO panoptic evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from configs.categories import Category
from evaluation.matching import ClassIndex, MatchCounts, PanopticResult, match, summarise
from evaluation.overlap import Overlap


class PanopticQuality:
    """Adds pictures one by one; keeps four numbers a class, not the pictures."""

    def __init__(self, categories: Sequence[Category]) -> None:
        self.categories = tuple(categories)
        self._index = ClassIndex(self.categories)
        self._counts = MatchCounts.zeros(len(self.categories))

    def add(self, overlap: Overlap) -> None:
        """Matches the segments of one picture; or of a window of frames, which makes it the VPQ of it."""
        self._counts.add(match(overlap, self._index, len(self.categories)))

    def result(self) -> PanopticResult:
        """Quality over everything added so far."""
        return summarise(self._counts, self.categories)
