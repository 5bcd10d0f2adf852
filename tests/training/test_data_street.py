"""The street set's converter, on label files drawn here."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from training.data import street
from training.data.packed import PackedSet
from training.data.packing import describe_segments, segment_id
from training.data.street_labels import (
    RESERVED_CITIES,
    TRAIN_CITIES,
    VAL_CITIES,
    Meaning,
    Polygon,
    meaning_of,
    paint,
    split_of,
)

NAMES = ["road", "car", "cargroup", "license plate", "ego vehicle", "polegroup", "sky"]
ROAD, POLE, SKY, CAR = 0, 5, 10, 13


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def line(name: str, *corners: float) -> str:
    numbers = rectangle(*corners).reshape(-1)
    return " ".join([str(NAMES.index(name)), *(f"{number:.6f}" for number in numbers)])


def painted(*parts: tuple[str, np.ndarray], size: tuple[int, int] = (16, 32)) -> np.ndarray:
    polygons = [Polygon(NAMES.index(name), points) for name, points in parts]
    return paint(polygons, [meaning_of(name) for name in NAMES], size)


def write_raw(raw: Path, folder: str, name: str, *lines: str) -> None:
    """One picture of the set, grey, 640x640, and its labels; a name as the set's distributor gives it."""
    stem = f"{name}_leftImg8bit_png.rf.0123456789abcdef"
    for part in ("images", "labels"):
        (raw / folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(raw / folder / "images" / f"{stem}.jpg"), np.full((640, 640, 3), 128, np.uint8))
    (raw / folder / "labels" / f"{stem}.txt").write_text("\n".join(lines))
    (raw / "data.yaml").write_text(json.dumps({"names": NAMES}))


def converted_names(out: Path) -> dict[str, list[str]]:
    return {split: PackedSet(out, split, CITYSCAPES).names() for split in ("train", "val")}


def test_a_later_polygon_lies_over_an_earlier_one() -> None:
    ids = painted(("road", rectangle(0, 0, 1, 1)), ("car", rectangle(0.25, 0.25, 0.5, 0.5)))
    assert ids[0, 0] == segment_id(ROAD, 0)
    assert ids[6, 12] == segment_id(CAR, 1)
    hidden = painted(("car", rectangle(0.25, 0.25, 0.5, 0.5)), ("road", rectangle(0, 0, 1, 1)))
    assert np.unique(hidden).tolist() == [segment_id(ROAD, 0)]


def test_a_polygon_covers_the_pixels_it_was_drawn_on() -> None:
    # columns 512..1023 and rows 256..511 of 2048x1024 are a quarter of the picture: 8..15 and 4..7 of 32x16
    ids = painted(("car", rectangle(512 / 2048, 256 / 1024, 1023 / 2048, 511 / 1024)))
    rows, columns = np.nonzero(ids)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (8, 15, 4, 7)


def test_each_thing_polygon_is_an_instance_of_its_own() -> None:
    ids = painted(("car", rectangle(0, 0, 0.4, 0.9)), ("car", rectangle(0.6, 0, 0.9, 0.9)))
    assert set(np.unique(ids)) == {0, segment_id(CAR, 1), segment_id(CAR, 2)}


def test_groups_of_things_are_a_crowd_and_groups_of_stuff_are_stuff() -> None:
    assert meaning_of("cargroup") == Meaning("crowd", CAR)
    assert meaning_of("polegroup") == Meaning("stuff", POLE)
    ids = painted(("cargroup", rectangle(0, 0, 0.4, 0.9)), ("cargroup", rectangle(0.6, 0, 0.9, 0.9)))
    assert set(np.unique(ids)) == {0, segment_id(CAR, 0)}
    (crowd,) = describe_segments(ids)
    assert (crowd.category_id, crowd.iscrowd) == (CAR, 1)


def test_a_license_plate_stays_car_and_the_own_bonnet_is_void() -> None:
    whole = rectangle(0, 0, 1, 1)
    assert np.unique(painted(("car", whole), ("license plate", whole))).tolist() == [segment_id(CAR, 1)]
    assert np.unique(painted(("road", whole), ("ego vehicle", whole))).tolist() == [0]


def test_every_class_of_the_19_has_its_name_in_the_set() -> None:
    assert all(meaning_of(category.name).category_id == category.id for category in CITYSCAPES)


