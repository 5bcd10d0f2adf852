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
from pathlib import Path, PurePosixPath

from configs.errors import SourceError
from evaluation.formats import fields
from evaluation.formats.coco import open_coco, read_json
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPicture:
    """An entry of `images`."""

    path: Path
    video: str
    label: LabelledFrame | None


def open_video_set(folder: Path) -> tuple[LabelledSet, list[LabelledVideo]]:
    """The labels, and the videos that have any, in order; SourceError if that is no such set."""
    labels, pictures = open_pictures(folder if (folder / "panoptic.json").exists() else folder / "val")
    videos: dict[str, list[ListedPicture]] = {}
    for picture in pictures:
        videos.setdefault(picture.video, []).append(picture)
    opened = [_video(name, frames) for name, frames in videos.items()]
    return labels, [video for video in opened if video.labels]


def open_pictures(root: Path) -> tuple[LabelledSet, list[ListedPicture]]:
    """The labels and the pictures, in the order of `images`; SourceError names a file that is not there."""
    description = root / "panoptic.json"
    labels = open_coco(description, root / "panoptic")
    by_image = {frame.image_id: frame for frame in labels.frames}
    pictures = []
    try:
        for entry in fields.items(read_json(description), "images"):
            image = fields.mapping(entry, "an image")
            image_id, name = fields.name(image, "id"), fields.place(image, "file_name")
            if image_id is None or name is None:
                raise ValueError("each needs id and file_name")
            video = fields.place(image, "video_id")
            label = by_image.pop(image_id, None) or by_image.pop(f"{video}/{image_id}", None)
            video = label.video if label else video or PurePosixPath(name).stem.split("_")[0]
            pictures.append(ListedPicture(path=root / "images" / name, video=video, label=label))
    except ValueError as error:
        raise SourceError(f"{description}: images: {error}") from None
    for image_id in by_image:
        raise SourceError(f"{description}: image {image_id!r} is labelled but not in `images`; list it there")
    for picture in pictures:
        for file in (picture.path, picture.label.path if picture.label else picture.path):
            if not file.is_file():
                raise SourceError(f"{file}: no such file, but {description.name} names it")
    return labels, pictures


def _video(name: str, pictures: list[ListedPicture]) -> LabelledVideo:
    pictures = sorted(pictures, key=lambda picture: natural_order(picture.path.name))
    return LabelledVideo(
        name=name,
        pictures=tuple(picture.path for picture in pictures),
        labels={position: p.label for position, p in enumerate(pictures) if p.label is not None},
    )
