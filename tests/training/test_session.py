"""A whole session, on a packed set of a few drawn pictures: from settings to the files it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from configs.categories import CITYSCAPES
from models.vpsnet import VPSNet
from models.weights import load_weights
from stages.network import architecture_of, load_network
from tests.training.learning import clips_of, tiny_settings
from tests.training.packing import pack
from training.data.packed import PackedSet
from training.session import TrainEvents, TrainingSet, picture_weights, train
from training.trainer import Step

SETTINGS = [
    "train.steps=3",
    "train.batch_pictures=2",
    "train.warmup_steps=1",
    "train.crop_px=[64, 96]",
    "train.loader_processes=1",
]


def test_the_pictures_of_a_set_are_drawn_as_often_as_it_counts(tmp_path: Path) -> None:
    (clip,) = clips_of([24])
    pack(clip[:2], tmp_path / "one" / "train", CITYSCAPES)
    pack(clip[2:5], tmp_path / "other" / "train", CITYSCAPES)
    data = [TrainingSet(tmp_path / "one"), TrainingSet(tmp_path / "other", 4)]
    weights = picture_weights(
        data, [PackedSet(part.root, "train", CITYSCAPES) for part in data], rare_below=0.0
    )
    assert weights.tolist() == [1, 1, 4, 4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("two_frames", [False, True])
def test_a_session_leaves_weights_that_load_a_curve_and_the_validation(
    tmp_path: Path, two_frames: bool
) -> None:
    (clip,) = clips_of([24])
    pack(clip[:3], tmp_path / "set" / "train", CITYSCAPES)
    pack(clip[3:5], tmp_path / "set" / "val", CITYSCAPES)
    settings = tiny_settings([*SETTINGS, f"train.two_frames={str(two_frames).lower()}"])
    origins: list[str] = []
    steps: list[Step] = []
    judged: list[tuple[int, int]] = []
    events = TrainEvents(
        on_start=origins.append, on_step=steps.append, on_picture=lambda done, of: judged.append((done, of))
    )

    report = train(settings, [TrainingSet(tmp_path / "set")], tmp_path / "out", events)

    assert origins == ["random weights"]
    assert [step.step for step in steps] == [0, 1, 2]
    assert ("track" in steps[0].losses) == two_frames
    assert judged == [(1, 2), (2, 2)]
    assert report.num_pictures == 2
    load_weights(VPSNet(architecture_of(settings)), report.weights)
    chosen = settings.model.model_copy(update={"weights": str(report.weights)})
    load_network(settings.model_copy(update={"model": chosen}))
    assert report.curve == tmp_path / "out" / "curve.png"
    curve = cv2.imread(str(report.curve))
    assert curve is not None
    assert curve.std() > 5  # something is drawn
    validation = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert validation["pictures"] == 2
    assert {"road", "sky"} <= set(validation["classes"])
