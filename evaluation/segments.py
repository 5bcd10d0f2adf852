"""Maps of segment ids and the list of their segments: the form in which truth and prediction are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from stages.messages import Panoptic

VOID_ID = 0
MAX_ID = (1 << 24) - 1
"""What fits the three bytes of a COCO panoptic PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSegment:
    """One region of a map of segment ids."""

    id: int
    """1..MAX_ID, the pixels' value in the map; in a video the same object has the same id in all frames."""
    category_id: int
    is_crowd: bool = False
    """Several objects that the truth does not tell apart; never true of a prediction."""
    area_px: int | None = None
    """Area that the truth's file states; None: counted in the map."""


def predicted_segments(
    panoptic: Panoptic, categories: Sequence[Category]
) -> tuple[np.ndarray, list[LabelledSegment]]:
    """Id map (H, W) int32 and segments of a frame as the pipeline hands it on; ids last over the stream.

    `categories` are those of the model, by class index.
    """
    ids = np.array([VOID_ID, *(segment.segment_id for segment in panoptic.segments)], np.int32)
    segments = [
        LabelledSegment(id=segment.segment_id, category_id=categories[segment.class_index].id)
        for segment in panoptic.segments
    ]
    return ids[panoptic.label_map], segments


def check_map(ids: np.ndarray, segments: Sequence[LabelledSegment], where: str) -> int:
    """The largest id listed; SourceError if map or list are none, or if the map holds ids beyond it."""
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise SourceError(f"{where}: a map of ids must be (H, W) integers, got {ids.shape} {ids.dtype}")
    listed = [segment.id for segment in segments]
    largest = max([VOID_ID, *listed])
    if len(set(listed)) != len(listed) or min([1, *listed]) < 1 or largest > MAX_ID:
        raise SourceError(f"{where}: ids of segments must be different numbers of 1..{MAX_ID}")
    for extreme in (int(ids.max(initial=0)), int(ids.min(initial=0))):
        if not 0 <= extreme <= largest:
            raise unlisted(where, extreme)
    return largest


def position_table(segments: Sequence[LabelledSegment], largest: int, step: int = 1) -> np.ndarray:
    """By id, in steps: 0 = not listed, 1 = void, 2 + i = segments[i]; (largest + 1,) int64.

    Not listed is 0, so that the table of a sparse set of ids is mostly untouched zero pages.
    """
    table = np.zeros(largest + 1, np.int64)
    table[[VOID_ID, *(segment.id for segment in segments)]] = np.arange(1, len(segments) + 2) * step
    return table


def to_positions(ids: np.ndarray, segments: Sequence[LabelledSegment], where: str) -> np.ndarray:
    """The map with each id replaced by its place in the list: 0 = void, i = segments[i - 1].

    (H, W) int64. Map and list must name exactly the same ids; `where` names the map in the error.
    """
    found: np.ndarray = position_table(segments, check_map(ids, segments, where))[ids]
    check_counts(np.bincount(found.reshape(-1), minlength=len(segments) + 2), ids, segments, where)
    found -= 1
    return found


def check_counts(
    counts: np.ndarray, ids: np.ndarray, segments: Sequence[LabelledSegment], where: str
) -> None:
    """SourceError unless map and list name the same ids; counts by place in the `position_table`."""
    if counts[0]:
        listed = [VOID_ID, *(segment.id for segment in segments)]
        raise unlisted(where, int(np.setdiff1d(ids, listed)[0]))
    if (counts[2:] == 0).any():
        missing = segments[int(np.argmin(counts[2:]))].id
        raise SourceError(f"{where}: segment {missing} is listed but has no pixel in the map")


def unlisted(where: str, value: int) -> SourceError:
    """The error of an id that only the map has."""
    return SourceError(
        f"{where}: id {value} of the map is not in the list of segments; list it or make it {VOID_ID}"
    )
