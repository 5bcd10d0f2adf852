"""Reads a packed set: a folder of pictures, PNG maps of segment ids and a COCO panoptic description.

ROOT/SPLIT/images/NAME.jpg      RGB
ROOT/SPLIT/panoptic/NAME.png    RGB, id = R + 256 G + 65536 B, 0 = void
ROOT/SPLIT/panoptic.json        images, annotations with segments_info, categories
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from torch.utils.data import Dataset

from configs.categories import Category, same_classes
from configs.errors import SourceError
from evaluation.formats.labelled import LabelledFrame
from evaluation.segments import LabelledSegment, to_positions
from evaluation.video_set import open_pictures
from stages.picture_reader import read_picture
from training.data.packing import VOID_CLASS

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
    """(H, W) int32: 0 = stuff or void, n >= 1 = an object, -1 = things that are not told apart (a crowd).
    In a video the same object has the same number in all frames."""


class Pictures(Protocol):
    """Pictures by position."""

    def __getitem__(self, position: int, /) -> PanopticPicture: ...


class PackedSet(Dataset[PanopticPicture]):
    """The pictures of one split by position, in the order of its `images`; other processes may have it."""

    def __init__(self, root: Path | str, split: str, categories: Sequence[Category]) -> None:
        """`categories` are the model's, by class index; SourceError if the set has others."""
        self._folder = Path(root) / split
        self._categories = tuple(categories)
        self._labels, pictures = open_pictures(self._folder)
        _check_categories(self._labels.source, self._labels.categories, self._categories)
        self._class_of = {category.id: index for index, category in enumerate(self._categories)}
        self._entries = [(p.path, p.label) for p in pictures if p.label is not None]
        self._videos = [p.label.video if p.is_frame else None for p in pictures if p.label is not None]
        self._numbers = _numbers_in_videos(self._videos, [label for _, label in self._entries])

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[PanopticPicture]:
        return (self[position] for position in range(len(self)))

    def __getitem__(self, position: int) -> PanopticPicture:
        path, label = self._entries[position]
        image, (ids, segments) = read_picture(str(path)), self._labels.read(label)
        if image.shape[:2] != ids.shape:
            raise SourceError(
                f"{label.path}: size {ids.shape[1]}x{ids.shape[0]} differs from that of "
                f"{path.name}, {image.shape[1]}x{image.shape[0]}"
            )
        positions = to_positions(ids, segments, str(label.path))
        class_table, instance_table = self._tables(segments, self._numbers.get(self._videos[position]))
        return PanopticPicture(
            name=path.stem,
            image=image,
            class_map=class_table[positions],
            instance_map=instance_table[positions],
        )

    def earlier(self, num_frames: int) -> list[list[int]]:
        """Positions of the frames before each one in its video, the nearest first; none for stills."""
        return [
            [
                before
                for before in range(position - 1, max(position - num_frames, 0) - 1, -1)
                if video is not None and self._videos[before] == video
            ]
            for position, video in enumerate(self._videos)
        ]

    def names(self) -> list[str]:
        """Name of each picture."""
        return [path.stem for path, _ in self._entries]

    def classes_of(self) -> list[frozenset[int]]:
        """Classes that each picture shows, crowds left out; without opening a picture."""
        return [
            frozenset(self._class_of[s.category_id] for s in label.segments if not s.is_crowd)
            for _, label in self._entries
        ]

    def objects_of(self) -> list[list[tuple[int, int, int]]]:
        """(instance number, class, area in pixels) of each picture's objects; without opening a picture."""
        return [
            [
                (number, self._class_of[segment.category_id], segment.area_px or 0)
                for number, segment in zip(
                    self._numbers_of(label.segments, self._numbers.get(video)), label.segments, strict=True
                )
                if self._is_thing(segment) and not segment.is_crowd
            ]
            for (_, label), video in zip(self._entries, self._videos, strict=True)
        ]

    def class_areas(self) -> np.ndarray:
        """Pixels of each class over all pictures, as their description states them; (classes,) float64."""
        areas = np.zeros(len(self._categories))
        for _, label in self._entries:
            for segment in label.segments:
                areas[self._class_of[segment.category_id]] += segment.area_px or 0
        return areas

    @staticmethod
    def _numbers_of(segments: Sequence[LabelledSegment], in_video: dict[int, int] | None) -> list[int]:
        """Instance number of each segment, if it is an object: of a still its place in the list."""
        if in_video is None:
            return list(range(1, len(segments) + 1))
        return [in_video[segment.id] for segment in segments]

    def _tables(
        self, segments: Sequence[LabelledSegment], in_video: dict[int, int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Class and instance by position in the list of segments; position 0 is void."""
        classes = np.array([VOID_CLASS, *(self._class_of[s.category_id] for s in segments)], np.uint8)
        instances = np.zeros(len(segments) + 1, np.int32)
        numbers = self._numbers_of(segments, in_video)
        for position, (segment, number) in enumerate(zip(segments, numbers, strict=True), 1):
            if self._is_thing(segment):
                instances[position] = CROWD_INSTANCE if segment.is_crowd else number
        return classes, instances

    def _is_thing(self, segment: LabelledSegment) -> bool:
        return self._categories[self._class_of[segment.category_id]].is_thing


def _numbers_in_videos(
    videos: Sequence[str | None], labels: Sequence[LabelledFrame]
) -> dict[str | None, dict[int, int]]:
    """For each video: segment id to instance number, 1, 2, ... in the order of the ids."""
    ids: dict[str, set[int]] = {}
    for video, label in zip(videos, labels, strict=True):
        if video is not None:
            ids.setdefault(video, set()).update(segment.id for segment in label.segments)
    return {video: {one: n for n, one in enumerate(sorted(own), 1)} for video, own in ids.items()}


def open_labelled(root: Path, split: str, categories: Sequence[Category]) -> PackedSet:
    """A split to learn from or to judge by; SourceError if it has no labelled picture."""
    pictures = PackedSet(root, split, categories)
    if not len(pictures):
        raise SourceError(f"{root / split / 'panoptic.json'}: has no labelled picture; list some there")
    return pictures


def truth_of(
    picture: PanopticPicture, categories: Sequence[Category]
) -> tuple[np.ndarray, list[LabelledSegment]]:
    """The picture's id map, (H, W) int32, and its segments, as `evaluation.pq` compares them.

    `categories` by class index.
    """
    ids = ((picture.instance_map + 1) << 8) + picture.class_map + 1
    ids[picture.class_map == VOID_CLASS] = 0
    segments = [
        LabelledSegment(
            id=value,
            category_id=categories[(value & 0xFF) - 1].id,
            is_crowd=value >> 8 == CROWD_INSTANCE + 1,
        )
        for value in np.flatnonzero(np.bincount(ids.reshape(-1))).tolist()
        if value
    ]
    return ids, segments


def _check_categories(path: Path, listed: Sequence[Category], model: Sequence[Category]) -> None:
    if same_classes(listed, model):
        return
    theirs, ours = ({c.id: _described(c) for c in categories} for categories in (listed, model))
    number = min(n for n in {*theirs, *ours} if theirs.get(n) != ours.get(n))
    raise SourceError(
        f"{path}: category {number} is {theirs.get(number, 'not listed')}, but the model's is "
        f"{ours.get(number, 'not listed')}; list the same categories in all splits and sets, or name the "
        "config.yaml of a model of this set with --config"
    )


def _described(category: Category) -> str:
    return f"{category.name!r} ({'thing' if category.is_thing else 'stuff'})"
