"""VIPSeg: COCO panoptic nested by video, or bare masks of 124 classes.

    panoptic_gt_VIPSeg_val.json   videos [{video_id, images}], categories,
                                  annotations [{video_id, annotations [{image_id, file_name, ...}]}]
    <folder>/<video>/<frame>.png  RGB pictures of ids
    pred.json, pan_pred/          a prediction, alike

The masks that the set is distributed with (panomasks/) need no such description but the list of categories
(panoVIPSeg_categories.json). Their values count classes from 1, categories from 0:

    0                  void
    1..124             category value - 1: stuff; or, of a thing, objects that are not told apart (a crowd)
    100 c + n, c >= 2  object n, 0..99, of category c - 1
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats import coco, fields
from evaluation.formats.id_png import read_png, write_ids, write_png
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

NUM_CLASSES = 124
_INSTANCES = 100


def open_vipseg(description: Path, folder: Path, categories: Sequence[Category] | None = None) -> LabelledSet:
    """A truth or a prediction; a description that is a list of categories means bare masks."""
    document = coco.load_json(description)
    if isinstance(document, list):
        return _open_masks(description, {"categories": document}, folder, categories)
    if (folder / "pan_pred").is_dir():
        folder = folder / "pan_pred"
    described = coco.checked_json(description, document)
    frames = [
        coco.frame_of(annotation, folder, where, is_truth=categories is None, video=video)
        for video, where, annotation in _annotations(description, described)
    ]
    return coco.described_set(description, described, frames, categories)


class VipsegMasks(LabelledSet):
    """Frames as masks of values."""

    def read(self, frame: LabelledFrame) -> Labels:
        """The ids are the values of the mask."""
        ids = read_png(frame.path)
        if ids.ndim != 2:
            raise SourceError(f"{frame.path}: must be a mask of one channel; pictures of ids need a JSON")
        ids = ids.astype(np.int32)
        things = thing_categories(self.categories)
        known = {category.id for category in self.categories}
        segments = []
        for value in np.flatnonzero(np.bincount(ids.reshape(-1))).tolist():
            if value == 0:
                continue
            category = (value if value <= NUM_CLASSES else value // _INSTANCES) - 1
            if category not in known or (value > NUM_CLASSES and category not in things):
                raise SourceError(f"{frame.path}: value {value} is no class of the listed categories")
            is_crowd = value <= NUM_CLASSES and category in things
            segments.append(LabelledSegment(id=value, category_id=category, is_crowd=is_crowd))
        return ids, segments


class VipsegWriter(Writer):
    """Writes `folder`/pred.json and `folder`/pan_pred/<video>/<frame>.png; ids stay as they are."""

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self._folder, self._categories = folder, tuple(categories)
        self._paths = MapPaths(folder / "pan_pred")
        self._videos: dict[str, list[coco.Json]] = {}
        self._annotations: dict[str, list[coco.Json]] = {}

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the map; its entry is written by `close`."""
        ids, segments = labels
        name = f"{frame.stem}.png"
        write_ids(self._paths.of(frame), ids)
        self._videos.setdefault(video_folder(frame), []).append(
            coco.image_entry(frame.id_in_video, name, ids)
        )
        self._annotations.setdefault(video_folder(frame), []).append(
            {
                "image_id": coco.json_id(frame.id_in_video),
                "file_name": name,
                "segments_info": coco.segment_entries(ids, segments),
            }
        )

    def close(self) -> None:
        """Writes the description."""
        videos = [{"video_id": video, "images": images} for video, images in self._videos.items()]
        nested = [{"video_id": video, "annotations": found} for video, found in self._annotations.items()]
        document = {
            "videos": videos,
            "annotations": nested,
            "categories": coco.category_entries(self._categories),
        }
        coco.write_json(self._folder / "pred.json", document)


class VipsegMaskWriter(Writer):
    """Writes `folder`/<video>/<frame>.png as masks of values; objects are numbered anew, from 0."""

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self._paths = MapPaths(folder)
        self._numbers = InstanceNumbers(thing_categories(categories), largest=_INSTANCES)

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the mask."""
        ids, segments = labels
        mask = np.zeros(ids.shape, np.uint16)
        numbers = self._numbers.of(frame, segments)
        for segment, number in zip(segments, numbers, strict=True):
            _check_place(frame, segment.category_id, number)
            value = segment.category_id + 1
            if number:
                value = value * _INSTANCES + number - 1
            mask[ids == segment.id] = value
        write_png(self._paths.of(frame), mask)


def _check_place(frame: LabelledFrame, category_id: int, number: int) -> None:
    """SourceError for a category without a value, and for one whose objects would read as stuff."""
    smallest = 1 if number else 0
    if not smallest <= category_id < NUM_CLASSES:
        raise SourceError(
            f"{frame.path}: category {category_id} has no place in the masks of VIPSeg; "
            f"stuff is 0..{NUM_CLASSES - 1}, things are 1..{NUM_CLASSES - 1}"
        )


def _open_masks(
    description: Path, document: coco.Json, folder: Path, categories: Sequence[Category] | None
) -> VipsegMasks:
    if categories is None:
        return VipsegMasks(folder, coco.categories_of(description, document), maps_in(folder))
    coco.check_same_categories(description, document, categories)
    return VipsegMasks(folder, categories, maps_in(folder))


def _annotations(description: Path, document: coco.Json) -> Iterator[tuple[str, str, object]]:
    """Video, the name for messages, and annotation."""
    for place, entry in enumerate(document["annotations"]):
        where = f"{description}: video {place}"
        try:
            found = fields.mapping(entry, "it")
            video, annotations = fields.place(found, "video_id"), fields.items(found, "annotations")
        except ValueError as error:
            raise SourceError(f"{where}: {error}; annotations are listed video by video") from None
        if video is None:
            raise SourceError(f"{where}: needs a video_id")
        for number, annotation in enumerate(annotations):
            yield video, f"{where} ({video}): annotation {number}", annotation
