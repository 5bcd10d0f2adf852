"""Maps of segment ids and the list of their segments: the form in which truth and prediction are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.errors import SourceError
from stages.messages import Panoptic

VOID_ID = 0
MAX_ID = (1 << 24) - 1
"""What fits the three bytes of a COCO panoptic PNG."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSegment:
    """One region of a map of segment ids."""

    id: int
    """1..MAX_ID, the pixels' value in the map."""
    category_id: int
    is_crowd: bool = False
    """Several objects that the truth does not tell apart; never true of a prediction."""


def predicted_segments(panoptic: Panoptic) -> tuple[np.ndarray, list[LabelledSegment]]:
    """Id map and segments of a frame as the pipeline hands it on; an id is a position in its list."""
    segments = [
        LabelledSegment(id=position, category_id=segment.category_id)
        for position, segment in enumerate(panoptic.segments, 1)
    ]
    return panoptic.label_map, segments


def to_positions(ids: np.ndarray, segment_ids: Sequence[int], where: str) -> np.ndarray:
    """The map with each id replaced by its place in the list: 0 = void, i = segment_ids[i - 1].

    (H, W) uint16. Map and list must name exactly the same ids; `where` names the map in the error.
    """
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise SourceError(f"{where}: a map of ids must be (H, W) integers, got {ids.shape} {ids.dtype}")
    largest = max([VOID_ID, *segment_ids])
    if len(set(segment_ids)) != len(segment_ids) or min([1, *segment_ids]) < 1 or largest > MAX_ID:
        raise SourceError(f"{where}: ids of segments must be different numbers of 1..{MAX_ID}")
    for extreme in (int(ids.max(initial=0)), int(ids.min(initial=0))):
        if not 0 <= extreme <= largest:
            raise SourceError(_unlisted(where, extreme))
    # one more than the position, so that the table of a sparse set of ids is mostly untouched zero pages
    table = np.zeros(largest + 1, np.uint16)
    table[[VOID_ID, *segment_ids]] = np.arange(1, len(segment_ids) + 2)
    found: np.ndarray = table[ids]
    counts = np.bincount(found.reshape(-1), minlength=len(segment_ids) + 2)
    if counts[0]:
        raise SourceError(_unlisted(where, int(ids[found == 0][0])))
    if (counts[2:] == 0).any():
        missing = segment_ids[int(np.argmin(counts[2:]))]
        raise SourceError(f"{where}: segment {missing} is listed but has no pixel in the map")
    found -= np.uint16(1)
    return found


def _unlisted(where: str, value: int) -> str:
    return f"{where}: id {value} of the map is not in the list of segments; list it or make it {VOID_ID}"
