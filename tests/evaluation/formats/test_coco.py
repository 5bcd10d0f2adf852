"""COCO panoptic: what a description may say and leave out, and that any other is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.categories import Category
from configs.errors import OutputError, SourceError
from evaluation.formats.coco import CocoWriter, open_coco, write_json
from evaluation.formats.labelled import LabelledSet
from evaluation.segments import LabelledSegment
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    Json,
    all_regions,
    annotation,
    category_entries,
    figures,
    id_at,
    labels,
    regions,
    write,
    write_description,
    write_maps,
    write_text,
)

TRUTH = DrawnSet(
    CATEGORIES,
    {
        "a": [
            labels("2277 1111", segment(1, ROAD), segment(2, SKY), segment(7, CAR)),
            labels("2227 1110", segment(1, ROAD), segment(2, SKY), segment(7, CAR)),
            labels("2222 1188", segment(1, ROAD), segment(2, SKY), segment(8, PERSON, crowd=True)),
        ],
        "b": [labels("0000 1119", segment(1, ROAD), segment(9, CAR))],
    },
)
PREDICTION = DrawnSet(
    CATEGORIES,
    {
        "a": [
            labels("2227 1177", segment(1, ROAD), segment(2, SKY), segment(7, CAR)),
            labels("2227 1111", segment(1, ROAD), segment(2, SKY), segment(7, PERSON)),
            labels("0000 1155", segment(1, ROAD), segment(5, PERSON)),
        ],
        "b": [labels("2222 1199", segment(1, ROAD), segment(2, SKY), segment(9, CAR))],
    },
)


def written(labelled: LabelledSet, folder: Path) -> LabelledSet:
    write(labelled, CocoWriter(folder, CATEGORIES))
    return open_coco(folder / "panoptic.json", folder / "panoptic")


def opened(folder: Path, *annotations: object, categories: object = CATEGORIES) -> LabelledSet:
    """A set whose only map is two roads, called 1.png."""
    write_maps(folder, {"1": "11"})
    entries = category_entries(CATEGORIES) if categories is CATEGORIES else categories
    description = write_text(folder / "gt.json", {"annotations": list(annotations), "categories": entries})
    return open_coco(description, folder)


def with_segment(**fields: object) -> Json:
    """An annotation of 1.png whose only segment has these fields."""
    return {"image_id": 1, "segments_info": [{"id": 1, "category_id": ROAD} | fields]}


def test_what_was_written_is_read_again_with_the_same_ids(tmp_path: Path) -> None:
    found = written(TRUTH, tmp_path)
    assert all_regions(found) == all_regions(TRUTH)
    assert [frame.image_id for frame in found.frames] == [frame.image_id for frame in TRUTH.frames]
    assert id_at(found, 0, 3) == [7, 7, 2, 0]
    assert found.categories == CATEGORIES


def test_figures_are_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    before = figures(TRUTH, PREDICTION)
    after = figures(written(TRUTH, tmp_path / "gt"), written(PREDICTION, tmp_path / "pred"))
    assert after == before
    assert 0 < before["pq"]["all"]["pq"] < 1


def test_the_written_description_has_area_box_and_crowd(tmp_path: Path) -> None:
    written(TRUTH, tmp_path)
    document = json.loads((tmp_path / "panoptic.json").read_text())
    assert document["images"][0] == {
        "id": "a/000000",
        "file_name": "a/000000.png",
        "width": 4,
        "height": 2,
    }
    assert document["annotations"][2]["segments_info"][2] == {
        "id": 8,
        "category_id": PERSON,
        "iscrowd": 1,
        "area": 2,
        "bbox": [2, 1, 2, 1],
    }
    assert document["categories"][2] == {"id": 2, "name": "car", "isthing": 1, "color": [3, 3, 3]}


def test_area_box_crowd_colour_and_images_may_be_left_out(tmp_path: Path) -> None:
    found = opened(tmp_path, annotation(1, (1, ROAD)))
    (frame,) = found.frames
    assert regions(found.read(frame)) == {(ROAD, False, frozenset({(0, 0), (0, 1)}))}
    assert found.categories[0].color == (0, 0, 0)


def test_a_colour_that_is_none_is_black(tmp_path: Path) -> None:
    for color in (None, "red", [1, 2], [1.5, 0, 0]):
        entries = [entry | {"color": color} for entry in category_entries(CATEGORIES)]
        assert opened(tmp_path, categories=entries).categories[0].color == (0, 0, 0)


def test_the_area_that_the_truth_states_counts_and_that_of_a_prediction_does_not(tmp_path: Path) -> None:
    entry = with_segment(area=12.0)
    truth = opened(tmp_path, entry)
    assert truth.frames[0].segments[0].area_px == 12
    prediction = open_coco(tmp_path / "gt.json", tmp_path, CATEGORIES)
    assert prediction.frames[0].segments[0].area_px is None


def test_a_prediction_may_state_any_area_and_no_categories(tmp_path: Path) -> None:
    for area in (0, -3, "unknown", 2.5):
        path = write_text(tmp_path / "pred.json", {"annotations": [with_segment(area=area)]})
        assert open_coco(path, tmp_path, CATEGORIES).categories == CATEGORIES


def test_a_byte_order_mark_is_no_part_of_the_description(tmp_path: Path) -> None:
    path = write_description(tmp_path / "gt.json", [annotation(1, (1, ROAD))], CATEGORIES)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(open_coco(path, tmp_path).frames) == 1


@pytest.mark.parametrize(
    ("entry", "video"),
    [
        ({"file_name": "0003_0014_ulm_000001_000004.png"}, "0003"),
        ({"file_name": "0003_0014_ulm_000001_000004.png", "video_id": 5}, "5"),
        ({"file_name": "0003_0014_ulm_000001_000004.png", "video_id": "drive"}, "drive"),
        ({"file_name": "0003_0014_ulm_000001_000004.png", "video_id": None}, "0003"),
        ({"file_name": "val/0003_0014.png"}, "0003"),
        ({"file_name": "drive/000014.png"}, "drive"),
        ({"file_name": "000000000139.png"}, "000000000139"),
        ({"image_id": "0003_0014"}, "0003"),
    ],
)
def test_the_video_is_the_video_id_or_the_first_field_of_the_name(
    tmp_path: Path, entry: Json, video: str
) -> None:
    found = opened(tmp_path, {"image_id": 1, "segments_info": []} | entry)
    assert found.frames[0].video == video


@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.jpeg", "1"])
def test_the_map_of_a_picture_has_its_name_and_png(tmp_path: Path, name: str) -> None:
    found = opened(tmp_path, annotation(1, (1, ROAD), file_name=name))
    assert found.read(found.frames[0])[0].tolist() == [[1, 1]]


def test_frames_of_a_video_are_in_the_order_of_their_names_not_of_the_list(tmp_path: Path) -> None:
    numbers = [10, 2, 1, 9]
    found = opened(tmp_path, *(annotation(n, video_id="v", file_name=f"img{n}.png") for n in numbers))
    assert [frame.stem for frame in found.frames] == ["img1", "img2", "img9", "img10"]


def test_ids_that_count_anew_in_each_video_are_told_apart(tmp_path: Path) -> None:
    found = opened(
        tmp_path,
        annotation(0, video_id="a", file_name="a/0.png"),
        annotation(0, video_id="b", file_name="b/0.png"),
    )
    assert [frame.image_id for frame in found.frames] == ["a/0", "b/0"]


def test_an_image_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="image 1 has 2 annotations"):
        opened(tmp_path, annotation(1), annotation(1))
    with pytest.raises(SourceError, match="image 1 has 2 annotations"):
        opened(tmp_path, annotation(1, file_name="1.png"), annotation(1, file_name="2.png"))
    with pytest.raises(SourceError, match="image v/1 has 2 annotations"):
        opened(tmp_path, annotation(1, video_id="v"), annotation(1, video_id="v"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (5, "annotation 0: it must be an object, got 5"),
        (None, "annotation 0: it must be an object, got nothing"),
        ({"image_id": 1}, "segments_info must be a list, got nothing"),
        ({"image_id": 1, "segments_info": {}}, "segments_info must be a list"),
        ({"image_id": 1, "segments_info": [7]}, "a segment must be an object, got 7"),
        ({"segments_info": []}, "neither image_id nor file_name"),
        ({"image_id": [1], "segments_info": []}, "image_id must be a name or a number"),
        ({"image_id": 1.5, "segments_info": []}, "image_id must be a name or a number, got 1.5"),
        ({"image_id": True, "segments_info": []}, "image_id must be a name or a number, got True"),
        ({"image_id": "", "segments_info": []}, "image_id must be a name"),
        ({"file_name": "a\0b.png", "segments_info": []}, "file_name must be a name"),
        ({"file_name": "a\ud800.png", "segments_info": []}, "file_name must be a name"),
        ({"file_name": "1" * 5000, "segments_info": []}, "file_name must be a name"),
        ({"file_name": "../1.png", "segments_info": []}, "file_name must lie inside its folder"),
        ({"file_name": "/etc/1.png", "segments_info": []}, "file_name must lie inside its folder"),
        ({"image_id": 1, "video_id": "a/../..", "segments_info": []}, "video_id must lie inside"),
        ({"image_id": 1, "video_id": ".", "segments_info": []}, "video_id must lie inside"),
        (with_segment(id="1"), "id must be a whole number, got '1'"),
        (with_segment(id=1.0), "id must be a whole number, got 1.0"),
        (with_segment(id=None), "id must be a whole number, got nothing"),
        (with_segment(id=True), "id must be a whole number, got True"),
        (with_segment(id=float("inf")), "id must be a whole number, got inf"),
        (with_segment(category_id="0"), "category_id must be a whole number, got '0'"),
        (with_segment(category_id=0.5), "category_id must be a whole number, got 0.5"),
        (with_segment(category_id=None), "category_id must be a whole number, got nothing"),
        (with_segment(category_id=4), r"1\.png: segment 1 has unknown category 4.* 0\.\.3"),
        (with_segment(category_id=-1), "segment 1 has unknown category -1"),
        (with_segment(category_id=10**30), "segment 1 has unknown category 10000"),
        (with_segment(iscrowd="0"), "iscrowd must be 0 or 1, got '0'"),
        (with_segment(iscrowd=2), "iscrowd must be 0 or 1, got 2"),
        (with_segment(area=0), "area must be a number of pixels, at least 1, got 0"),
        (with_segment(area=-4), "area must be a number of pixels"),
        (with_segment(area="4"), "area must be a number of pixels"),
        (with_segment(area=1e300), "area must be a number of pixels"),
        (with_segment(area=float("nan")), "area must be a number of pixels"),
    ],
)
def test_an_entry_that_makes_no_sense_is_named_with_its_value(
    tmp_path: Path, entry: object, message: str
) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        opened(tmp_path, entry)
    assert str(caught.value).startswith(f"{tmp_path / 'gt.json'}: ")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "5", "null", "{}", '{"annotations": {}}', '{"annotations": null}', "[" * 100_000],
    ids=["empty", "half", "list", "number", "null", "object", "no list", "null list", "deep"],
)
def test_what_is_no_description_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "gt.json"
    path.write_text(content)
    with pytest.raises(SourceError, match=r"gt\.json: is not"):
        open_coco(path, tmp_path)


def test_bytes_that_are_no_text_and_a_missing_description_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match=r"gt\.json: is not JSON"):
        open_coco(tmp_path / "gt.json", tmp_path)
    with pytest.raises(SourceError, match=r"none\.json: cannot be read \(No such file"):
        open_coco(tmp_path / "none.json", tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        open_coco(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        (None, "categories must be a list, got nothing"),
        ({}, "categories must be a list"),
        ([], "must list each id once, and at least one"),
        ([5], "a category must be an object, got 5"),
        ([{"name": "road", "isthing": 0}], "id must be a whole number, got nothing"),
        ([{"id": "0", "name": "road", "isthing": 0}], "id must be a whole number, got '0'"),
        ([{"id": 0, "isthing": 0}], "category 0 has no name"),
        ([{"id": 0, "name": "road"}], "isthing must be 0 or 1, got nothing"),
        ([{"id": 0, "name": "road", "isthing": "no"}], "isthing must be 0 or 1, got 'no'"),
        ([{"id": 0, "name": name, "isthing": 0} for name in "ab"], "must list each id once"),
    ],
)
def test_a_truth_needs_categories_that_are_some(tmp_path: Path, categories: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, categories=categories)


def test_a_prediction_that_calls_stuff_a_thing_is_refused(tmp_path: Path) -> None:
    others = (Category(ROAD, "road", True, (0, 0, 0)),)
    path = write_description(tmp_path / "pred.json", [], others)
    with pytest.raises(SourceError, match=r"category 0 \(road\) is not of the same kind"):
        open_coco(path, tmp_path, CATEGORIES)


def test_categories_of_a_prediction_are_checked_if_it_has_some(tmp_path: Path) -> None:
    path = write_text(tmp_path / "pred.json", {"annotations": [], "categories": None})
    assert open_coco(path, tmp_path, CATEGORIES).frames == ()
    path = write_text(tmp_path / "pred.json", {"annotations": [], "categories": [5]})
    with pytest.raises(SourceError, match="a category must be an object, got 5"):
        open_coco(path, tmp_path, CATEGORIES)


def test_category_ids_may_be_any_numbers(tmp_path: Path) -> None:
    categories = (Category(21, "road", False, (0, 0, 0)), Category(7, "car", True, (0, 0, 0)))
    path = write_description(tmp_path / "gt.json", [annotation(1, (1, 21))], categories)
    assert [category.id for category in open_coco(path, tmp_path).categories] == [21, 7]
    path = write_description(tmp_path / "gt.json", [annotation(1, (1, 0))], categories)
    with pytest.raises(SourceError, match="unknown category 0; the truth's categories are 7, 21"):
        open_coco(path, tmp_path)


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([segment(1, ROAD)], "id 7 of the map is not in the list"),
        ([segment(1, ROAD), segment(7, CAR), segment(8, CAR)], "segment 8 is listed but has no pixel"),
        ([segment(1, ROAD), segment(7, CAR), segment(7, CAR)], "must be different numbers"),
        ([segment(1, ROAD), segment(7, CAR), segment(-1, CAR)], "must be different numbers of 1"),
        ([segment(1, ROAD), segment(7, CAR), segment(0, CAR)], "must be different numbers of 1"),
        ([segment(1, ROAD), segment(7, CAR), segment(1 << 24, CAR)], "must be different numbers of 1"),
    ],
)
def test_a_map_and_a_list_that_disagree_are_not_converted(
    segments: list[LabelledSegment], message: str
) -> None:
    drawn = DrawnSet(CATEGORIES, {"a": [labels("1177", *segments)]})
    with pytest.raises(SourceError, match=rf"a/000000\.png: .*{message}"):
        drawn.read_checked(drawn.frames[0])


def test_a_description_is_not_written_where_a_folder_is(tmp_path: Path) -> None:
    for place in (tmp_path, Path(), Path("/")):
        with pytest.raises(OutputError, match="is a folder; name a file in it"):
            write_json(place, {})
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"m\.json: cannot be written"):
        write_json(tmp_path / "file" / "m.json", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_folders_whose_names_begin_alike_are_videos_of_their_own(tmp_path: Path) -> None:
    names = ("b/frame_2.png", "a/frame_2.png", "a/frame_10.png", "b/frame_1.png")
    entries = [annotation(name, (1, ROAD), file_name=name) for name in names]
    found = open_coco(write_description(tmp_path / "gt.json", entries, CATEGORIES), tmp_path)
    assert [(frame.video, frame.file_name) for frame in found.frames] == [
        ("b/frame", "b/frame_1.png"),
        ("b/frame", "b/frame_2.png"),
        ("a/frame", "a/frame_2.png"),
        ("a/frame", "a/frame_10.png"),
    ]


def test_an_image_id_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="image_id must lie inside its folder"):
        opened(tmp_path, {"image_id": "../out", "segments_info": []})
