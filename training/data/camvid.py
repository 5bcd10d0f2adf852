"""Converts CamVid's street pictures to the packed format: `python -m training.data.camvid`.

CamVid (Brostow et al. 2009), as SegNet's tutorial has it: 701 frames of five drives through Cambridge,
one of them at dusk, with 11 classes drawn by hand and no objects told apart. Objects come from a teacher
(`training.data.teacher`), where its mask lies in a hand-drawn region of the same kind; what it does not
find stays a crowd. Its parts train, val and test become: train and val for training, test for validation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from configs.errors import SourceError
from training.data.command import exit_code_of
from training.data.packing import Packed, close_split, open_split, segment_id, write_picture
from training.data.teacher import MIN_OBJECT_PX, InstanceTeacher, Teacher, TeacherObject

PARTS = {"train": ("train", "val"), "val": ("test",)}
"""Our split to CamVid's."""
_PERSON, _CAR, _TRUCK, _BUS = 11, 13, 14, 15
_STUFF = {0: 10, 1: 2, 2: 5, 3: 0, 4: 1, 5: 8, 7: 4}
"""Label to class: sky, building, pole, road, sidewalk, vegetation, fence. Signs and traffic lights share a
label, and so do riders and their bicycles: both stay void."""
_THINGS = {8: (_CAR, (_CAR, _TRUCK, _BUS)), 9: (_PERSON, (_PERSON,))}
"""Label to the class of its crowd, and the classes that an object in such a region may have."""
_NUM_LABELS = 12
_MIN_INSIDE = 0.6
"""Share of an object's mask that must lie in a region of its kind."""


def list_frames(raw: Path, part: str) -> list[tuple[Path, Path]]:
    """Picture and labels of each frame of one of CamVid's parts, by name."""
    frames = [(path, raw / f"{part}annot" / path.name) for path in sorted((raw / part).glob("*.png"))]
    if not frames:
        raise SourceError(f"{raw / part}: no PNG pictures; is {raw} SegNet's folder CamVid?")
    for _, annotation in frames:
        if not annotation.is_file():
            raise SourceError(f"{annotation}: no such file, but its picture is there")
    return frames


def combine(labels: np.ndarray, objects: Sequence[TeacherObject]) -> np.ndarray:
    """CamVid's labels (H, W) uint8 and a teacher's objects -> segment ids (H, W) int32.

    An object takes those of its pixels that lie in a region of its kind and are not taken yet.
    """
    ids = np.zeros(labels.shape, np.int32)
    for label, category_id in _STUFF.items():
        ids[labels == label] = segment_id(category_id, 0)
    instance = 0
    for label, (crowd, classes) in _THINGS.items():
        region = labels == label
        free = region.copy()
        ids[region] = segment_id(crowd, 0)
        for found in objects:
            inside = (found.mask & region).sum() >= _MIN_INSIDE * found.mask.sum()
            mask = found.mask & free
            if found.category_id in classes and inside and mask.sum() >= MIN_OBJECT_PX:
                instance += 1
                ids[mask] = segment_id(found.category_id, instance)
                free &= ~mask
    return ids


def convert(raw: Path, out: Path, teacher: Teacher) -> dict[str, list[Packed]]:
    """Converts all parts; what is missing is found out before anything is written."""
    frames = {split: [f for part in parts for f in list_frames(raw, part)] for split, parts in PARTS.items()}
    result: dict[str, list[Packed]] = {}
    for split in PARTS:
        open_split(out / split)
        result[split] = [
            write_picture(out / split, name, image, combine(labels, teacher(image)))
            for name, image, labels in _read(frames[split])
        ]
        close_split(out / split, result[split])
    return result


def _read(frames: Sequence[tuple[Path, Path]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for picture, annotation in frames:
        image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
        labels = cv2.imread(str(annotation), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise SourceError(f"{picture}: cannot be read as a picture")
        if labels is None or labels.shape != image.shape[:2] or labels.max() >= _NUM_LABELS:
            raise SourceError(f"{annotation}: not a map of {_NUM_LABELS} labels of its picture's size")
        yield picture.stem, image, labels


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.camvid", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="the folder CamVid of SegNet's tutorial")
    parser.add_argument("--out", type=Path, required=True, help="where train/ and val/ are written")
    options = parser.parse_args(arguments)

    def work() -> None:
        teacher = InstanceTeacher(long_side_px=640, min_score=0.4)
        for split, pictures in convert(options.raw, options.out, teacher).items():
            print(f"{split}: {len(pictures)} pictures, {sum(len(p.objects()) for p in pictures)} objects")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
