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

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats import coco
from evaluation.formats.id_png import read_png, write_ids, write_png
from evaluation.formats.labelled import (
    InstanceNumbers,
    LabelledFrame,
    LabelledSet,
    Labels,
    Writer,
    category_of,
    maps_in,
    thing_categories,
)
from evaluation.segments import LabelledSegment

NUM_CLASSES = 124
_INSTANCES = 100


def open_vipseg(description: Path, folder: Path, categories: Sequence[Category] | None = None) -> LabelledSet:
    """A truth or a prediction; a description that is a list of categories means bare masks."""
    if listed := _listed_categories(description):
        return VipsegMasks(folder, listed, maps_in(folder))
    if (folder / "pan_pred").is_dir():
        folder = folder / "pan_pred"
    document = coco.read_json(description)
    with_categories = categories or coco.categories_of(description, document)
    try:
        frames = [
            coco.frame_of(annotation, folder, description, number, video=str(video["video_id"]))
            for video in document["annotations"]
            for number, annotation in enumerate(video["annotations"])
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise coco.not_coco(description, error) from None
    return coco.CocoSet(description, with_categories, coco.checked(description, frames, with_categories))


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
        for value in np.flatnonzero(np.bincount(ids.reshape(-1)))[ids.min() == 0 :].tolist():
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
        self._videos: dict[str, list[coco.Json]] = {}
        self._annotations: dict[str, list[coco.Json]] = {}

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the map; its entry is written by `close`."""
        ids, segments = labels
        name = f"{frame.stem}.png"
        write_ids(self._folder / "pan_pred" / frame.video / name, ids)
        self._videos.setdefault(frame.video, []).append(coco.image_entry(frame.id_in_video, name, ids))
        self._annotations.setdefault(frame.video, []).append(
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
        self._folder = folder
        self._numbers = InstanceNumbers(thing_categories(categories), largest=_INSTANCES)

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the mask."""
        ids, segments = labels
        mask = np.zeros(ids.shape, np.uint16)
        for segment, number in zip(segments, self._numbers.of(frame, segments), strict=True):
            value = segment.category_id + 1
            if number:
                value = value * _INSTANCES + number - 1
            mask[ids == segment.id] = value
        write_png(self._folder / frame.video / f"{frame.stem}.png", mask)


def _listed_categories(path: Path) -> tuple[Category, ...] | None:
    """The categories of a file that is a list of them; None for any other file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return tuple(category_of(entry) for entry in document) if isinstance(document, list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # `coco.read_json` says what is wrong with it
