"""MOTS (KITTI MOTS, MOTSChallenge): objects of cars and pedestrians only, as PNG or as text.

    <folder>/<sequence>/<frame>.png   16 bits: 1000 class + instance; 10000 is ignored, 0 is background
    <folder>/<sequence>.txt           a line per object: frame id class height width rle, blank-separated;
                                      id is the same number, class 10 is ignored, rle is COCO's

Background is a category here, and what is ignored is void: an object that is predicted on background is
wrong, one on an ignored region is not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.categories import Category
from configs.errors import OutputError, SourceError
from evaluation.formats import rle
from evaluation.formats.id_png import read_png, write_png
from evaluation.formats.labelled import (
    InstanceNumbers,
    LabelledFrame,
    LabelledSet,
    Labels,
    MapPaths,
    Writer,
    maps_in,
    thing_categories,
    video_folder,
)
from evaluation.segments import LabelledSegment
from stages.results import replacing

BACKGROUND, CAR, PEDESTRIAN, IGNORED_CLASS = 0, 1, 2, 10
CATEGORIES = (
    Category(BACKGROUND, "background", False, (0, 0, 0)),
    Category(CAR, "car", True, (0, 0, 142)),
    Category(PEDESTRIAN, "pedestrian", True, (220, 20, 60)),
)
_INSTANCES = 1000
_IGNORED = 10000
_MOST_PIXELS = 1 << 26
_BACKGROUND_ID = 1
"""Of the background's segment; no object has it, as those begin at 1000."""


def open_mots(folder: Path) -> LabelledSet:
    """The sequences in a folder: its <sequence>.txt if it has any, else its <sequence>/<frame>.png."""
    return MotsTexts(folder) if any(folder.glob("*.txt")) else MotsPictures(folder)


class MotsPictures(LabelledSet):
    """Frames as 16-bit pictures."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, CATEGORIES, maps_in(folder))

    def read(self, frame: LabelledFrame) -> Labels:
        """The ids are the values of the picture; the background's is 1."""
        values = read_png(frame.path)
        if values.ndim != 2:
            raise SourceError(f"{frame.path}: must be a PNG of one channel, 1000 class + instance")
        return _labels(values.astype(np.int32), str(frame.path))


class MotsTexts(LabelledSet):
    """Frames as lines of text; a frame without an object has none, and so is not in the set."""

    def __init__(self, folder: Path) -> None:
        lines = {path.stem: _read_lines(path) for path in sorted(folder.glob("*.txt"))}
        self._lines: dict[tuple[str, int], list[_Line]] = {}
        for sequence, found in lines.items():
            for line in found:
                self._lines.setdefault((sequence, line[0]), []).append(line)
        frames = [
            LabelledFrame(
                video=sequence,
                image_id=f"{sequence}/{number:06d}",
                file_name=f"{sequence}/{number:06d}.png",
                path=folder / f"{sequence}.txt",
            )
            for sequence, number in self._lines
        ]
        if not frames:
            raise SourceError(f"{folder}: its text files hold no object; name the folder of the sequences")
        super().__init__(folder, CATEGORIES, frames)

    def read(self, frame: LabelledFrame) -> Labels:
        """As `MotsPictures`; SourceError where two objects share a pixel."""
        number = int(frame.id_in_video)
        lines = self._lines[frame.video, number]
        _, _, height, width, _ = lines[0]
        values = np.zeros((height, width), np.int32)
        where = f"{frame.path}: frame {number}"
        for _, value, line_height, line_width, counts in lines:
            if (line_height, line_width) != (height, width):
                raise SourceError(f"{where}: objects differ in the size of the frame; write it again")
            try:
                mask = rle.decode(counts, height, width)
            except ValueError as error:
                raise SourceError(f"{where}: the mask of object {value} is damaged ({error})") from None
            if values[mask].any():
                raise SourceError(f"{where}: object {value} overlaps another; each pixel has one object")
            values[mask] = value
        return _labels(values, where)


