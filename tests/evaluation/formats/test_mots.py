"""MOTS: cars and pedestrians as pictures of 16 bits or lines of text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES, Category
from configs.errors import SourceError
from evaluation.formats import rle
from evaluation.formats.labelled import LabelledSet
from evaluation.formats.mots import CATEGORIES, MotsPictureWriter, MotsTextWriter, open_mots
from tests.evaluation.drawing import drawing, segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    all_regions,
    figures_without_vpq,
    id_at,
    labels,
    regions,
    write,
)

BACKGROUND, CAR, PEDESTRIAN = 0, 1, 2
TRUTH = DrawnSet(
    CATEGORIES,
    {
        "0002": [
            labels("1155 1166", segment(1, BACKGROUND), segment(5, CAR), segment(6, PEDESTRIAN)),
            labels("1155 0066", segment(1, BACKGROUND), segment(5, CAR), segment(6, PEDESTRIAN)),
        ],
        "0006": [labels("1117 1117", segment(1, BACKGROUND), segment(7, CAR))],
    },
)
PREDICTION = DrawnSet(
    CATEGORIES,
    {
        "0002": [
            labels("1115 1166", segment(1, BACKGROUND), segment(5, CAR), segment(6, PEDESTRIAN)),
            labels("1155 5566", segment(1, BACKGROUND), segment(5, CAR), segment(6, CAR)),
        ],
        "0006": [labels("1177 1117", segment(1, BACKGROUND), segment(7, CAR))],
    },
)
CAR_MASK = rle.encode(drawing("0011", "0000") > 0)


def pictures(labelled: LabelledSet, folder: Path) -> LabelledSet:
    write(labelled, MotsPictureWriter(folder, labelled.categories))
    return open_mots(folder)


def texts(labelled: LabelledSet, folder: Path) -> LabelledSet:
    write(labelled, MotsTextWriter(folder, labelled.categories))
    return open_mots(folder)


def values_of(path: Path) -> list[list[int]]:
    found: list[list[int]] = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).tolist()
    return found


def lines(folder: Path, *content: str) -> LabelledSet:
    (folder / "0002.txt").write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
    return open_mots(folder)


@pytest.mark.parametrize("through", [pictures, texts])
def test_what_was_written_is_read_again(tmp_path: Path, through: object) -> None:
    assert callable(through)
    found = through(TRUTH, tmp_path)
    assert all_regions(found) == all_regions(TRUTH)
    assert id_at(found, 0, 3) == [1001, 1001, 1001]
    assert id_at(found, 1, 3) == [2001, 2001, 1001]


@pytest.mark.parametrize("through", [pictures, texts])
def test_figures_are_the_same_after_writing_and_reading(tmp_path: Path, through: object) -> None:
    assert callable(through)
    before = figures_without_vpq(TRUTH, PREDICTION)
    after = figures_without_vpq(through(TRUTH, tmp_path / "gt"), through(PREDICTION, tmp_path / "pred"))
    assert after == before
    assert 0 < before["stq"]["stq"] < 1


def test_a_value_is_1000_times_the_class_plus_the_instance(tmp_path: Path) -> None:
    pictures(TRUTH, tmp_path)
    assert values_of(tmp_path / "0002" / "000000.png") == [[0, 0, 1001, 1001], [0, 0, 2001, 2001]]


def test_void_is_the_ignored_region_10000(tmp_path: Path) -> None:
    found = pictures(TRUTH, tmp_path)
    assert values_of(tmp_path / "0002" / "000001.png")[1] == [10000, 10000, 2001, 2001]
    assert found.read(found.frames[1])[0][1].tolist() == [0, 0, 2001, 2001]


def test_crowds_of_its_classes_are_ignored_and_other_classes_are_background(tmp_path: Path) -> None:
    road, person, car, bus = 0, 11, 13, 15
    drawn = DrawnSet(
        CITYSCAPES,
        {
            "v": [
                labels(
                    "1234 5555",
                    segment(1, road),
                    segment(2, person),
                    segment(3, car, crowd=True),
                    segment(4, bus),
                    segment(5, car),
                )
            ]
        },
    )
    pictures(drawn, tmp_path)
    assert values_of(tmp_path / "v" / "000000.png") == [[0, 2001, 10000, 0], [1001] * 4]


@pytest.mark.parametrize("value", [1, 999, 3001, 9999, 10001])
def test_a_value_that_is_no_class_is_refused(tmp_path: Path, value: int) -> None:
    (tmp_path / "0002").mkdir()
    cv2.imwrite(str(tmp_path / "0002" / "000000.png"), np.array([[0, value]], np.uint16))
    found = open_mots(tmp_path)
    with pytest.raises(SourceError, match=rf"000000\.png: value {value} has unknown category"):
        found.read(found.frames[0])


def test_a_picture_with_colours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0002").mkdir()
    cv2.imwrite(str(tmp_path / "0002" / "000000.png"), np.zeros((1, 1, 3), np.uint8))
    found = open_mots(tmp_path)
    with pytest.raises(SourceError, match="must be a PNG of one channel"):
        found.read(found.frames[0])


def test_a_line_is_frame_id_class_height_width_and_runs(tmp_path: Path) -> None:
    texts(TRUTH, tmp_path)
    assert (tmp_path / "0002.txt").read_text().splitlines() == [
        f"0 1001 1 2 4 {CAR_MASK}",
        f"0 2001 2 2 4 {rle.encode(drawing('0000', '0011') > 0)}",
        f"1 1001 1 2 4 {CAR_MASK}",
        f"1 2001 2 2 4 {rle.encode(drawing('0000', '0011') > 0)}",
        f"1 10000 10 2 4 {rle.encode(drawing('0000', '1100') > 0)}",
    ]


def test_the_frame_of_a_line_is_the_number_in_the_file_name(tmp_path: Path) -> None:
    car = labels("5", segment(5, CAR))
    write(DrawnSet(CATEGORIES, {"0002": [car, car]}, names="{:06d}"), MotsTextWriter(tmp_path, CATEGORIES))
    assert [line.split()[0] for line in (tmp_path / "0002.txt").read_text().splitlines()] == ["0", "1"]
    write(DrawnSet(CATEGORIES, {"0002": [car, car]}, names="7{:02d}"), MotsTextWriter(tmp_path, CATEGORIES))
    assert [line.split()[0] for line in (tmp_path / "0002.txt").read_text().splitlines()] == ["700", "701"]
    write(DrawnSet(CATEGORIES, {"0002": [car, car]}, names="x{}"), MotsTextWriter(tmp_path, CATEGORIES))
    assert [line.split()[0] for line in (tmp_path / "0002.txt").read_text().splitlines()] == ["0", "1"]


def test_an_ignored_line_is_void(tmp_path: Path) -> None:
    found = lines(tmp_path, f"3 10000 10 2 4 {CAR_MASK}")
    (frame,) = found.frames
    assert frame.image_id == "0002/000003"
    assert found.read(frame)[0].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert {category for category, _, _ in regions(found.read(frame))} == {BACKGROUND}


def test_objects_that_share_a_pixel_are_refused(tmp_path: Path) -> None:
    found = lines(tmp_path, f"0 1001 1 2 4 {CAR_MASK}", f"0 2001 2 2 4 {CAR_MASK}")
    with pytest.raises(SourceError, match=r"0002\.txt: frame 0: object 2001 overlaps another"):
        found.read(found.frames[0])


def test_objects_of_one_frame_have_one_size(tmp_path: Path) -> None:
    found = lines(tmp_path, f"0 1001 1 2 4 {CAR_MASK}", f"0 1002 1 4 2 {CAR_MASK}")
    with pytest.raises(SourceError, match="frame 0: objects differ in the size"):
        found.read(found.frames[0])


@pytest.mark.parametrize("runs", ["0", "zzzz", "P", "é", "~", CAR_MASK + "11", CAR_MASK[:-1]])
def test_runs_that_are_not_as_many_pixels_are_refused(tmp_path: Path, runs: str) -> None:
    found = lines(tmp_path, f"0 1001 1 2 4 {runs}")
    with pytest.raises(SourceError, match=r"frame 0: the mask of object 1001 is damaged"):
        found.read(found.frames[0])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "line 1 is not `frame id class height width rle`"),
        ("0 1001 1 2 4", "line 1 is not `frame id"),
        ("0 1001 1 2 4 04 5", "line 1 is not `frame id"),
        ("0 car 1 2 4 04", "line 1 is not `frame id"),
        ("0 2001 1 2 4 04", "object 2001 of class 1"),
        ("0 3001 3 2 4 04", "object 3001 of class 3"),
        ("0 -1 -1 2 4 04", "object -1 of class -1"),
        ("-1 1001 1 2 4 04", "frame -1 of size 4x2 is no frame"),
        ("0 1001 1 0 4 04", "frame 0 of size 4x0 is no frame"),
        ("0 1001 1 100000 1000000 P", "frame 0 of size 1000000x100000 is no frame"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        lines(tmp_path, line)


def test_a_text_file_that_cannot_be_read_and_one_without_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="hold no object"):
        lines(tmp_path)
    (tmp_path / "0006.txt").mkdir()
    with pytest.raises(SourceError, match=r"0006\.txt: cannot be read"):
        open_mots(tmp_path)


def test_a_sequence_without_objects_is_an_empty_file(tmp_path: Path) -> None:
    drawn = DrawnSet(CATEGORIES, {"0002": [labels("1", segment(1, BACKGROUND))]})
    write(drawn, MotsTextWriter(tmp_path, CATEGORIES))
    assert (tmp_path / "0002.txt").read_text() == ""


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none: no such folder"):
        open_mots(tmp_path / "none")


@pytest.mark.parametrize("seed", range(5))
def test_runs_are_those_of_pycocotools(seed: int) -> None:
    mask = np.random.default_rng(seed).random((37, 41)) < (0.02, 0.5, 0.98, 0.0, 1.0)[seed]
    np.testing.assert_array_equal(rle.decode(rle.encode(mask), 37, 41), mask)


def test_long_runs_take_several_characters() -> None:
    mask = np.zeros((300, 400), bool)
    mask[:, 100:350] = True
    assert len(rle.encode(mask)) > 3  # three runs
    np.testing.assert_array_equal(rle.decode(rle.encode(mask), 300, 400), mask)


def test_two_categories_that_are_one_class_are_numbered_together(tmp_path: Path) -> None:
    categories = (Category(7, "person", True, (0, 0, 0)), Category(8, "pedestrian", True, (0, 0, 0)))
    both = DrawnSet(categories, {"0002": [labels("56", segment(5, 7), segment(6, 8))]})
    assert len(all_regions(pictures(both, tmp_path))["0002"][0]) == 2


def test_a_video_in_a_folder_is_a_sequence_that_can_be_read(tmp_path: Path) -> None:
    frame = replace(TRUTH.frames[0], video="day/0002")
    for name, writer in (
        ("texts", MotsTextWriter(tmp_path / "texts", CATEGORIES)),
        ("pictures", MotsPictureWriter(tmp_path / "pictures", CATEGORIES)),
    ):
        writer.add(frame, TRUTH.read(TRUTH.frames[0]))
        writer.close()
        assert [found.video for found in open_mots(tmp_path / name).frames] == ["day-0002"]


def test_two_videos_are_not_one_sequence(tmp_path: Path) -> None:
    writer = MotsTextWriter(tmp_path, CATEGORIES)
    writer.add(replace(TRUTH.frames[0], video="day/0002"), TRUTH.read(TRUTH.frames[0]))
    with pytest.raises(SourceError, match="two videos would be sequence day-0002"):
        writer.add(replace(TRUTH.frames[0], video="day-0002"), TRUTH.read(TRUTH.frames[0]))


def test_only_what_is_written_takes_a_number(tmp_path: Path) -> None:
    bus = Category(9, "bus", True, (0, 0, 0))
    crowded = [segment(number, 9) for number in range(1, 1200)]
    ids = np.arange(1, 1200, dtype=np.int32).reshape(1, -1)
    writer = MotsPictureWriter(tmp_path, [bus])
    writer.add(replace(TRUTH.frames[0]), (ids, crowded))
    values = cv2.imread(str(next(tmp_path.glob("*/*.png"))), cv2.IMREAD_UNCHANGED)
    assert values is not None
    assert not values.any()
