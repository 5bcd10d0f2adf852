"""The command that composes a video set from stills."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from evaluation.video_set import open_video_set
from tests.training.compose.stills import CAR, PERSON, drawn_still
from training.data.composed import main
from training.data.packed import PackedSet
from training.data.packing import close_split, open_split, packed_ids, write_picture

BUS = 15


def _write_stills(root: Path) -> None:
    for split, vehicle in (("train", CAR), ("val", BUS)):
        still = drawn_still(objects={1: (vehicle, (100, 60, 140, 90)), 9: (PERSON, (180, 50, 195, 95))})
        open_split(root / split)
        ids = packed_ids(still.class_map, still.instance_map)
        picture = write_picture(root / split, "drawn", cv2.cvtColor(still.image, cv2.COLOR_RGB2BGR), ids)
        close_split(root / split, [picture])


def _compose(stills: Path, out: Path, processes: int) -> None:
    counts = ["--train-clips", "2", "--train-frames", "3", "--val-clips", "2", "--val-frames", "4"]
    options = ["--data", str(stills), "--out", str(out), "--processes", str(processes)]
    assert main([*options, *counts]) == 0


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stills, and two sets made of them with one process and with two."""
    root = tmp_path_factory.mktemp("composed")
    _write_stills(root / "stills")
    _compose(root / "stills", root / "one", 1)
    _compose(root / "stills", root / "two", 2)
    return root


def test_the_same_numbers_give_the_same_bytes(composed: Path) -> None:
    files = sorted(path.relative_to(composed / "one") for path in (composed / "one").rglob("*.*"))
    assert len(files) == 2 * (6 + 8) + 2
    for file in files:
        assert (composed / "one" / file).read_bytes() == (composed / "two" / file).read_bytes(), file


def test_each_clip_is_a_video_to_the_evaluation(composed: Path) -> None:
    _, videos = open_video_set(composed / "one")
    assert [video.name for video in videos] == ["clear-000", "hard-001"]
    assert [len(video.labels) for video in videos] == [4, 4]


def test_a_training_sees_the_frames_before_and_the_same_number_for_the_same_car(composed: Path) -> None:
    frames = PackedSet(composed / "one", "train", CITYSCAPES)
    assert frames.earlier(2) == [[], [0], [1, 0], [], [3], [4, 3]]
    cars = [frame.instance_map[frame.class_map == CAR] for frame in frames]
    assert len({tuple(np.unique(numbers).tolist()) for numbers in cars[:3]}) == 1


def test_objects_and_places_of_the_validation_are_not_those_of_the_training(composed: Path) -> None:
    for split, own, other in (("train", CAR, BUS), ("val", BUS, CAR)):
        shown = set().union(*PackedSet(composed / "one", split, CITYSCAPES).classes_of())
        assert own in shown
        assert other not in shown


def test_a_set_that_is_not_there_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "nowhere" in error
    assert error.count("\n") == 1
