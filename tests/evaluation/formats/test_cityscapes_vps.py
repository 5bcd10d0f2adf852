"""Cityscapes-VPS: the names say clip and place in it, and a prediction is pred.json beside pan_pred/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from evaluation.formats.cityscapes_vps import (
    CityscapesVpsWriter,
    labelled_frames,
    open_cityscapes_vps,
    parse_name,
)
from evaluation.formats.labelled import LabelledFrame, Labels
from evaluation.pairing import pair_frames
from tests.evaluation.drawing import segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    annotation,
    id_at,
    labels,
    regions,
    write_description,
    write_maps,
    write_text,
)

ROAD, CAR = 0, 13
IDS = [f"0002_{7 + place:04d}_munster_000001_{4 + 5 * place:06d}" for place in range(6)]
"""The six labelled frames of clip 2."""


def frame(image_id: str) -> LabelledFrame:
    name = f"{image_id}.png"
    return LabelledFrame(video="0002", image_id=image_id, file_name=name, path=Path(name))


def some_labels(car: int) -> Labels:
    return labels("11" + str(car), segment(1, ROAD), segment(car, CAR))


def truth_in(folder: Path, ending: str, *, named: bool = True) -> Path:
    """A truth whose maps have that ending behind the image id; `named`: the description says so."""
    write_maps(folder, {image_id + ending: "115" for image_id in IDS})
    entries = [
        annotation(
            image_id,
            (1, ROAD),
            (5, CAR),
            file_name=f"{image_id}{ending if named else '_newImg8bit'}.png",
        )
        for image_id in IDS
    ]
    return write_description(folder / "gt.json", entries, CITYSCAPES)


def test_a_name_says_clip_index_city_sequence_and_frame() -> None:
    name = parse_name("0005_0025_frankfurt_000000_001736")
    assert (name.clip, name.index, name.city, name.sequence, name.frame) == (5, 25, "frankfurt", 0, 1736)
    assert str(name) == "0005_0025_frankfurt_000000_001736"


def test_six_of_the_thirty_frames_of_a_clip_are_labelled() -> None:
    assert [parse_name(image_id).position for image_id in IDS] == [4, 9, 14, 19, 24, 29]
    assert parse_name("0500_3000_ulm_000000_000029").position == 29
    assert parse_name("0001_0001_ulm_000000_000004").position == 4


@pytest.mark.parametrize("index", [6, 13])
def test_an_index_of_another_clip_is_refused(index: int) -> None:
    with pytest.raises(SourceError, match=rf"clip 2 has the labelled frames 7\.\.12, not {index}"):
        parse_name(f"0002_{index:04d}_munster_000001_000004")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "0001_0001_ulm_000000",
        "0001_0001_ulm_000000_000004_newImg8bit",
        "1_1_ulm_000000_000004",
        "../0001_0001_ulm_000000_000004",
    ],
)
def test_what_is_no_name_of_the_set_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="is no image id of Cityscapes-VPS"):
        parse_name(name)


def test_a_prediction_is_written_as_pred_json_and_pan_pred_and_read_again(tmp_path: Path) -> None:
    writer = CityscapesVpsWriter(tmp_path, CITYSCAPES)
    for image_id in IDS:
        writer.add(frame(image_id), some_labels(car=7))
    writer.close()
    assert sorted(path.name for path in (tmp_path / "pan_pred").iterdir()) == [f"{i}.png" for i in IDS]
    document = json.loads((tmp_path / "pred.json").read_text())
    assert [entry["image_id"] for entry in document["annotations"]] == IDS
    for folder in (tmp_path, tmp_path / "pan_pred"):
        found = open_cityscapes_vps(tmp_path / "pred.json", folder)
        assert [f.image_id for f in found.frames] == IDS
        assert {f.video for f in found.frames} == {"0002"}
        assert id_at(found, 0, 2) == [7] * 6
        assert all(regions(found.read(f)) == regions(some_labels(car=7)) for f in found.frames)


def test_frames_of_other_names_are_not_written_as_this_set(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="000000: is no image id of Cityscapes-VPS"):
        CityscapesVpsWriter(tmp_path, CITYSCAPES).add(frame("000000"), some_labels(car=7))


@pytest.mark.parametrize("ending", ["_final_mask", "_gtFine_color", ""])
@pytest.mark.parametrize("named", [True, False])
def test_maps_of_the_truth_are_found_by_file_name_or_image_id(
    tmp_path: Path, ending: str, named: bool
) -> None:
    found = open_cityscapes_vps(truth_in(tmp_path, ending, named=named), tmp_path)
    assert id_at(found, 0, 2) == [5] * 6


def test_a_map_that_is_nowhere_is_named_by_its_file_name(tmp_path: Path) -> None:
    found = open_cityscapes_vps(truth_in(tmp_path, "_final_mask"), tmp_path)
    missing = tmp_path / f"{IDS[3]}_final_mask.png"
    missing.unlink()
    found = open_cityscapes_vps(tmp_path / "gt.json", tmp_path)
    with pytest.raises(SourceError, match=f"{missing}: cannot be read"):
        found.read(found.frames[3])


def test_truth_and_prediction_pair_though_their_maps_have_other_names(tmp_path: Path) -> None:
    truth = open_cityscapes_vps(truth_in(tmp_path / "gt", "_final_mask"), tmp_path / "gt")
    write_maps(tmp_path / "pred" / "pan_pred", dict.fromkeys(IDS, "115"))
    for name in ("{}.png", "{}_newImg8bit.png"):
        entries = [annotation(i, (1, ROAD), (5, CAR), file_name=name.format(i)) for i in reversed(IDS)]
        path = write_description(tmp_path / "pred" / "pred.json", entries, CITYSCAPES)
        prediction = open_cityscapes_vps(path, tmp_path / "pred", truth.categories)
        pairs = pair_frames(truth, prediction)
        assert [(gt.image_id, pred.path.stem) for gt, pred in pairs] == list(zip(IDS, IDS, strict=True))


def whole_clip(num_frames: int = 30) -> DrawnSet:
    """The results of a run on clip 2; the car's id tells the frame."""
    results = [
        labels("1" + str(2 + number % 8), segment(1, ROAD), segment(2 + number % 8, CAR))
        for number in range(num_frames)
    ]
    return DrawnSet(CITYSCAPES, {"0002_drive": results})


def named_images(folder: Path) -> Path:
    return write_text(folder / "im.json", {"images": [{"id": name} for name in reversed(IDS)]})


def test_of_a_whole_clip_frames_5_to_30_get_the_names_of_the_set(tmp_path: Path) -> None:
    results = whole_clip()
    found = labelled_frames(results, named_images(tmp_path))
    assert [frame.image_id for frame in found] == IDS
    assert [frame.stem for frame in found] == [f"{number:06d}" for number in (4, 9, 14, 19, 24, 29)]
    writer = CityscapesVpsWriter(tmp_path, CITYSCAPES)
    for frame in found:
        writer.add(frame, results.read(frame))
    writer.close()
    back = open_cityscapes_vps(tmp_path / "pred.json", tmp_path)
    assert id_at(back, 0, 1) == [6, 3, 8, 5, 2, 7]


def test_results_that_are_no_whole_clip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match="video 0002_drive has 29 frames; the results of a clip are one of 30"
    ):
        labelled_frames(whole_clip(29), named_images(tmp_path))
    with pytest.raises(SourceError, match=r"im\.json: images must be a list"):
        labelled_frames(whole_clip(), write_text(tmp_path / "im.json", {}))
