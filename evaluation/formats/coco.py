"""COCO panoptic: a description in JSON and an RGB picture of ids per frame. Our own panoptic.json is one.

    images        id, file_name, width, height
    annotations   image_id, file_name (of the PNG), segments_info, video_id (in videos; see below)
    segments_info id, category_id, iscrowd (0 if absent), area (counted if absent, and in a prediction)
    categories    id, name, isthing; a prediction may leave them out

A frame's video is `annotations[].video_id` or, failing that, the first `_`-separated field of the file
name, as in Cityscapes-VPS; where maps of several folders share that field, each folder is a video. A name
without `_` counts by its folder, or stands alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from configs.categories import Category
from configs.errors import OutputError, SourceError
from evaluation.formats import fields
from evaluation.formats.id_png import read_ids, write_ids
from evaluation.formats.labelled import LabelledFrame, LabelledSet, Labels, Writer, category_of
from evaluation.segments import LabelledSegment
from stages.results import replacing

Json = dict[str, Any]


class CocoSet(LabelledSet):
    """Frames whose segments are listed in JSON and whose maps are RGB pictures of ids."""

    def read(self, frame: LabelledFrame) -> Labels:
        """The map of a frame and its segments."""
        return read_ids(frame.path), frame.segments


def open_coco(description: Path, folder: Path, categories: Sequence[Category] | None = None) -> LabelledSet:
    """A set whose maps lie in `folder`; `categories` are those of the truth when a prediction is opened."""
    return coco_set(description, read_json(description), folder, categories)


def coco_set(
    description: Path, document: Json, folder: Path, categories: Sequence[Category] | None
) -> LabelledSet:
    """As `open_coco`, of a document that was read."""
    annotations = document["annotations"]
    frames = [
        frame_of(annotation, folder, f"{description}: annotation {number}", is_truth=categories is None)
        for number, annotation in enumerate(annotations)
    ]
    is_given = [annotation.get("video_id") is not None for annotation in annotations]
    frames = _told_apart(frames, is_given)
    if len({frame.image_id for frame in frames}) < len(frames) and all(is_given):
        # ids that count anew in each video
        frames = [replace(frame, image_id=f"{frame.video}/{frame.image_id}") for frame in frames]
    return described_set(description, document, frames, categories)


def read_json(path: Path) -> Json:
    """The document; SourceError if it is none."""
    return checked_json(path, load_json(path))


def checked_json(path: Path, document: object) -> Json:
    """What a file holds, if that is a description."""
    if not isinstance(document, dict) or not isinstance(document.get("annotations"), list):
        raise SourceError(f"{path}: is not a COCO panoptic description; it needs a list `annotations`")
    return document


def load_json(path: Path) -> object:
    """Whatever the file holds; SourceError if it is not JSON."""
    try:
        document: object = json.loads(path.read_text(encoding="utf-8-sig"))
        return document
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: is not JSON ({error}); write it again") from None


def described_set(
    description: Path,
    document: Mapping[str, Any],
    frames: Sequence[LabelledFrame],
    categories: Sequence[Category] | None,
) -> CocoSet:
    """The frames as a set; SourceError for an unknown category and for a frame that is listed twice."""
    if categories is None:
        categories = categories_of(description, document)
    else:
        check_same_categories(description, document, categories)
    known = {category.id for category in categories}
    for image_id, times in Counter(frame.image_id for frame in frames).items():
        if times > 1:
            raise SourceError(f"{description}: image {image_id} has {times} annotations; keep one")
    for frame in frames:
        for segment in frame.segments:
            if segment.category_id not in known:
                raise SourceError(
                    f"{description}: {frame.file_name}: segment {segment.id} has unknown category "
                    f"{segment.category_id}; the truth's categories are {_listed(known)}"
                )
    return CocoSet(description, categories, frames)


def categories_of(path: Path, document: Mapping[str, Any]) -> tuple[Category, ...]:
    """The categories that a truth lists."""
    try:
        categories = tuple(category_of(entry) for entry in fields.items(document, "categories"))
    except ValueError as error:
        raise SourceError(f"{path}: needs `categories` with id, name and isthing ({error})") from None
    if not categories or len({category.id for category in categories}) != len(categories):
        raise SourceError(f"{path}: `categories` must list each id once, and at least one")
    return categories


def check_same_categories(path: Path, document: Mapping[str, Any], truth: Sequence[Category]) -> None:
    """SourceError if a prediction calls a thing what is stuff in the truth: its ids mean something else."""
    if document.get("categories") is None:
        return
    is_thing = {category.id: category.is_thing for category in truth}
    for category in categories_of(path, document):
        if is_thing.get(category.id, category.is_thing) != category.is_thing:
            raise SourceError(
                f"{path}: category {category.id} ({category.name}) is not of the same kind in the truth; "
                "convert the prediction to the truth's categories"
            )


def frame_of(
    entry: object, folder: Path, where: str, *, is_truth: bool, video: str | None = None
) -> LabelledFrame:
    """From an entry of `annotations`; its map is in `folder`, or in that folder's sub-folder `video`."""
    try:
        annotation = fields.mapping(entry, "it")
        image_id, file_name = fields.place(annotation, "image_id"), fields.place(annotation, "file_name")
        video_id = video or fields.place(annotation, "video_id")
        segments = [_segment(segment, is_truth) for segment in fields.items(annotation, "segments_info")]
    except ValueError as error:
        raise SourceError(f"{where}: {error}") from None
    if file_name is None:
        file_name = image_id
    if file_name is None:
        raise SourceError(
            f"{where} has neither image_id nor file_name; frames are paired by those and never by their "
            "order: write the truth's image_id into it"
        )
    if not file_name.lower().endswith(".png"):  # some predictions name the picture that they are of
        file_name = f"{file_name.removesuffix('.jpg').removesuffix('.jpeg')}.png"
    in_video = f"{video}/" if video else ""
    return LabelledFrame(
        video=video_id or video_of(file_name),
        image_id=in_video + (image_id or PurePosixPath(file_name).stem),
        file_name=in_video + file_name,
        path=folder / in_video / file_name,
        segments=tuple(segments),
    )


