"""Frames and panoptic maps drawn by hand, for the tests of drawing and encoding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from stages.messages import Checkpoint, Cursor, Frame, Panoptic, Segment, TrackMemory

ROAD_SEGMENT_ID = 1
CAR = 13


def make_frame(image: np.ndarray, *, index: int = 0, pts: int | None = None, duration: int = 512) -> Frame:
    """A frame of 25 a second, in ticks of 1/12800 s."""
    time = index * 512 if pts is None else pts
    return Frame(index=index, pts=time, time_base=Fraction(1, 12800), duration=duration, image=image)


CHECKPOINT = Checkpoint(
    cursor=Cursor(index=3, source_index=5, pts=1536),
    memory=TrackMemory(
        index=4,
        next_track_id=7,
        track_ids=np.array([2, 6]),
        classes=np.array([13, 11]),
        boxes=np.array([[0, 1, 4, 3], [2, 0, 3.5, 2]], np.float32),
        embeddings=np.array([[0.25, -1, 2], [3, 0.1, 0]], np.float32),
        last_seen=np.array([4, 1]),
    ),
)
"""After frame 4, with two objects."""


def make_panoptic(label_map: np.ndarray, segments: Sequence[Segment], *, index: int = 0) -> Panoptic:
    return Panoptic(index=index, label_map=label_map, segments=tuple(segments))


def road(area_px: int = 12, bbox_px: tuple[int, int, int, int] = (0, 0, 4, 3)) -> Segment:
    """The road, which is stuff."""
    return Segment(
        segment_id=ROAD_SEGMENT_ID,
        class_index=0,
        is_thing=False,
        track_id=None,
        score=None,
        area_px=area_px,
        bbox_px=bbox_px,
    )


def thing(
    track_id: int, *, area_px: int = 4, bbox_px: tuple[int, int, int, int] = (1, 1, 2, 2), score: float = 0.75
) -> Segment:
    """A car; its segment id is 1000 more than its identity."""
    return Segment(
        segment_id=1000 + track_id,
        class_index=CAR,
        is_thing=True,
        track_id=track_id,
        score=score,
        area_px=area_px,
        bbox_px=bbox_px,
    )
