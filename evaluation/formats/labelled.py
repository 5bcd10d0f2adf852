"""What every reader gives and every writer takes: frames of videos, each a map of ids and its segments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats import fields
from evaluation.segments import LabelledSegment, to_positions
from stages.source import natural_order

Labels = tuple[np.ndarray, Sequence[LabelledSegment]]
"""Map of ids (H, W) int32, 0 = void, and its segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFrame:
    """A frame of a set: how it is called, and where its labels are."""

    video: str
    image_id: str
    """Unique in its set; where a format names frames within their video only, it is <video>/<frame>."""
    file_name: str
    """Of its map, relative to the set's folder, with forward slashes."""
    path: Path
    """Of its map."""
    segments: tuple[LabelledSegment, ...] = ()
    """Where the format lists them beside the map; else empty, and the pixels tell."""

    @property
    def stem(self) -> str:
        """The map's file name without folder and ending."""
        return PurePosixPath(self.file_name).stem

    @property
    def folder(self) -> str:
        """That of the map's file name, "." if it has none."""
        return str(PurePosixPath(self.file_name).parent)

    @property
    def id_in_video(self) -> str:
        """The image id as it is written where frames are listed video by video."""
        return self.image_id.removeprefix(f"{self.video}/")


class LabelledSet(ABC):
    """The labels of some videos. Reading is a pure function of the frame, so threads may share a set."""

    def __init__(self, source: Path, categories: Sequence[Category], frames: Sequence[LabelledFrame]) -> None:
        self.source = source
        """The file or folder that messages name."""
        self.categories = tuple(categories)
        self.frames = _in_order(frames)
        """Video after video, each in the natural order of its file names, folders first."""

    @abstractmethod
    def read(self, frame: LabelledFrame) -> Labels:
        """The map of a frame and its segments; SourceError names a file that cannot be read."""

    def read_checked(self, frame: LabelledFrame) -> Labels:
        """As `read`; SourceError also unless map and list name the same ids."""
        ids, segments = self.read(frame)
        to_positions(ids, segments, str(frame.path))
        return ids, segments


class Writer(ABC):
    """Writes the labels of some videos, frame by frame; `close` completes what is there."""

    @abstractmethod
    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """The next frame; the frames of a video come together and in order."""

    def close(self) -> None:  # noqa: B027  (only some formats have something to complete)
        """All frames were added."""


def video_folder(frame: LabelledFrame) -> str:
    """The name of a frame's video as one folder, as the formats have it that know no folders of folders."""
    return frame.video.replace("/", "-")


class MapPaths:
    """Where a writer puts its maps: `folder`/<video>/<frame>.png."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: dict[Path, Path] = {}

    def of(self, frame: LabelledFrame) -> Path:
        """The place of the next frame; SourceError if another one has it."""
        place = self._folder / video_folder(frame) / f"{frame.stem}.png"
        other = self._taken.setdefault(place, frame.path)
        if other != frame.path:
            raise SourceError(
                f"{frame.path}: would overwrite {other} as {place}; give the videos names of their own"
            )
        return place


@dataclass(slots=True)
class InstanceNumbers:
    """Numbers the objects of each video and class by first appearance: 1, 2...; stuff and crowds have 0."""

    thing_categories: frozenset[int]
    largest: int
    """What the format has room for."""
    group_of: Mapping[int, int] = field(default_factory=dict)
    """Categories that are one class in the format; of any other, the category itself."""
    _video: str | None = None
    _numbers: dict[int, dict[int, int]] = field(default_factory=dict)
    """By class and id."""

    def of(self, frame: LabelledFrame, segments: Sequence[LabelledSegment]) -> list[int]:
        """Of each segment of the next frame."""
        if frame.video != self._video:
            self._video, self._numbers = frame.video, {}
        return [self._of_segment(frame, segment) for segment in segments]

    def _of_segment(self, frame: LabelledFrame, segment: LabelledSegment) -> int:
        if segment.is_crowd or segment.category_id not in self.thing_categories:
            return 0
        group = self.group_of.get(segment.category_id, segment.category_id)
        numbers = self._numbers.setdefault(group, {})
        number = numbers.setdefault(segment.id, len(numbers) + 1)
        if number > self.largest:
            raise SourceError(f"{frame.path}: the format has room for {self.largest} objects of a class only")
        return number


def category_of(entry: object) -> Category:
    """From an entry of `categories`; ValueError says what is wrong with it."""
    category = fields.mapping(entry, "a category")
    number, name = fields.number(category, "id"), fields.name(category, "name")
    if name is None:
        raise ValueError(f"category {number} has no name")
    return Category(number, name, fields.flag(category, "isthing"), _color_of(category))


def thing_categories(categories: Sequence[Category]) -> frozenset[int]:
    """Ids of the things."""
    return frozenset(category.id for category in categories if category.is_thing)


def maps_in(folder: Path) -> list[LabelledFrame]:
    """The frames of a set that is `folder`/<video>/<frame>.png and nothing else."""
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; name the one that holds a folder per video")
    frames = [
        LabelledFrame(
            video=path.parent.name,
            image_id=f"{path.parent.name}/{path.stem}",
            file_name=f"{path.parent.name}/{path.name}",
            path=path,
        )
        for path in sorted(folder.glob("*/*.png"))
    ]
    if not frames:
        raise SourceError(
            f"{folder}: holds no <video>/<frame>.png; name the folder above those of the videos"
        )
    return frames


def _color_of(category: Mapping[str, Any]) -> tuple[int, int, int]:
    """Only for show, so black if it is absent or no colour."""
    match category.get("color"):
        case [int(red), int(green), int(blue)]:
            return red, green, blue
    return 0, 0, 0


def path_order(file_name: str) -> list[tuple[tuple[int, int, str], ...]]:
    """Sort key: by the folders, then by the name, numbers by value."""
    return [natural_order(part) for part in PurePosixPath(file_name).parts]


def _in_order(frames: Sequence[LabelledFrame]) -> tuple[LabelledFrame, ...]:
    """Videos in the order of their first frame; frames so that a/img2 comes before a/img10."""
    rank: dict[str, int] = {}
    for frame in frames:
        rank.setdefault(frame.video, len(rank))
    return tuple(sorted(frames, key=lambda frame: (rank[frame.video], path_order(frame.file_name))))
