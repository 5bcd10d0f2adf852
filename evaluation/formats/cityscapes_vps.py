"""Cityscapes-VPS: COCO panoptic with names that say everything; every fifth frame of a clip is labelled.

    <clip>_<index>_<city>_<sequence>_<frame>    the image id: clip 0001..0500, index of the labelled frame
                                                1..3000 over all clips, so 6 (clip - 1) + 1 .. 6 clip
    ID_final_mask.png, ID_gtFine_color.png      maps of the truth
    pred.json, pan_pred/ID.png                  a prediction

A clip has 30 frames; frames 5, 10, ... 30 are labelled, and only those are predicted and judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats import fields
from evaluation.formats.coco import CocoSet, CocoWriter, load_json, open_coco
from evaluation.formats.labelled import LabelledFrame, LabelledSet

CLIP_FRAMES = 30
LABELLED_EVERY = 5
LABELLED_PER_CLIP = CLIP_FRAMES // LABELLED_EVERY

_ENDINGS = ("", "_final_mask", "_gtFine_color")
"""Of maps, behind the image id."""
_NAME = re.compile(r"(\d{4})_(\d{4})_([A-Za-z-]+)_(\d{6})_(\d{6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameName:
    """What an image id says."""

    clip: int
    index: int
    """Of the labelled frame over all clips, from 1."""
    city: str
    sequence: int
    frame: int
    """Of the Cityscapes sequence."""

    @property
    def position(self) -> int:
        """Which frame of the clip it is, from 0: one of 4, 9, 14, 19, 24, 29."""
        return LABELLED_EVERY * (self.index - LABELLED_PER_CLIP * (self.clip - 1)) - 1

    def __str__(self) -> str:
        return f"{self.clip:04d}_{self.index:04d}_{self.city}_{self.sequence:06d}_{self.frame:06d}"


def parse_name(image_id: str) -> FrameName:
    """From an image id; SourceError for what is none, and for an index that is not of its clip."""
    match = _NAME.fullmatch(image_id)
    if match is None:
        raise SourceError(
            f"{image_id}: is no image id of Cityscapes-VPS, <clip>_<index>_<city>_<seq>_<frame>"
        )
    clip, index, sequence, frame = (int(match[group]) for group in (1, 2, 4, 5))
    name = FrameName(clip=clip, index=index, city=match[3], sequence=sequence, frame=frame)
    if not 0 <= name.position < CLIP_FRAMES:
        raise SourceError(
            f"{image_id}: clip {clip} has the labelled frames {LABELLED_PER_CLIP * (clip - 1) + 1}.."
            f"{LABELLED_PER_CLIP * clip}, not {index}"
        )
    return name


def open_cityscapes_vps(
    description: Path, folder: Path, categories: Sequence[Category] | None = None
) -> LabelledSet:
    """A truth or a prediction; `folder` is that of the maps, or the one above its pan_pred/."""
    if (folder / "pan_pred").is_dir():
        folder = folder / "pan_pred"
    found = open_coco(description, folder, categories)
    frames = [_at_its_place(frame, folder) for frame in found.frames]
    return CocoSet(description, found.categories, frames)


def _at_its_place(frame: LabelledFrame, folder: Path) -> LabelledFrame:
    """The frame with the map that is called by its id, if there is none of its file name."""
    places = (frame.path, *(folder / f"{frame.image_id}{ending}.png" for ending in _ENDINGS))
    return replace(frame, path=next((path for path in places if path.exists()), frame.path))


def labelled_frames(results: LabelledSet, description: Path) -> list[LabelledFrame]:
    """Those frames of whole clips that the set labels, under its names.

    A clip's results are a video of 30 frames whose name begins with the clip's four digits; `description` is
    any JSON of the set that lists the labelled images.
    """
    named: dict[str, list[FrameName]] = {}
    try:
        document = fields.mapping(load_json(description), "it")
        images = [fields.mapping(entry, "an image") for entry in fields.items(document, "images")]
        ids = [str(fields.name(image, "id")) for image in images]
    except ValueError as error:
        raise SourceError(f"{description}: {error}") from None
    for name in map(parse_name, ids):
        named.setdefault(f"{name.clip:04d}", []).append(name)
    clips: dict[str, list[LabelledFrame]] = {}
    for frame in results.frames:
        clips.setdefault(frame.video, []).append(frame)
    selected = []
    for video, frames in clips.items():
        names = named.get(video[:4])
        if names is None or len(frames) != CLIP_FRAMES:
            raise SourceError(
                f"{results.source}: video {video} has {len(frames)} frames; the results of a clip are one "
                f"of {CLIP_FRAMES}, and its name begins with a clip of {description}"
            )
        names.sort(key=lambda name: name.index)
        selected += [replace(frames[name.position], image_id=str(name)) for name in names]
    return selected


class CityscapesVpsWriter(CocoWriter):
    """Writes a prediction: pred.json and pan_pred/<id>.png."""

    description_name = "pred.json"
    map_folder = "pan_pred"

    def map_name(self, frame: LabelledFrame) -> str:
        """By the image id, which must be one of this set."""
        return f"{parse_name(frame.image_id)}.png"
