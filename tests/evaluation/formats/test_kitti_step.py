"""KITTI-STEP: class, and instance in two bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from evaluation.evaluate import evaluate
from evaluation.formats.kitti_step import CATEGORIES, KittiStepWriter, open_kitti_step
from evaluation.formats.labelled import LabelledFrame, LabelledSet
from evaluation.segments import LabelledSegment
from tests.evaluation.drawing import segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    all_regions,
    figures_without_vpq,
    id_at,
    labels,
    write,
)

ROAD, PERSON, RIDER, CAR, VOID = 0, 11, 12, 13, 255
Pixel = tuple[int, int, int]
"""R, G, B."""


def write_picture(folder: Path, name: str, *row: Pixel) -> None:
    path = folder / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = np.array([row], np.uint8)[:, :, ::-1]
    assert cv2.imwrite(str(path), np.ascontiguousarray(bgr))


def pixels_of(path: Path) -> list[Pixel]:
    return [tuple(pixel) for pixel in np.asarray(cv2.imread(str(path)))[0, :, ::-1].tolist()]


def found_in(folder: Path, *row: Pixel, is_truth: bool = True) -> list[LabelledSegment]:
    """Segments of a picture of one row."""
    write_picture(folder, "0001/000000", *row)
    labelled = open_kitti_step(folder, is_truth=is_truth)
    return list(labelled.read(labelled.frames[0])[1])


def written(labelled: LabelledSet, folder: Path, *, is_truth: bool) -> LabelledSet:
    write(labelled, KittiStepWriter(folder))
    return open_kitti_step(folder, is_truth=is_truth)


def test_only_persons_and_cars_are_things() -> None:
    assert [category.name for category in CATEGORIES if category.is_thing] == ["person", "car"]
    assert [category.name for category in CATEGORIES] == [category.name for category in CITYSCAPES]


def test_red_is_the_class_and_255_is_void(tmp_path: Path) -> None:
    write_picture(tmp_path, "0001/000000", (ROAD, 0, 0), (VOID, 0, 0), (CAR, 0, 3))
    labelled = open_kitti_step(tmp_path, is_truth=True)
    ids, segments = labelled.read(labelled.frames[0])
    assert [s.category_id for s in segments] == [ROAD, CAR]
    assert (ids[0] == 0).tolist() == [False, True, False]


def test_instances_above_255_use_green_as_the_high_byte(tmp_path: Path) -> None:
    row = ((CAR, 0, 1), (CAR, 1, 0), (CAR, 1, 1), (CAR, 255, 255))
    segments = found_in(tmp_path, *row)
    assert [s.id - ((CAR + 1) << 16) for s in segments] == [1, 256, 257, 65535]
    assert {s.category_id for s in segments} == {CAR}


def test_a_person_and_a_car_of_one_number_are_two_objects(tmp_path: Path) -> None:
    assert [s.category_id for s in found_in(tmp_path, (PERSON, 0, 1), (CAR, 0, 1))] == [PERSON, CAR]


def test_instance_zero_of_a_thing_is_a_crowd_in_the_truth_only(tmp_path: Path) -> None:
    row = ((ROAD, 0, 0), (CAR, 0, 0), (CAR, 0, 1))
    assert [s.is_crowd for s in found_in(tmp_path, *row, is_truth=True)] == [False, True, False]
    assert [s.is_crowd for s in found_in(tmp_path, *row, is_truth=False)] == [False, False, False]


def test_the_instance_of_stuff_says_nothing(tmp_path: Path) -> None:
    assert (
        len(found_in(tmp_path, (ROAD, 0, 0), (ROAD, 0, 7), (ROAD, 3, 0), (RIDER, 0, 1), (RIDER, 0, 2))) == 2
    )


def test_a_class_that_is_none_is_refused(tmp_path: Path) -> None:
    for class_id in (19, 254):
        with pytest.raises(SourceError, match=rf"000000\.png: has unknown category {class_id}; .* 0\.\.18"):
            found_in(tmp_path, (ROAD, 0, 0), (class_id, 0, 0))


def test_a_picture_without_colours_or_of_16_bits_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path, "0001/000000", (ROAD, 0, 0))
    labelled = open_kitti_step(tmp_path, is_truth=True)
    for image in (np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint16)):
        cv2.imwrite(str(labelled.frames[0].path), image)
        with pytest.raises(SourceError, match="must be an 8-bit RGB PNG, R = class"):
            labelled.read(labelled.frames[0])


def test_a_picture_with_transparency_is_read(tmp_path: Path) -> None:
    write_picture(tmp_path, "0001/000000", (ROAD, 0, 0))
    labelled = open_kitti_step(tmp_path, is_truth=True)
    cv2.imwrite(str(labelled.frames[0].path), np.array([[(2, 1, CAR, 0)]], np.uint8))
    assert [s.id for s in labelled.read(labelled.frames[0])[1]] == [((CAR + 1) << 16) + 258]


def test_a_folder_without_sequences_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        open_kitti_step(tmp_path / "none", is_truth=True)
    write_picture(tmp_path, "000000", (ROAD, 0, 0))
    with pytest.raises(SourceError, match=r"holds no <video>/<frame>\.png"):
        open_kitti_step(tmp_path, is_truth=True)


def test_frames_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        write_picture(tmp_path, f"0001/{number}", (ROAD, 0, 0))
    labelled = open_kitti_step(tmp_path, is_truth=True)
    assert [frame.stem for frame in labelled.frames] == ["2", "9", "10"]


def test_objects_are_numbered_by_first_appearance_in_each_video_and_class(tmp_path: Path) -> None:
    first = labels("95", segment(9, CAR), segment(5, CAR))
    second = labels("54", segment(5, CAR), segment(4, PERSON))
    drawn = DrawnSet(CITYSCAPES, {"0001": [first, second], "0002": [second]})
    write(drawn, KittiStepWriter(tmp_path))
    assert pixels_of(tmp_path / "0001" / "000000.png") == [(CAR, 0, 1), (CAR, 0, 2)]
    assert pixels_of(tmp_path / "0001" / "000001.png") == [(CAR, 0, 2), (PERSON, 0, 1)]
    assert pixels_of(tmp_path / "0002" / "000000.png") == [(CAR, 0, 1), (PERSON, 0, 1)]


def test_stuff_and_crowds_are_written_with_instance_zero_and_void_as_255(tmp_path: Path) -> None:
    drawn = DrawnSet(CITYSCAPES, {"0001": [labels("1088", segment(1, ROAD), segment(8, CAR, crowd=True))]})
    write(drawn, KittiStepWriter(tmp_path))
    found = pixels_of(tmp_path / "0001" / "000000.png")
    assert found == [(ROAD, 0, 0), (VOID, 0, 0), (CAR, 0, 0), (CAR, 0, 0)]


def test_the_300th_object_has_instance_300(tmp_path: Path) -> None:
    ids = np.arange(1, 301, dtype=np.int32).reshape(10, 30)
    drawn = DrawnSet(CITYSCAPES, {"0001": [(ids, [segment(n, CAR) for n in range(1, 301)])]})
    found = written(drawn, tmp_path, is_truth=True)
    assert id_at(found, 9, 29) == [((CAR + 1) << 16) + 300]
    assert all_regions(found) == all_regions(drawn)


def test_a_category_without_a_place_is_refused(tmp_path: Path) -> None:
    drawn = DrawnSet(CITYSCAPES, {"0001": [labels("1", segment(1, 19))]})
    with pytest.raises(SourceError, match=r"category 19 has no place in KITTI-STEP"):
        write(drawn, KittiStepWriter(tmp_path))


def test_two_frames_are_never_written_to_one_place(tmp_path: Path) -> None:
    writer, found = KittiStepWriter(tmp_path), labels("1", segment(1, ROAD))
    for camera in ("left", "right"):
        name = f"{camera}/000000.png"
        frame = LabelledFrame(video="v", image_id=camera, file_name=name, path=Path(name))
        if camera == "left":
            writer.add(frame, found)
        else:
            with pytest.raises(SourceError, match=r"right/000000\.png: would overwrite left/000000\.png"):
                writer.add(frame, found)


TRUTH = DrawnSet(
    CATEGORIES,
    {
        "0001": [
            labels("1155 1166", segment(1, ROAD), segment(5, CAR), segment(6, PERSON)),
            labels("1115 1188", segment(1, ROAD), segment(5, CAR), segment(8, PERSON, crowd=True)),
        ],
        "0002": [labels("0055 0055", segment(5, CAR))],
    },
)
PREDICTION = DrawnSet(
    CATEGORIES,
    {
        "0001": [
            labels("1115 1166", segment(1, ROAD), segment(5, CAR), segment(6, PERSON)),
            labels("1115 1166", segment(1, ROAD), segment(5, PERSON), segment(6, PERSON)),
        ],
        "0002": [labels("1144 0054", segment(1, ROAD), segment(4, CAR), segment(5, CAR))],
    },
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = written(TRUTH, tmp_path, is_truth=True)
    assert all_regions(found) == all_regions(TRUTH)
    assert len(set(id_at(found, 0, 3))) == 1  # the car keeps its number


def test_figures_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    before = figures_without_vpq(TRUTH, PREDICTION)
    after = figures_without_vpq(
        written(TRUTH, tmp_path / "gt", is_truth=True),
        written(PREDICTION, tmp_path / "pred", is_truth=False),
    )
    assert after == before
    assert 0 < before["stq"]["stq"] < 1


def test_a_crowd_is_neither_missed_nor_a_tube(tmp_path: Path) -> None:
    for side in ("gt", "pred"):
        write_picture(tmp_path / side, "0001/000000", (CAR, 0, 0), (CAR, 0, 0), (CAR, 0, 1))
    truth = open_kitti_step(tmp_path / "gt", is_truth=True)
    prediction = open_kitti_step(tmp_path / "pred", is_truth=False)
    evaluation = evaluate(truth, prediction, ("pq", "stq"), (1,))
    assert evaluation.pq is not None
    car = evaluation.pq.per_class[CAR]
    assert (car.tp, car.fp, car.fn) == (1, 0, 0)
    assert evaluation.stq is not None
    assert evaluation.stq.total.aq == 1.0
