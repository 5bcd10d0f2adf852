"""Writes a packed set, as `training.data.packed` reads it: pictures, maps of segment ids, a description.

Ids are (instance << 8) + class + 1; instance 0 is stuff, or the crowd of a thing class; 0 is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from configs.categories import CITYSCAPES
from configs.errors import OutputError
from evaluation.formats.coco import category_entries, write_json
from evaluation.formats.id_png import write_ids

VOID_CLASS = 255
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedSegment:
    """One entry of `segments_info`, under COCO's names."""

    id: int
    category_id: int
    area: int
    bbox: tuple[int, int, int, int]
    """x, y, width, height."""
    iscrowd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What a written picture contributes to panoptic.json."""

    name: str
    """File name without its ending."""
    size: tuple[int, int]
    """(height, width)."""
    segments: tuple[PackedSegment, ...]
    void_px: int
    """Pixels that belong to no segment."""

    def objects(self) -> list[PackedSegment]:
        """Its segments that are single things."""
        return [segment for segment in self.segments if segment.id >> 8 > 0]


def segment_id(category_id: int, instance: int) -> int:
    """Id of a segment in the packed format; instance 0 is stuff, or the crowd of a thing class."""
    return (instance << 8) | (category_id + 1)


def packed_ids(classes: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Segment ids (H, W) int32 of classes (H, W) uint8, 255 = void, and instances (H, W) int32.

    Instances: 0 = stuff, n >= 1 = an object, -1 = a crowd.
    """
    ids: np.ndarray = (np.maximum(instances, 0).astype(np.int32) << 8) + classes + 1
    ids[classes == VOID_CLASS] = 0
    return ids


def open_split(folder: Path) -> None:
    """Makes the folders of a split; until `close_split` it is not taken for a whole one."""
    try:
        for part in ("images", "panoptic"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "panoptic.json").unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def write_picture(folder: Path, name: str, image: np.ndarray, ids: np.ndarray) -> Packed:
    """Adds a picture (H, W, 3) uint8 BGR and its segment ids (H, W) int32 to a split."""
    _write(folder / "images" / f"{name}.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    write_ids(folder / "panoptic" / f"{name}.png", ids)
    size = (ids.shape[0], ids.shape[1])
    void_px = int(np.count_nonzero(ids == 0))
    return Packed(name=name, size=size, segments=describe_segments(ids), void_px=void_px)


def close_split(folder: Path, pictures: Sequence[Packed], *, are_frames: bool = False) -> None:
    """Writes the split's panoptic.json; names of frames are <video>_<number>, in order."""

    def video(picture: Packed) -> dict[str, str]:
        return {"video_id": picture.name.rsplit("_", 1)[0]} if are_frames else {}

    description = {
        "images": [
            {"id": n, "file_name": f"{p.name}.jpg", "width": p.size[1], "height": p.size[0]} | video(p)
            for n, p in enumerate(pictures, 1)
        ],
        "annotations": [
            {"image_id": n, "file_name": f"{p.name}.png", "segments_info": [asdict(s) for s in p.segments]}
            | video(p)
            for n, p in enumerate(pictures, 1)
        ],
        "categories": category_entries(CITYSCAPES),
    }
    write_json(folder / "panoptic.json", description)


def describe_segments(ids: np.ndarray) -> tuple[PackedSegment, ...]:
    """The segments of a map of ids, ascending in id."""
    segments = []
    for value in np.unique(ids[ids > 0]).tolist():
        mask = (ids == value).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        category = CITYSCAPES[(value & 0xFF) - 1]
        crowd = category.is_thing and value >> 8 == 0
        segments.append(
            PackedSegment(
                id=value,
                category_id=category.id,
                area=cv2.countNonZero(mask),
                bbox=(x, y, width, height),
                iscrowd=int(crowd),
            )
        )
    return tuple(segments)


def _write(path: Path, image: np.ndarray, options: list[int]) -> None:
    if not cv2.imwrite(str(path), image, options):
        raise OutputError(f"{path}: cannot be written; is the disk full?")
