"""The packed format: one hand-made picture of 4x2 pixels, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from training.data.packed import PackedSet, truth_of

ROAD, CAR, PERSON = 0, 13, 11
CAR_ID = 70000
IDS = np.array([[0, 1, CAR_ID, 9], [5, 5, CAR_ID, 9]])
Description = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Road 1, a car, a person 5 and a crowd of persons 9; the first pixel is void."""
    for part in ("images", "panoptic"):
        (tmp_path / "val" / part).mkdir(parents=True)
    save_ids(tmp_path, IDS)
    red = np.zeros((2, 4, 3), np.uint8)
    red[..., 2] = 200
    cv2.imwrite(str(tmp_path / "val" / "images" / "a.jpg"), red)
    segments = [(1, ROAD, 0), (CAR_ID, CAR, 0), (5, PERSON, 0), (9, PERSON, 1)]
    description = {
        "images": [{"id": "a", "file_name": "a.jpg", "width": 4, "height": 2}],
        "annotations": [
            {
                "image_id": "a",
                "file_name": "a.png",
                "segments_info": [{"id": i, "category_id": c, "iscrowd": w} for i, c, w in segments],
            }
        ],
        "categories": [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in CITYSCAPES],
    }
    (tmp_path / "val" / "panoptic.json").write_text(json.dumps(description))
    return tmp_path


def save_ids(root: Path, ids: np.ndarray) -> None:
    blue_green_red = np.stack([ids // 65536, ids // 256 % 256, ids % 256], axis=-1).astype(np.uint8)
    cv2.imwrite(str(root / "val" / "panoptic" / "a.png"), blue_green_red)


def change(root: Path, edit: Callable[[Description], object]) -> None:
    path = root / "val" / "panoptic.json"
    description = json.loads(path.read_text())
    edit(description)
    path.write_text(json.dumps(description))


def test_a_pixel_has_its_class_and_its_object(root: Path) -> None:
    (picture,) = PackedSet(root, "val", CITYSCAPES)
    assert picture.name == "a"
    assert picture.class_map.tolist() == [[255, ROAD, CAR, PERSON], [PERSON, PERSON, CAR, PERSON]]
    assert picture.instance_map.tolist() == [[0, 0, 2, -1], [3, 3, 2, -1]]
    assert [picture.class_map.dtype.name, picture.instance_map.dtype.name] == ["uint8", "int32"]


def test_the_picture_is_rgb(root: Path) -> None:
    red, green, blue = PackedSet(root, "val", CITYSCAPES)[0].image[1, 2].tolist()
    assert (red > 190, green < 10, blue < 10) == (True, True, True)


def test_classes_of_a_picture_leave_crowds_out(root: Path) -> None:
    change(root, lambda d: d["annotations"][0]["segments_info"].pop(2))
    assert PackedSet(root, "val", CITYSCAPES).classes_of() == [{ROAD, CAR}]


def test_the_truth_of_a_picture_is_of_quality_one_against_itself(root: Path) -> None:
    ids, segments = truth_of(PackedSet(root, "val", CITYSCAPES)[0], CITYSCAPES)
    assert sorted((s.category_id, s.is_crowd) for s in segments) == [
        (ROAD, False),
        (PERSON, False),
        (PERSON, True),
        (CAR, False),
    ]
    assert ((ids == 0) == (IDS == 0)).all()
    quality = PanopticQuality(CITYSCAPES)
    quality.add(frame_overlap(ids, segments, ids, segments))
    assert [c.category.id for c in quality.result().per_class if c.tp] == [ROAD, PERSON, CAR]
    assert quality.result().all.pq == 1.0


def test_a_missing_file_is_named_when_the_set_is_opened(root: Path) -> None:
    (root / "val" / "panoptic" / "a.png").unlink()
    with pytest.raises(SourceError, match=r"a\.png: no such file, but panoptic\.json names it"):
        PackedSet(root, "val", CITYSCAPES)
    with pytest.raises(SourceError, match=r"panoptic\.json: cannot be read \(No such file"):
        PackedSet(root, "train", CITYSCAPES)


def test_an_id_that_only_the_png_or_only_the_json_has_is_named(root: Path) -> None:
    save_ids(root, np.where(IDS == 5, 6, IDS))
    with pytest.raises(SourceError, match=r"a\.png: id 6 of the map is not in the list"):
        PackedSet(root, "val", CITYSCAPES)[0]
    save_ids(root, np.where(IDS == 5, 0, IDS))
    with pytest.raises(SourceError, match=r"a\.png: segment 5 is listed but has no pixel"):
        PackedSet(root, "val", CITYSCAPES)[0]


def test_a_map_of_another_size_is_named(root: Path) -> None:
    save_ids(root, IDS[:, :3])
    with pytest.raises(SourceError, match=r"a\.png: size 3x2 differs from that of a\.jpg, 4x2"):
        PackedSet(root, "val", CITYSCAPES)[0]


def test_a_grey_png_or_a_broken_picture_is_named(root: Path) -> None:
    cv2.imwrite(str(root / "val" / "panoptic" / "a.png"), IDS.astype(np.uint8))
    with pytest.raises(SourceError, match=r"a\.png: must be an 8-bit RGB PNG"):
        PackedSet(root, "val", CITYSCAPES)[0]
    (root / "val" / "images" / "a.jpg").write_text("not a picture")
    with pytest.raises(SourceError, match=r"a\.jpg: is not a picture that can be read"):
        PackedSet(root, "val", CITYSCAPES)[0]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda d: d["annotations"][0]["segments_info"][0].update(category_id=19), "unknown category 19"),
        (
            lambda d: d["categories"][0].update(name="lawn"),
            r"category 0 is 'lawn' \(stuff\), but the model's is 'road'",
        ),
        (lambda d: d["annotations"][0].update(image_id="b"), "image 'b' is labelled but not in `images`"),
        (lambda d: d.pop("images"), "images must be a list, got nothing"),
    ],
)
def test_a_broken_description_is_refused(
    root: Path, edit: Callable[[Description], object], complaint: str
) -> None:
    change(root, edit)
    with pytest.raises(SourceError, match=complaint):
        PackedSet(root, "val", CITYSCAPES)