class MotsPictureWriter(Writer):
    """Writes `folder`/<sequence>/<frame>.png."""

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self._paths = MapPaths(folder)
        self._values = _Values(categories)

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the picture; what is neither car nor pedestrian becomes background."""
        values = self._values.of(frame, labels)
        write_png(self._paths.of(frame), values.astype(np.uint16))


class MotsTextWriter(Writer):
    """Writes `folder`/<sequence>.txt. A frame is its number in the file name, else its position."""

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self._folder = folder
        self._values = _Values(categories)
        self._lines: dict[str, list[str]] = {}
        self._num_frames: dict[str, int] = {}
        self._videos: dict[str, str] = {}
        """By sequence."""

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Keeps the lines of the frame; `close` writes them."""
        values = self._values.of(frame, labels)
        sequence = video_folder(frame)
        if self._videos.setdefault(sequence, frame.video) != frame.video:
            raise SourceError(f"{frame.path}: two videos would be sequence {sequence}; rename one")
        position = self._num_frames.get(sequence, 0)
        self._num_frames[sequence] = position + 1
        number = int(frame.stem) if frame.stem.isdecimal() else position
        height, width = values.shape
        lines = self._lines.setdefault(sequence, [])
        for value in np.unique(values[values > 0]).tolist():
            counts = rle.encode(values == value)
            class_id = IGNORED_CLASS if value == _IGNORED else value // _INSTANCES
            lines.append(f"{number} {value} {class_id} {height} {width} {counts}\n")

    def close(self) -> None:
        """Writes a file per sequence."""
        for sequence, lines in self._lines.items():
            path = self._folder / f"{sequence}.txt"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_text("".join(lines), encoding="ascii")
            except OSError as error:
                raise OutputError(f"{path}: cannot be written ({error.strerror}); check the place") from None


class _Values:
    """From ids to the values of the format."""

    def __init__(self, categories: Sequence[Category]) -> None:
        names = {"car": CAR, "pedestrian": PEDESTRIAN, "person": PEDESTRIAN}
        self._classes = {category.id: names.get(category.name, BACKGROUND) for category in categories}
        self._numbers = InstanceNumbers(
            thing_categories([c for c in categories if self._classes[c.id] != BACKGROUND]),
            largest=_INSTANCES - 1,
            group_of=self._classes,
        )

    def of(self, frame: LabelledFrame, labels: Labels) -> np.ndarray:
        """(H, W) int32: objects by number; void and crowds are ignored."""
        ids, segments = labels
        values = np.where(ids == 0, _IGNORED, 0).astype(np.int32)
        for segment, number in zip(segments, self._numbers.of(frame, segments), strict=True):
            class_id = self._classes[segment.category_id]
            if class_id != BACKGROUND:
                value = _IGNORED if segment.is_crowd else class_id * _INSTANCES + number
                values[ids == segment.id] = value
        return values


_Line = tuple[int, int, int, int, str]
"""Frame, value, height, width, RLE."""


def _read_lines(path: Path) -> list[_Line]:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return [_line(f"{path}: line {number}", line) for number, line in enumerate(text.splitlines(), 1)]


def _line(where: str, text: str) -> _Line:
    try:
        *numbers, counts = text.split()
        frame, value, class_id, height, width = (int(part) for part in numbers)
    except ValueError:
        raise SourceError(f"{where} is not `frame id class height width rle`; write the file again") from None
    if class_id not in (CAR, PEDESTRIAN, IGNORED_CLASS) or value // _INSTANCES != class_id:
        raise SourceError(
            f"{where}: object {value} of class {class_id}; a class is {CAR} car, {PEDESTRIAN} pedestrian or "
            f"{IGNORED_CLASS} ignored, and an id {_INSTANCES} class + instance"
        )
    if frame < 0 or min(height, width) < 1 or height * width > _MOST_PIXELS:
        raise SourceError(f"{where}: frame {frame} of size {width}x{height} is no frame")
    return frame, value, height, width, counts


def _labels(values: np.ndarray, where: str) -> Labels:
    """From values of the format; SourceError for one that it does not have."""
    ids = np.where(values == BACKGROUND, _BACKGROUND_ID, values)
    ids[values == _IGNORED] = 0
    segments = []
    for value in np.flatnonzero(np.bincount(values.reshape(-1))).tolist():
        category = value // _INSTANCES
        if value == _IGNORED:
            continue
        if value != BACKGROUND and category not in (CAR, PEDESTRIAN):
            raise SourceError(f"{where}: value {value} has unknown category {category}; 1 car, 2 pedestrian")
        segments.append(LabelledSegment(id=value or _BACKGROUND_ID, category_id=category))
    return ids, segments
