"""`convert` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import Result

from configs.categories import CITYSCAPES
from evaluation.formats.coco import CocoWriter
from evaluation.formats.kitti_step import KittiStepWriter
from tests.evaluation.commands import CAR, PERSON, ROAD, Places, assert_one_line, call
from tests.evaluation.drawing import segment
from tests.evaluation.formats.sets import DrawnSet, labels, write, write_description

TRUTH = DrawnSet(
    CITYSCAPES,
    {
        "a": [labels("1155", segment(1, ROAD), segment(5, CAR))] * 3,
        "b": [labels("1068", segment(1, ROAD), segment(6, PERSON), segment(8, CAR, crowd=True))] * 2,
    },
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_results_become_another_format_and_come_back(tmp_path: Path) -> None:
    write(TRUTH, CocoWriter(tmp_path / "coco", CITYSCAPES))
    coco = ("--from-json", tmp_path / "coco" / "panoptic.json", "--from-dir", tmp_path / "coco" / "panoptic")
    result = call("convert", *coco, "--to", "vipseg", "--output", tmp_path / "vipseg")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"5 frames: {tmp_path / 'vipseg'}" in result.stdout
    vipseg = ("--from-json", tmp_path / "vipseg" / "pred.json", "--from-dir", tmp_path / "vipseg")
    result = call("convert", "--from", "vipseg", *vipseg, "--to", "coco", "--output", tmp_path / "back")
    assert (result.exit_code, result.stderr) == (0, "")
    for name in ("panoptic.json", "panoptic/a/000000.png", "panoptic/b/000001.png"):
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "coco" / name).read_bytes()


def test_numbers_stay_once_they_are_by_first_appearance(tmp_path: Path) -> None:
    write(TRUTH, KittiStepWriter(tmp_path / "step"))
    step = ("--from", "kitti-step", "--from-dir", tmp_path / "step")
    assert call("convert", *step, "--to", "coco", "--output", tmp_path / "coco").exit_code == 0
    coco = ("--from-json", tmp_path / "coco" / "panoptic.json", "--from-dir", tmp_path / "coco" / "panoptic")
    assert call("convert", *coco, "--to", "kitti-step", "--output", tmp_path / "back").exit_code == 0
    names = [path.relative_to(tmp_path / "step") for path in (tmp_path / "step").glob("*/*.png")]
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / "step" / name).read_bytes()


def test_what_is_converted_is_not_overwritten(tmp_path: Path) -> None:
    write(TRUTH, CocoWriter(tmp_path / "run", CITYSCAPES))
    coco = ("--from-json", tmp_path / "run" / "panoptic.json", "--from-dir", tmp_path / "run" / "panoptic")
    before = (tmp_path / "run" / "panoptic.json").read_bytes()
    for output in (
        tmp_path / "run",
        tmp_path / "run" / "panoptic",
        tmp_path,
        tmp_path / "run" / "panoptic.json",
    ):
        assert_one_line(call("convert", *coco, "--to", "coco", "--output", output), "name another --output")
    assert (tmp_path / "run" / "panoptic.json").read_bytes() == before


@pytest.mark.parametrize(
    ("to", "file"),
    [
        ("coco", "panoptic/a/000000.png"),
        ("kitti-step", "a/000000.png"),
        ("vipseg", "pan_pred/a/000000.png"),
        ("vipseg-masks", "a/000000.png"),
        ("mots", "a/000000.png"),
        ("mots-txt", "a.txt"),
    ],
)
def test_every_format_is_written(tmp_path: Path, to: str, file: str) -> None:
    write(TRUTH, KittiStepWriter(tmp_path / "step"))
    result = call(
        *("convert", "--from", "kitti-step", "--from-dir", tmp_path / "step"),
        *("--to", to, "--output", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / file).stat().st_size > 0


def converted(places: Places, *more: object, out: str = "out") -> Result:
    path = write_description(places.root / "gt.json", places.entries["gt"], CITYSCAPES)
    given = ("--from-json", path, "--from-dir", places.maps["gt"], "--output", places.root / out)
    return call("convert", *given, *more)


@pytest.mark.parametrize("to", ["coco", "kitti-step", "vipseg", "mots-txt"])
def test_labels_that_disagree_with_their_list_are_not_converted(places: Places, to: str) -> None:
    places.entries["gt"][1]["segments_info"].append({"id": 77, "category_id": CAR})
    assert_one_line(converted(places, "--to", to), "2.png", "segment 77 is listed but has no pixel")
    places.entries["gt"][1]["segments_info"] = []
    assert_one_line(converted(places, "--to", to, out="other"), "2.png", "id 5 of the map is not in the list")


def test_mistakes_of_a_conversion_are_one_line(places: Places) -> None:
    assert_one_line(converted(places, "--to", "voc"), "unknown format 'voc'", "vipseg-masks", "mots-txt")
    assert_one_line(converted(places, "--to", "coco", "--from", "mots-txt"), "unknown format 'mots-txt'")
    assert_one_line(converted(places, "--to", "cityscapes-vps"), "1: is no image id of Cityscapes-VPS")
    (places.root / "file").touch()
    for to in ("coco", "kitti-step", "mots-txt"):
        assert_one_line(converted(places, "--to", to, out="file"), "is not an empty folder")
        assert_one_line(converted(places, "--to", to, out="file/out"), "cannot be written")


def test_a_name_that_leads_out_of_the_folder_is_not_converted(places: Places) -> None:
    places.entries["gt"][0]["video_id"] = "../../elsewhere"
    assert_one_line(converted(places, "--to", "kitti-step"), "video_id must lie inside its folder")
