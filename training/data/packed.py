"""Reads a packed set: a folder of pictures, PNG maps of segment ids and a COCO panoptic description.

ROOT/SPLIT/images/NAME.jpg      RGB
ROOT/SPLIT/panoptic/NAME.png    RGB, id = R + 256 G + 65536 B, 0 = void
ROOT/SPLIT/panoptic.json        images, annotations with segments_info, categories
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import Dataset

from configs.categories import CITYSCAPES, Category
from configs.errors import SourceError
from evaluation.segments import LabelledSegment, to_positions

VOID_CLASS = 255
CROWD_INSTANCE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PanopticPicture:
    """A picture and what each of its pixels shows."""

    name: str
    """File name without its ending."""
    image: np.ndarray
    """(H, W, 3) uint8, RGB."""
    class_map: np.ndarray
    """(H, W) uint8: class index, 255 = void."""
    instance_map: np.ndarray
    """(H, W) int32: 0 = stuff or void, n >= 1 = an object, -1 = things that are not told apart (a crowd)."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    image: Path
    panoptic: Path
    segments: tuple[LabelledSegment, ...]


class PackedSet(Dataset[PanopticPicture]):
    """The pictures of one split by position, in the order of panoptic.json; other processes may have it."""

    def __init__(self, root: Path | str, split: str, categories: Sequence[Category] = CITYSCAPES) -> None:
        self._folder = Path(root) / split
        self._categories = tuple(categories)
        self._entries = _read_index(self._folder, self._categories)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[PanopticPicture]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> PanopticPicture:
        entry = self._entries[position]
        image, ids = _read_rgb(entry.image), _read_ids(entry.panoptic)
        if image.shape[:2] != ids.shape:
            raise SourceError(
                f"{entry.panoptic}: size {ids.shape[1]}x{ids.shape[0]} differs from that of "
                f"{entry.image.name}, {image.shape[1]}x{image.shape[0]}"
            )
        positions = to_positions(ids, entry.segments, str(entry.panoptic))
        class_table, instance_table = self._tables(entry.segments)
        return PanopticPicture(
            name=entry.name,
            image=image,
            class_map=class_table[positions],
            instance_map=instance_table[positions],
        )

    def names(self) -> list[str]:
        """Name of each picture."""
        return [entry.name for entry in self._entries]

    def classes_of(self) -> list[frozenset[int]]:
        """Classes that each picture shows, crowds left out; without opening a picture."""
        return [frozenset(s.category_id for s in e.segments if not s.is_crowd) for e in self._entries]

    def _tables(self, segments: Sequence[LabelledSegment]) -> tuple[np.ndarray, np.ndarray]:
        """Class and instance by position in the list of segments; position 0 is void."""
        classes = np.array([VOID_CLASS, *(segment.category_id for segment in segments)], np.uint8)
        instances = np.zeros(len(segments) + 1, np.int32)
        for position, segment in enumerate(segments, 1):
            if self._categories[segment.category_id].is_thing:
                instances[position] = CROWD_INSTANCE if segment.is_crowd else position
        return classes, instances


def truth_of(picture: PanopticPicture) -> tuple[np.ndarray, list[LabelledSegment]]:
    """The picture's id map, (H, W) int32, and its segments, as `evaluation.pq` compares them."""
    ids = ((picture.instance_map + 1) << 8) + picture.class_map + 1
    ids[picture.class_map == VOID_CLASS] = 0
    segments = [
        LabelledSegment(id=value, category_id=(value & 0xFF) - 1, is_crowd=value >> 8 == CROWD_INSTANCE + 1)
        for value in np.flatnonzero(np.bincount(ids.reshape(-1))).tolist()
        if value
    ]
    return ids, segments


def _read_index(folder: Path, categories: tuple[Category, ...]) -> list[_Entry]:
    path = folder / "panoptic.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        _check_categories(path, description["categories"], categories)
        images = {image["id"]: image["file_name"] for image in description["images"]}
        entries = [_entry(folder, images, a) for a in description["annotations"]]
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no such file; is {folder.parent} a packed set?") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path}: not a COCO panoptic description ({error!r})") from error
    for entry in entries:
        _check_entry(path, entry, categories)
    return entries


def _entry(folder: Path, images: Mapping[Any, str], annotation: Mapping[str, Any]) -> _Entry:
    if annotation["image_id"] not in images:
        raise SourceError(
            f"{folder / 'panoptic.json'}: {annotation['file_name']} belongs to image "
            f"{annotation['image_id']!r}, which is not in `images`"
        )
    segments = tuple(
        LabelledSegment(
            id=int(s["id"]), category_id=int(s["category_id"]), is_crowd=bool(s.get("iscrowd", 0))
        )
        for s in annotation["segments_info"]
    )
    image = folder / "images" / images[annotation["image_id"]]
    return _Entry(image.stem, image, folder / "panoptic" / annotation["file_name"], segments)


def _check_categories(path: Path, listed: Sequence[Mapping[str, Any]], known: tuple[Category, ...]) -> None:
    names = {category.id: category.name for category in known}
    for category in listed:
        if names.get(category["id"]) != category["name"]:
            raise SourceError(f"{path}: unknown category {category['id']} {category['name']!r}")


def _check_entry(path: Path, entry: _Entry, categories: tuple[Category, ...]) -> None:
    for segment in entry.segments:
        if not 0 <= segment.category_id < len(categories):
            raise SourceError(f"{path}: {entry.panoptic.name}: unknown category {segment.category_id}")
    for file in (entry.image, entry.panoptic):
        if not file.is_file():
            raise SourceError(f"{file}: no such file, but {path.name} names it")


def _read_rgb(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f"{path}: cannot be read as a picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _read_ids(path: Path) -> np.ndarray:
    """(H, W) int32."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SourceError(f"{path}: cannot be read as an 8-bit RGB PNG of segment ids")
    # R, G, B, A in memory are the bytes of a little-endian number; A is 255 and masked away
    packed = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).view("<i4")[:, :, 0]
    return packed & 0xFFFFFF
