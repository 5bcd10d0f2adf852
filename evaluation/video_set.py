"""A labelled video set: videos as pictures, all or some of which have labels.

    SET/panoptic.json    COCO panoptic: `images` are the frames of all videos, `annotations` the labelled ones
    SET/panoptic/        maps of ids, `annotations[].file_name`
    SET/images/          pictures, `images[].file_name`

An image belongs to the video of its annotation; one without annotation to its own `video_id` or, failing
that, to the video of the labelled images whose names begin alike (folder and first `_`-separated field). The
frames of a video are in the natural order of their file names. SET/val is used where SET itself has no
panoptic.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import SourceError
from evaluation.formats import fields
from evaluation.formats.coco import coco_set, read_json, video_of
from evaluation.formats.labelled import LabelledFrame, LabelledSet, path_order


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
    file_name: str
    """Relative to images/."""
    video: str | None
    """That of its annotation, or its own `video_id`; None without either."""
    is_frame: bool
    """Its entry has a `video_id`."""
    label: LabelledFrame | None

    @property
    def beginning(self) -> tuple[Path, str]:
        """What its name has in common with others of its video: folder and first field."""
        return self.path.parent, video_of(self.file_name)


def open_video_set(folder: Path) -> tuple[LabelledSet, list[LabelledVideo]]:
    """The labels and the videos, in order; SourceError if that is no such set."""
    root = folder if (folder / "panoptic.json").exists() else folder / "val"
    labels, pictures = open_pictures(root)
    if not labels.frames:
        raise SourceError(f"{labels.source}: has no annotation, so there is nothing to compare with")
    videos: dict[str, list[ListedPicture]] = {}
    for picture, video in zip(pictures, _videos_of(labels.source, pictures), strict=True):
        videos.setdefault(video, []).append(picture)
    return labels, [_video(name, frames) for name, frames in videos.items()]


def open_pictures(root: Path) -> tuple[LabelledSet, list[ListedPicture]]:
    """The labels and the pictures, in the order of `images`; SourceError names a file that is not there."""
    description = root / "panoptic.json"
    document = read_json(description)
    labels = coco_set(description, document, root / "panoptic", None)
    try:
        entries = [_checked_entry(entry) for entry in fields.items(document, "images")]
        anew = len({entry.image_id for entry in entries}) < len(entries)
        by_image = {_name_of(frame, anew): frame for frame in labels.frames}
        pictures = [_with_label(entry, root, by_image, anew) for entry in entries]
    except ValueError as error:
        raise SourceError(f"{description}: images: {error}") from None
    for image_id in by_image:
        raise SourceError(f"{description}: image {image_id!r} is labelled but not in `images`; list it there")
    for file_name, times in Counter(picture.file_name for picture in pictures).items():
        if times > 1:
            raise SourceError(f"{description}: {file_name} is listed {times} times in `images`; keep one")
    for picture in pictures:
        for file in (picture.path, picture.label.path if picture.label else picture.path):
            if not file.is_file():
                raise SourceError(f"{file}: no such file, but {description.name} names it")
    return labels, pictures


def _name_of(frame: LabelledFrame, anew: bool) -> str:
    """What names a labelled frame among the images."""
    return f"{frame.video}/{frame.id_in_video}" if anew else frame.image_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    image_id: str
    file_name: str
    video: str | None


def _checked_entry(entry: object) -> _Entry:
    image = fields.mapping(entry, "an image")
    image_id, name = fields.name(image, "id"), fields.place(image, "file_name")
    if image_id is None or name is None:
        raise ValueError("each needs id and file_name")
    return _Entry(image_id=image_id, file_name=name, video=fields.place(image, "video_id"))


def _with_label(entry: _Entry, root: Path, by_image: dict[str, LabelledFrame], anew: bool) -> ListedPicture:
    """The picture of an entry, with its label, which is taken out of `by_image`.

    `anew`: the ids count anew in each video, so only video and id together name an image.
    """
    if anew and entry.video is None:
        raise ValueError(f"{entry.file_name} needs a video_id, as ids are given twice")
    label = by_image.pop(f"{entry.video}/{entry.image_id}" if anew else entry.image_id, None)
    if label is not None and entry.video not in (None, label.video):
        raise ValueError(
            f"{entry.file_name} has video_id {entry.video!r}, but its annotation is of {label.video!r}; "
            "write the same video_id to both"
        )
    return ListedPicture(
        path=root / "images" / entry.file_name,
        file_name=entry.file_name,
        video=label.video if label else entry.video,
        is_frame=entry.video is not None,
        label=label,
    )


def _videos_of(description: Path, pictures: Sequence[ListedPicture]) -> list[str]:
    """The video of each picture: its own, or that of the labelled pictures whose name begins alike."""
    named: dict[tuple[Path, str], set[str]] = {}
    for picture in pictures:
        if picture.label is not None:
            named.setdefault(picture.beginning, set()).add(picture.label.video)
    labelled = set().union(*named.values())
    videos: list[str] = []
    for picture in pictures:
        found = {picture.video} if picture.video is not None else named.get(picture.beginning, set())
        if len(found) != 1 or not found <= labelled:
            raise SourceError(
                f"{description}: {picture.file_name} belongs to no labelled video; give each entry of "
                "`images` the video_id of its annotations, or remove what is not to be played"
            )
        videos.extend(found)
    return videos


def _video(name: str, pictures: list[ListedPicture]) -> LabelledVideo:
    pictures = sorted(pictures, key=lambda picture: path_order(picture.file_name))
    return LabelledVideo(
        name=name,
        pictures=tuple(picture.path for picture in pictures),
        labels={position: p.label for position, p in enumerate(pictures) if p.label is not None},
    )
