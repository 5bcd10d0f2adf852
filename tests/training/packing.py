"""Packed sets for the tests: of Cityscapes' classes, or of five that somebody else has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from configs.categories import Category
from evaluation.formats.coco import category_entries
from training.data.generated import CAR, PERSON, SKY, ClipShape, generate_clip
from training.data.packed import PanopticPicture, truth_of

OWN = (
    Category(7, "conveyor", False, (110, 110, 120)),
    Category(1, "wall", False, (180, 200, 220)),
    Category(900, "box", True, (160, 110, 60)),
    Category(12, "tin", True, (230, 230, 60)),
    Category(3, "bottle", True, (40, 160, 80)),
)
"""Ids in no order and with gaps; of the names Cityscapes has `wall` alone."""
CONVEYOR, WALL, BOX, TIN, BOTTLE = range(5)
"""Their class indices."""

_BRIGHT = 90.0
"""Mean grey that only the white and the yellow cars exceed."""


def own_clip(seed: int, shape: ClipShape) -> list[PanopticPicture]:
    """A generated clip with road, sky, car and person as OWN: a bright car is a tin, another one a box."""
    clip = generate_clip(seed, shape)
    return [replace(picture, class_map=_own_classes(picture, _tins(clip))) for picture in clip]


def pack(pictures: Iterable[PanopticPicture], folder: Path, categories: Sequence[Category]) -> None:
    """Writes pictures, whose classes are positions in the list of categories, as a split."""
    for part in ("images", "panoptic"):
        (folder / part).mkdir(parents=True)
    images, annotations = [], []
    for picture in pictures:
        ids, segments = truth_of(picture, categories)
        blue_green_red = np.stack([ids >> 16, ids >> 8, ids], axis=-1).astype(np.uint8)
        cv2.imwrite(str(folder / "panoptic" / f"{picture.name}.png"), blue_green_red)
        cv2.imwrite(str(folder / "images" / f"{picture.name}.jpg"), picture.image[:, :, ::-1])
        info = [{"id": s.id, "category_id": s.category_id, "iscrowd": 0} for s in segments]
        images.append({"id": picture.name, "file_name": f"{picture.name}.jpg"})
        annotations.append(
            {"image_id": picture.name, "file_name": f"{picture.name}.png", "segments_info": info}
        )
    document = {
        "images": images,
        "annotations": annotations,
        "categories": category_entries(categories),
    }
    (folder / "panoptic.json").write_text(json.dumps(document))


def _tins(clip: Sequence[PanopticPicture]) -> list[int]:
    """Numbers of the bright cars, by all that the clip shows of them."""
    images, numbers, classes = (
        np.stack([getattr(picture, name) for picture in clip])
        for name in ("image", "instance_map", "class_map")
    )
    cars = np.unique(numbers[(classes == CAR) & (numbers > 0)]).tolist()
    return [number for number in cars if images[numbers == number].mean() > _BRIGHT]


def _own_classes(picture: PanopticPicture, tins: Sequence[int]) -> np.ndarray:
    own = picture.class_map.copy()  # void, and the road, which has index 0 as the conveyor does
    own[picture.class_map == SKY] = WALL
    own[picture.class_map == PERSON] = BOTTLE
    own[picture.class_map == CAR] = BOX
    own[np.isin(picture.instance_map, tins)] = TIN
    return own
