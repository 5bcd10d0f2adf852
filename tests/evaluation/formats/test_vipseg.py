"""VIPSeg: descriptions nested by video, and bare masks with a list of categories."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.categories import Category
from configs.errors import SourceError
from evaluation.formats.labelled import LabelledSet
from evaluation.formats.vipseg import VipsegMaskWriter, VipsegWriter, open_vipseg
from evaluation.pairing import pair_frames
from tests.evaluation.drawing import segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    Json,
    all_regions,
    annotation,
    category_entries,
    figures,
    figures_without_vpq,
    id_at,
    labels,
    write,
    write_maps,
    write_text,
)

WALL, ROAD, PERSON, CAR = 0, 10, 60, 123
CATEGORIES = (
    Category(WALL, "wall", False, (0, 0, 0)),
    Category(ROAD, "road", False, (0, 0, 0)),
    Category(PERSON, "person", True, (0, 0, 0)),
    Category(CAR, "car", True, (0, 0, 0)),
)
TRUTH = DrawnSet(
    CATEGORIES,
    {
        "12_a": [
            labels("1155 2266", segment(1, WALL), segment(2, ROAD), segment(5, CAR), segment(6, PERSON)),
            labels(
                "1115 2288",
                segment(1, WALL),
                segment(2, ROAD),
                segment(5, CAR),
                segment(8, PERSON, crowd=True),
            ),
        ],
        "7_b": [labels("0055 0055", segment(5, CAR))],
    },
    names="{:08d}",
)
PREDICTION = DrawnSet(
    CATEGORIES,
    {
        "12_a": [
            labels("1115 2266", segment(1, WALL), segment(2, ROAD), segment(5, CAR), segment(6, PERSON)),
            labels("1115 2266", segment(1, WALL), segment(2, ROAD), segment(5, PERSON), segment(6, PERSON)),
        ],
        "7_b": [labels("1144 0054", segment(1, WALL), segment(4, CAR), segment(5, CAR))],
    },
    names="{:08d}",
)  # fmt: skip


def written(labelled: LabelledSet, folder: Path) -> LabelledSet:
    write(labelled, VipsegWriter(folder, CATEGORIES))
    return open_vipseg(folder / "pred.json", folder)


def written_masks(labelled: LabelledSet, folder: Path) -> LabelledSet:
    write(labelled, VipsegMaskWriter(folder, CATEGORIES))
    return open_vipseg(categories_in(folder), folder)


def categories_in(folder: Path) -> Path:
    return write_text(folder / "categories.json", category_entries(CATEGORIES))


def mask_in(folder: Path, *values: int, dtype: type[np.generic] = np.uint16) -> LabelledSet:
    """A set of one mask of one row."""
    (folder / "v").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "v" / "00000001.png"), np.array([values], dtype))
    return open_vipseg(categories_in(folder), folder)


def nested(folder: Path, *videos: object) -> LabelledSet:
    document = {"annotations": list(videos), "categories": category_entries(CATEGORIES)}
    return open_vipseg(write_text(folder / "gt.json", document), folder)


def video(name: object, *annotations: Json) -> Json:
    return {"video_id": name, "annotations": list(annotations)}


def test_a_nested_description_is_written_and_read_again(tmp_path: Path) -> None:
    found = written(TRUTH, tmp_path)
    assert all_regions(found) == all_regions(TRUTH)
    assert [frame.image_id for frame in found.frames] == ["12_a/00000000", "12_a/00000001", "7_b/00000000"]
    assert (tmp_path / "pan_pred" / "7_b" / "00000000.png").is_file()
    assert id_at(found, 0, 3) == [5, 5, 5]


def test_masks_are_written_and_read_again(tmp_path: Path) -> None:
    found = written_masks(TRUTH, tmp_path)
    assert all_regions(found) == all_regions(TRUTH)
    assert id_at(found, 0, 3)[0] == id_at(found, 0, 3)[1]


def test_figures_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    before = figures(TRUTH, PREDICTION)
    assert figures(written(TRUTH, tmp_path / "gt"), written(PREDICTION, tmp_path / "pred")) == before
    assert 0 < before["vpq"]["all"] < before["pq"]["all"]["pq"] < 1


def test_figures_are_the_same_after_writing_and_reading_masks(tmp_path: Path) -> None:
    before = figures_without_vpq(TRUTH, PREDICTION)
    truth = written_masks(TRUTH, tmp_path / "gt")
    assert figures_without_vpq(truth, written_masks(PREDICTION, tmp_path / "pred")) == before
    assert 0 < before["stq"]["stq"] < 1


def test_masks_of_the_truth_pair_with_a_nested_prediction(tmp_path: Path) -> None:
    truth = written_masks(TRUTH, tmp_path / "gt")
    write(PREDICTION, VipsegWriter(tmp_path / "pred", CATEGORIES))
    prediction = open_vipseg(tmp_path / "pred" / "pred.json", tmp_path / "pred", truth.categories)
    assert figures(truth, prediction) == figures(TRUTH, PREDICTION)


def test_frames_of_one_name_in_two_videos_pair_within_their_video(tmp_path: Path) -> None:
    write_maps(tmp_path, {"a/1": "1", "b/1": "1"})
    truth = nested(tmp_path, video("a", annotation(1, (1, WALL))), video("b", annotation(1, (1, WALL))))
    (tmp_path / "pred").mkdir()
    prediction = nested(
        tmp_path / "pred", video("b", annotation(1, (1, WALL))), video("a", annotation(1, (1, WALL)))
    )
    pairs = [(gt.image_id, pred.image_id) for gt, pred in pair_frames(truth, prediction)]
    assert pairs == [("a/1", "a/1"), ("b/1", "b/1")]


def test_values_of_a_mask_count_classes_from_one(tmp_path: Path) -> None:
    found = mask_in(tmp_path, 0, 1, 11, 6100, 6199, 12400)
    ids, segments = found.read(found.frames[0])
    assert ids.tolist() == [[0, 1, 11, 6100, 6199, 12400]]
    assert [(s.id, s.category_id) for s in segments] == [
        (1, WALL),
        (11, ROAD),
        (6100, PERSON),
        (6199, PERSON),
        (12400, CAR),
    ]


def test_a_thing_without_a_number_is_a_crowd(tmp_path: Path) -> None:
    found = mask_in(tmp_path, 61, 6100, 1)
    segments = found.read(found.frames[0])[1]
    assert [(s.category_id, s.is_crowd) for s in segments] == [(WALL, False), (PERSON, True), (PERSON, False)]


def test_a_mask_may_have_8_bits_and_no_void(tmp_path: Path) -> None:
    found = mask_in(tmp_path, 1, 124, dtype=np.uint8)
    assert [s.category_id for s in found.read(found.frames[0])[1]] == [WALL, CAR]


@pytest.mark.parametrize("value", [2, 125, 150, 1100, 12500, 65535])
def test_a_value_that_is_no_class_is_refused(tmp_path: Path, value: int) -> None:
    found = mask_in(tmp_path, 1, value)
    with pytest.raises(SourceError, match=rf"00000001\.png: value {value} is no class"):
        found.read(found.frames[0])


def test_a_picture_of_ids_is_no_mask(tmp_path: Path) -> None:
    write_maps(tmp_path / "v", {"1": "11"})
    found = open_vipseg(categories_in(tmp_path), tmp_path)
    with pytest.raises(SourceError, match="must be a mask of one channel"):
        found.read(found.frames[0])


def test_predicted_masks_have_the_categories_of_the_truth(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    cv2.imwrite(str(tmp_path / "v" / "1.png"), np.array([[11]], np.uint16))
    without_road = tuple(category for category in CATEGORIES if category.id != ROAD)
    found = open_vipseg(categories_in(tmp_path), tmp_path, without_road)
    with pytest.raises(SourceError, match=r"1\.png: value 11 is no class"):
        found.read(found.frames[0])
    other_kind = (Category(PERSON, "person", False, (0, 0, 0)),)
    with pytest.raises(SourceError, match="not of the same kind"):
        open_vipseg(categories_in(tmp_path), tmp_path, other_kind)


def test_a_nested_prediction_must_have_the_kinds_of_the_truth(tmp_path: Path) -> None:
    document = {"annotations": [], "categories": category_entries(CATEGORIES)}
    path = write_text(tmp_path / "pred.json", document)
    with pytest.raises(SourceError, match="not of the same kind"):
        open_vipseg(path, tmp_path, (Category(PERSON, "person", False, (0, 0, 0)),))


def test_the_100_objects_of_a_class_that_fit_are_written_and_no_more(tmp_path: Path) -> None:
    ids = np.arange(1, 101, dtype=np.int32).reshape(10, 10)
    drawn = DrawnSet(CATEGORIES, {"v": [(ids, [segment(n, CAR) for n in range(1, 101)])]})
    found = written_masks(drawn, tmp_path)
    assert all_regions(found) == all_regions(drawn)
    assert id_at(found, 9, 9) == [12499]
    ids = np.arange(1, 102, dtype=np.int32).reshape(1, 101)
    drawn = DrawnSet(CATEGORIES, {"v": [(ids, [segment(n, CAR) for n in range(1, 102)])]})
    with pytest.raises(SourceError, match="room for 100 objects of a class"):
        written_masks(drawn, tmp_path)


@pytest.mark.parametrize(("category", "is_thing"), [(124, False), (130, True), (0, True), (-1, False)])
def test_a_category_that_would_read_as_another_is_not_written(
    tmp_path: Path, category: int, is_thing: bool
) -> None:
    categories = (Category(category, "other", is_thing, (0, 0, 0)),)
    drawn = DrawnSet(categories, {"v": [labels("1", segment(1, category))]})
    with pytest.raises(SourceError, match=f"category {category} has no place in the masks of VIPSeg"):
        write(drawn, VipsegMaskWriter(tmp_path, categories))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "video 0: it must be an object, got 5"),
        ({"annotations": []}, "video 0: needs a video_id"),
        ({"video_id": "a"}, "annotations must be a list, got nothing"),
        (annotation(1, (1, WALL)), "annotations must be a list, got nothing; .* video by video"),
        ({"video_id": "..", "annotations": []}, "video_id must lie inside"),
        ({"video_id": "a", "annotations": [7]}, r"video 0 \(a\): annotation 0: it must be an object, got 7"),
        (video("a", annotation(1, (1, 99))), "segment 1 has unknown category 99"),
        (video("a", annotation(1), annotation(1)), "image a/1 has 2 annotations"),
    ],
)
def test_an_entry_that_makes_no_sense_is_named(tmp_path: Path, entry: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        nested(tmp_path, entry)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "list each id once"),
        ([5], "a category must be an object"),
        ([{"id": 0}], "has no name"),
        (5, "is not"),
    ],
)
def test_a_list_that_is_not_of_categories_is_refused(tmp_path: Path, document: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_vipseg(write_text(tmp_path / "c.json", document), tmp_path)