def test_the_split_is_by_city_and_reserved_cities_have_none() -> None:
    assert split_of("ulm") == "val"
    assert split_of("weimar") == "train"
    assert [split_of(city) for city in sorted(RESERVED_CITIES)] == [None, None]
    assert (len(TRAIN_CITIES), len(VAL_CITIES)) == (13, 3)
    assert not (RESERVED_CITIES & (TRAIN_CITIES | VAL_CITIES))
    assert not (TRAIN_CITIES & VAL_CITIES)
    with pytest.raises(SourceError, match="city 'paris' has no split"):
        split_of("paris")


def test_reserved_cities_never_come_out(tmp_path: Path) -> None:
    for folder, city in (("train", "aachen"), ("valid", "zurich"), ("test", "bremen"), ("train", "jena")):
        write_raw(tmp_path / "raw", folder, f"{city}_000001_000019", line("road", 0, 0, 0.9, 0.9))
    street.convert(tmp_path / "raw", tmp_path / "out", height=32, processes=1)
    assert converted_names(tmp_path / "out") == {
        "train": ["bremen_000001_000019"],
        "val": ["jena_000001_000019"],
    }
    written = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(city in name for name in written for city in RESERVED_CITIES)


@pytest.mark.parametrize("city", sorted(RESERVED_CITIES))
def test_a_reserved_picture_is_refused_even_when_asked_for_by_itself(tmp_path: Path, city: str) -> None:
    write_raw(tmp_path, "train", f"{city}_000001_000019", line("road", 0, 0, 0.9, 0.9))
    (picture,) = street.list_pictures(tmp_path)
    with pytest.raises(SourceError, match="is reserved and must not be converted"):
        street.convert_picture(picture, [meaning_of(name) for name in NAMES], tmp_path / "out", 32)


def test_the_same_photograph_comes_out_once(tmp_path: Path) -> None:
    for folder in ("train", "valid", "test"):
        write_raw(tmp_path / "raw", folder, "ulm_000001_000019", line("sky", 0, 0, 0.9, 0.9))
    street.convert(tmp_path / "raw", tmp_path / "out", height=32, processes=1)
    assert converted_names(tmp_path / "out") == {"train": [], "val": ["ulm_000001_000019"]}


def test_a_converted_picture_is_two_to_one_and_its_json_describes_its_png(tmp_path: Path) -> None:
    lines = line("road", 0, 0, 0.999, 0.999), line("car", 0.25, 0.25, 1023 / 2048, 511 / 1024)
    write_raw(tmp_path / "raw", "train", "bochum_000001_000019", *lines)
    street.convert(tmp_path / "raw", tmp_path / "out", height=64, processes=1)
    description = json.loads((tmp_path / "out" / "train" / "panoptic.json").read_text())
    assert (description["images"][0]["width"], description["images"][0]["height"]) == (128, 64)
    road, car = description["annotations"][0]["segments_info"]
    assert (road["id"], road["category_id"], road["iscrowd"]) == (segment_id(ROAD, 0), ROAD, 0)
    assert (car["bbox"], car["area"]) == ([32, 16, 32, 16], 512)
    assert road["area"] == 128 * 64 - 512
    png = cv2.imread(str(tmp_path / "out" / "train" / "panoptic" / "bochum_000001_000019.png"))
    assert png is not None
    assert png[20, 40].tolist() == [0, 1, CAR + 1]  # blue, green, red of 256 + CAR + 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("road 0 0 1 1 1 0", "expected `class x y x y ...`"),
        ("7 0 0 1 1 1 0", "class 7 is not among the 7 names"),
        ("0 0 0 1 1", "three or more finite points, got 4 numbers"),
        ("0 0 0 1 1 1", "three or more finite points, got 5 numbers"),
        ("0 0 0 1 1 nan 0", "three or more finite points"),
    ],
)
def test_a_broken_label_line_ends_in_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    write_raw(tmp_path / "raw", "train", "bochum_000001_000019", line("road", 0, 0, 0.9, 0.9), text)
    raw, out = str(tmp_path / "raw"), str(tmp_path / "out")
    assert street.main(["--raw", raw, "--out", out, "--height", "32", "--processes", "1"]) == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert ".txt:2: " in message
    assert message.count("\n") == 1


def test_a_folder_that_is_not_the_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert street.main(["--raw", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'data.yaml'}: no list of `names`")
