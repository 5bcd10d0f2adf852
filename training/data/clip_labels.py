"""What labelling a clip takes: its frames, and a teacher's objects drawn over labelled stuff."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from configs.errors import SourceError
from configs.schema import Settings
from stages.decode import DecodeStage
from stages.source import expand_sources
from training.data.packing import segment_id
from training.data.teacher import MIN_OBJECT_PX, TeacherObject

SURE = 0.4
"""Objects of a lower score become void."""
DOUBTED = 0.15
"""Those of a still lower one are no objects."""


def frames_of(clip: Path, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture (H, W, 3) uint8 BGR of one frame of so many, as a run decodes them.

    Damaged stretches are left out; SourceError if the clip cannot be opened.
    """
    if not clip.is_file():
        raise SourceError(f"{clip}: no such file; name a video")
    (source,) = expand_sources([str(clip)], stride=every)
    with closing(DecodeStage(Settings())) as decode:
        frame, cursor = decode(source, None)
        while frame is not None:
            yield cursor.source_index, np.ascontiguousarray(frame.image[:, :, ::-1])
            frame, cursor = decode(source, cursor)


def with_objects(background: np.ndarray, objects: Sequence[TeacherObject]) -> np.ndarray:
    """Segment ids (H, W) with the objects on them, the one that reaches lowest in front."""
    ids = background.copy()
    sure: list[TeacherObject] = []
    for found in objects:
        if found.score >= SURE and found.mask.sum() >= MIN_OBJECT_PX:
            sure.append(found)
        else:
            ids[found.mask] = 0
    for instance, found in enumerate(sorted(sure, key=_lowest_row), 1):
        ids[found.mask] = segment_id(found.category_id, instance)
    return ids


def _lowest_row(found: TeacherObject) -> int:
    return int(np.flatnonzero(found.mask.any(axis=1))[-1])
