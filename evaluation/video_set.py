"""A labelled video set: videos as pictures, all or some of which have labels.

    SET/panoptic.json    COCO panoptic: `images` are the frames of all videos, `annotations` the labelled ones
    SET/panoptic/        maps of ids, `annotations[].file_name`
    SET/images/          pictures, `images[].file_name`

An image belongs to the video of its annotation; one without annotation to its own `video_id` or, failing
that, to the first `_`-separated field of its file name. The frames of a video are in the natural order of
their file names. SET/val is used where SET itself has no panoptic.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.errors import SourceError
from evaluation.formats.coco import json_id, not_coco, open_coco, read_json
from evaluation.formats.labelled import LabelledFrame, LabelledSet
from stages.source import natural_order


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledVideo:
    """One video of a set."""

    name: str
    pictures: tuple[Path, ...]
    """Its frames, in order."""
    labels: dict[int, LabelledFrame]
    """By position among the pictures; not empty."""


def open_video_set(folder: Path) -> tuple[LabelledSet, list[LabelledVideo]]:
    """The labels, and the videos that have any, in order; SourceError if that is no such set."""
    root = folder if (folder / "panoptic.json").exists() else folder / "val"
    description = root / "panoptic.json"
    labels = open_coco(description, root / "panoptic")
    by_image = {frame.image_id: frame for frame in labels.frames}
    pictures: dict[str, list[tuple[Path, LabelledFrame | None]]] = {}
    try:
        for image in read_json(description)["images"]:
            path = root / "images" / image["file_name"]
            label = by_image.pop(str(image["id"]), None)
            video = label.video if label else str(image.get("video_id", path.stem.split("_")[0]))
            pictures.setdefault(video, []).append((path, label))
    except (KeyError, TypeError) as error:
        raise not_coco(description, error) from None
    if by_image:
        first = json_id(next(iter(by_image)))
        raise SourceError(f"{description}: image {first!r} is labelled but not in `images`; list it there")
    videos = [_video(name, frames) for name, frames in pictures.items()]
    return labels, [video for video in videos if video.labels]


def _video(name: str, frames: list[tuple[Path, LabelledFrame | None]]) -> LabelledVideo:
    frames = sorted(frames, key=lambda frame: natural_order(frame[0].name))
    for path, _ in frames:
        if not path.is_file():
            raise SourceError(f"{path}: no such picture, but `images` names it")
    return LabelledVideo(
        name=name,
        pictures=tuple(path for path, _ in frames),
        labels={position: label for position, (_, label) in enumerate(frames) if label is not None},
    )
