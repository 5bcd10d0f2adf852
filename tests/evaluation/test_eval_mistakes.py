"""Whatever is wrong with the files or options of `eval` is one line on stderr, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from commands.arguments import parse_windows
from configs.errors import UsageError
from tests.evaluation.commands import CAR, Places, assert_one_line, call
from tests.evaluation.formats.sets import write_maps


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_an_id_that_only_the_map_has_is_named(places: Places, side: str) -> None:
    del places.entries[side][1]["segments_info"][1]
    assert_one_line(places.eval(), str(places.maps[side] / "2.png"), "id 5 of the map is not in the list")


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_an_id_that_only_the_list_has_is_named(places: Places, side: str) -> None:
    places.entries[side][1]["segments_info"].append({"id": 77, "category_id": CAR})
    assert_one_line(places.eval(), str(places.maps[side] / "2.png"), "segment 77 is listed but has no pixel")


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_an_unknown_category_is_named(places: Places, side: str) -> None:
    places.entries[side][1]["segments_info"][1]["category_id"] = 19
    assert_one_line(places.eval(), f"{side}.json", "2.png", "segment 5", "unknown category 19", "0..18")


def test_sizes_that_differ_are_named(places: Places) -> None:
    write_maps(places.maps["pred"], {"2": "11555"})
    assert_one_line(places.eval(), str(places.maps["pred"] / "2.png"), "size 5x1 differs from 4x1")


def test_missing_and_surplus_frames_are_named(places: Places) -> None:
    places.entries["pred"][1] |= {"image_id": 9, "file_name": "9.png"}
    assert_one_line(places.eval(), "lacks 1 frame (2) of the truth", "has 1 frame (9) that the truth has not")


def test_contradicting_names_are_refused(places: Places) -> None:
    first, second = places.entries["pred"][:2]
    first["file_name"], second["file_name"] = second["file_name"], first["file_name"]
    assert_one_line(places.eval(), "image 1 is 2.png, but 1.png in the truth")


def test_a_truth_without_annotations_is_refused(places: Places) -> None:
    places.entries["gt"] = []
    assert_one_line(places.eval(), "gt.json: has no annotation")


@pytest.mark.parametrize("value", ["5", 5.0, 5.5, None, True, -5, 0, 10**30, float("inf"), [5], {}])
@pytest.mark.parametrize("side", ["gt", "pred"])
def test_an_id_that_is_no_number_of_24_bits_is_one_line(places: Places, side: str, value: object) -> None:
    places.entries[side][1]["segments_info"][1]["id"] = value
    assert_one_line(places.eval(), side)


@pytest.mark.parametrize("value", ["13", 13.0, None, False, -1, 10**30, float("nan"), [13]])
@pytest.mark.parametrize("side", ["gt", "pred"])
def test_a_category_that_is_no_number_is_one_line(places: Places, side: str, value: object) -> None:
    places.entries[side][1]["segments_info"][1]["category_id"] = value
    assert_one_line(places.eval(), f"{side}.json", "category")


def test_an_id_that_is_listed_twice_is_one_line(places: Places) -> None:
    places.entries["pred"][0]["segments_info"] *= 2
    assert_one_line(places.eval(), "1.png", "must be different numbers")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "[1, 2]",
        "null",
        '"text"',
        "{}",
        '{"annotations": 5}',
        '{"annotations": [5], "categories": [{"id": 0, "name": "road", "isthing": 0}]}',
        '{"annotations": []}',
        '{"annotations": [], "categories": null}',
        '{"annotations": [], "categories": [null]}',
        '{"annotations": [], "categories": []}',
        '{"annotations": [], "categories": [{"id": 0}]}',
        "[" * 5000,
    ],
)
def test_a_truth_that_is_no_description_is_one_line(places: Places, content: str) -> None:
    places.eval()
    (places.root / "gt.json").write_text(content)
    for format_ in ("coco", "cityscapes-vps", "vipseg"):
        result = call(
            *("eval", "--gt", places.root / "gt.json", "--gt-dir", places.maps["gt"]),
            *("--pred", places.root / "pred.json", "--pred-dir", places.maps["pred"], "--format", format_),
        )
        assert_one_line(result, "gt.json")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda whole: whole[:-20], "not a whole PNG"),
        (lambda whole: whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "not a whole PNG"),
        (lambda whole: b"this is no PNG", "not a whole PNG"),
        (lambda whole: b"", "not a whole PNG"),
        (lambda whole: None, "No such file"),
    ],
    ids=["truncated", "flipped", "text", "empty", "missing"],
)
@pytest.mark.parametrize("side", ["gt", "pred"])
def test_a_map_that_cannot_be_read_is_one_line(
    places: Places, side: str, damage: object, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(damage)
    path = places.maps[side] / "2.png"
    content = damage(path.read_bytes())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert_one_line(places.eval(), str(path), word)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "image", [np.zeros((1, 4), np.uint8), np.zeros((1, 4), np.uint16), np.zeros((1, 4, 3), np.uint16)]
)
def test_a_map_of_another_kind_is_one_line(places: Places, image: np.ndarray) -> None:
    cv2.imwrite(str(places.maps["pred"] / "2.png"), image)
    assert_one_line(places.eval(), "2.png", "must be an 8-bit RGB PNG")


def test_a_map_with_transparency_is_read(places: Places) -> None:
    bgr = np.asarray(cv2.imread(str(places.maps["pred"] / "2.png")))
    bgra = np.dstack([bgr, np.zeros((1, 4), np.uint8)])
    cv2.imwrite(str(places.maps["pred"] / "2.png"), bgra)
    assert places.figures()["pq"]["all"]["pq"] == 1.0


# mistakes on the command line


@pytest.mark.parametrize("text", ["", "0", "abc", "1,", ",1", "1,0", "-1", "1.5", "1 2", "1;2", "1,2,x", "²"])
def test_what_is_no_list_of_windows_is_one_line(places: Places, text: str) -> None:
    assert_one_line(
        places.eval(f"--windows={text}"), "is no list of windows; use numbers of frames like 1,2,3,4"
    )
    with pytest.raises(UsageError):
        parse_windows(text)


@pytest.mark.parametrize("text", ["", "nonsense", "pq,", "pq;vpq", "PQ", "pq,mota"])
def test_an_unknown_measure_is_one_line(places: Places, text: str) -> None:
    assert_one_line(places.eval("--metrics", text), "metrics must be some of pq, vpq, stq, hota, idf1")


@pytest.mark.parametrize("text", ["", "COCO", "mots", "cityscapes"])
def test_an_unknown_format_is_one_line_with_those_there_are(places: Places, text: str) -> None:
    assert_one_line(
        places.eval("--format", text), "unknown format", "coco, cityscapes-vps, kitti-step, vipseg"
    )


@pytest.mark.parametrize("format_", ["coco", "cityscapes-vps", "vipseg"])
def test_a_format_with_a_description_needs_it(places: Places, format_: str) -> None:
    folders = ("--gt-dir", places.maps["gt"], "--pred-dir", places.maps["pred"], "--format", format_)
    assert_one_line(call("eval", *folders), f"format {format_} needs the JSON file", str(places.maps["gt"]))


def test_places_that_do_not_exist_are_named(places: Places) -> None:
    places.eval()
    given = {
        "--gt": places.root / "gt.json",
        "--gt-dir": places.maps["gt"],
        "--pred": places.root / "pred.json",
        "--pred-dir": places.maps["pred"],
    }
    for option in given:
        arguments = [part for pair in (given | {option: "/no/where"}).items() for part in pair]
        assert_one_line(call("eval", *arguments), "/no/where", "No such file")
    arguments = [part for pair in (given | {"--gt-dir": "/no/where"}).items() for part in pair]
    assert_one_line(call("eval", *arguments, "--format", "kitti-step"), "/no/where: no such folder")


def test_a_place_for_the_figures_that_cannot_be_written_is_one_line(places: Places) -> None:
    (places.root / "file").touch()
    assert_one_line(places.eval("--out", places.root / "file" / "m.json"), "m.json: cannot be written")
    assert_one_line(places.eval("--out", places.root), "is a folder; name a file in it")
    assert_one_line(places.eval("--out", ""), "is a folder; name a file in it")


def test_figures_take_the_place_of_earlier_ones(places: Places) -> None:
    (places.root / "metrics.json").write_text("old")
    assert places.figures()["pq"]["all"]["pq"] == 1.0
    assert not list(places.root.glob(".metrics.json*"))


def test_the_figures_do_not_overwrite_what_is_compared(tmp_path: Path) -> None:
    places = Places(tmp_path)
    for name in ("gt.json", "pred.json"):
        assert_one_line(places.eval("--out", tmp_path / name), "is compared itself")