def video_of(file_name: str) -> str:
    """The first field of the name; without `_` the folder, or the whole name."""
    path = PurePosixPath(file_name)
    first, separator, _ = path.stem.partition("_")
    if first and separator:
        return first
    return path.stem if path.parent == PurePosixPath() else str(path.parent)


def _told_apart(frames: Sequence[LabelledFrame], is_given: Sequence[bool]) -> list[LabelledFrame]:
    """The frames; videos that were not given but found in the names are told apart by their folders."""
    folders: dict[str, set[str]] = {}
    for frame in frames:
        folders.setdefault(frame.video, set()).add(frame.folder)
    return [
        frame
        if given or len(folders[frame.video]) == 1
        else replace(frame, video=str(PurePosixPath(frame.folder) / frame.video))
        for frame, given in zip(frames, is_given, strict=True)
    ]


class CocoWriter(Writer):
    """Writes `folder`/panoptic.json and `folder`/panoptic/<frame>.png; ids stay as they are."""

    description_name = "panoptic.json"
    map_folder = "panoptic"

    def __init__(self, folder: Path, categories: Sequence[Category]) -> None:
        self._folder, self._categories = folder, tuple(categories)
        self._images: list[Json] = []
        self._annotations: list[Json] = []

    def add(self, frame: LabelledFrame, labels: Labels) -> None:
        """Writes the map; its entry is written by `close`."""
        ids, segments = labels
        name = self.map_name(frame)
        write_ids(self._folder / self.map_folder / name, ids)
        self._images.append(image_entry(frame.image_id, name, ids))
        self._annotations.append(
            {
                "image_id": json_id(frame.image_id),
                "video_id": frame.video,
                "file_name": name,
                "segments_info": segment_entries(ids, segments),
            }
        )

    def map_name(self, frame: LabelledFrame) -> str:
        """The file name of a frame's map: that of its own, below its video's folder if it had one."""
        return frame.file_name

    def close(self) -> None:
        """Writes the description."""
        document = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": category_entries(self._categories),
        }
        write_json(self._folder / self.description_name, document)


def image_entry(image_id: str, name: str, ids: np.ndarray) -> Json:
    """An entry of `images`."""
    height, width = ids.shape
    return {"id": json_id(image_id), "file_name": name, "width": width, "height": height}


def json_id(image_id: str) -> int | str:
    """An id as it stood in JSON: COCO's are numbers, those of Cityscapes-VPS are names."""
    return int(image_id) if image_id == "0" or (image_id.isdecimal() and image_id[0] != "0") else image_id


def segment_entries(ids: np.ndarray, segments: Sequence[LabelledSegment]) -> list[Json]:
    """`segments_info` with area and box x, y, width, height."""
    entries = []
    for segment in segments:
        rows, columns = np.nonzero(ids == segment.id)
        x, y = int(columns.min()), int(rows.min())
        entries.append(
            {
                "id": segment.id,
                "category_id": segment.category_id,
                "iscrowd": int(segment.is_crowd),
                "area": len(rows),
                "bbox": [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1],
            }
        )
    return entries


def category_entries(categories: Sequence[Category]) -> list[Json]:
    """`categories`."""
    return [
        {"id": c.id, "name": c.name, "isthing": int(c.is_thing), "color": list(c.color)} for c in categories
    ]


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Writes a document whole or not at all."""
    if not path.name or path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check the place") from None


def _segment(entry: object, is_truth: bool) -> LabelledSegment:
    try:
        segment = fields.mapping(entry, "a segment")
        return LabelledSegment(
            id=fields.number(segment, "id"),
            category_id=fields.number(segment, "category_id"),
            is_crowd=fields.flag(segment, "iscrowd", absent=0),
            area_px=fields.area_px(segment) if is_truth else None,
        )
    except ValueError as error:
        raise ValueError(f"segments_info: {error}") from None


def _listed(numbers: set[int]) -> str:
    ordered = sorted(numbers)
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]}..{ordered[-1]}"
    return ", ".join(str(number) for number in ordered)
