"""Classes of one's own, from a packed set through a training to the results of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import Result

from configs.categories import CITYSCAPES, Category
from configs.errors import SourceError
from configs.loading import load_settings
from models.vpsnet import VPSNet
from models.weights import load_weights
from stages.network import architecture_of
from tests.evaluation.commands import assert_one_line, call
from tests.media import make_video
from tests.pipeline.random_network import write_random_weights
from tests.training.packing import BOTTLE, BOX, CONVEYOR, OWN, TIN, WALL, own_clip, pack
from training.data.generated import ClipShape, generate_clip
from training.data.own_categories import own_categories
from training.data.packed import PackedSet, truth_of
from training.start import first_network

SMALL = ClipShape(height_px=64, width_px=96, num_frames=4, min_objects=3)
"""Seed 5 shows all five classes."""
TINY = [
    "run.device=cpu",
    "run.threads=1",
    "train.steps=2",
    "train.batch_pictures=2",
    "train.loader_processes=0",
]
Json = dict[str, Any]


def options(settings: Sequence[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def write_set(root: Path, categories: Sequence[Category] = OWN) -> Path:
    """Three pictures to learn from and one to judge by."""
    clip = own_clip(5, SMALL)
    pack(clip[:3], root / "train", categories)
    pack(clip[3:], root / "val", categories)
    return root


def change(path: Path, edit: Callable[[Json], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def train_tiny(data: Path, output: Path, *more: object) -> Result:
    return call("train", "--data", data, "--config", "tiny", "--output", output, *options(TINY), *more)


# the set


def test_inside_a_class_is_its_position_and_outside_it_has_its_own_id(tmp_path: Path) -> None:
    pictures = PackedSet(write_set(tmp_path), "train", OWN)
    assert pictures.classes_of()[0] == {CONVEYOR, WALL, BOX, TIN, BOTTLE}
    assert (pictures[0].class_map == own_clip(5, SMALL)[0].class_map).all()
    _, segments = truth_of(pictures[0], OWN)
    assert {segment.category_id for segment in segments} == {7, 1, 900, 12, 3}


def test_the_categories_are_those_that_the_set_lists(tmp_path: Path) -> None:
    assert own_categories(write_set(tmp_path), CITYSCAPES) == OWN


def test_classes_that_the_model_knows_already_keep_its_order_and_colours(tmp_path: Path) -> None:
    grey = [replace(category, color=(9, 9, 9)) for category in reversed(OWN)]
    assert own_categories(write_set(tmp_path, grey), OWN) == OWN


def test_categories_without_colour_get_different_ones(tmp_path: Path) -> None:
    write_set(tmp_path)
    change(tmp_path / "train" / "panoptic.json", lambda d: [c.pop("color") for c in d["categories"]])
    colours = {category.color for category in own_categories(tmp_path, CITYSCAPES)}
    assert len(colours - {(0, 0, 0)}) == 5


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda c: c[1].update(name="box"), "2 categories have the name 'box'; give each its own"),
        (lambda c: [entry.update(isthing=0) for entry in c], "no category is a thing"),
        (lambda c: [entry.update(isthing=1) for entry in c], "no category is stuff; add one"),
        (lambda c: c[1].update(id=7), "must list each id once"),
        (lambda c: c[1].update(color=[0, 0, 256]), "colour of 'wall' must be three numbers of 0..255"),
    ],
)
def test_categories_that_no_model_can_tell_apart_are_refused(
    tmp_path: Path, edit: Callable[[list[Json]], object], complaint: str
) -> None:
    write_set(tmp_path)
    change(tmp_path / "train" / "panoptic.json", lambda d: edit(d["categories"]))
    with pytest.raises(SourceError, match=rf"train/panoptic\.json: .*{complaint}"):
        own_categories(tmp_path, CITYSCAPES)


# the start


def test_a_start_with_the_same_classes_is_the_file_to_the_last_bit(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path / "w.safetensors")
    settings = load_settings("tiny")
    expected = VPSNet(architecture_of(settings))
    load_weights(expected, weights)
    network, line = first_network(settings, weights, settings)
    assert line.endswith("all classes carried over")
    assert all(torch.equal(v, expected.state_dict()[n]) for n, v in network.state_dict().items())


# mistakes


def test_a_mistake_in_a_set_is_one_line_with_the_file_and_the_remedy(tmp_path: Path) -> None:
    def complain(name: str, split: str, edit: Callable[[Json], object], *words: str) -> None:
        root = write_set(tmp_path / name)
        change(root / split / "panoptic.json", edit)
        assert_one_line(train_tiny(root, tmp_path / "out"), str(root / split / "panoptic.json"), *words)

    first = "annotations"
    complain(
        *("renamed", "val", lambda d: d["categories"][3].update(name="can")),
        *("category 12 is 'can' (thing), but the model's is 'tin' (thing)", "list the same categories"),
    )
    complain("fewer", "val", lambda d: d["categories"].pop(), "unknown category 3", "1, 7, 12, 900")
    complain(
        "unknown", "train", lambda d: d[first][0]["segments_info"][0].update(category_id=5), "category 5"
    )
    complain("empty", "train", lambda d: d.update(images=[], annotations=[]), "no labelled picture", "list")
    complain("twice", "train", lambda d: d["categories"][1].update(name="box"), "'box'; give each its own")


def test_two_sets_with_different_categories_are_refused(tmp_path: Path) -> None:
    one = write_set(tmp_path / "one")
    other = write_set(tmp_path / "other", [*OWN[:4], replace(OWN[4], name="flask")])
    result = train_tiny(one, tmp_path / "out", "--data", other)
    assert_one_line(
        result, str(other / "train" / "panoptic.json"), "'flask'", "'bottle'", "all splits and sets"
    )


def test_a_model_of_other_classes_is_not_validated_on_the_set(tmp_path: Path) -> None:
    result = call("validate", "--data", write_set(tmp_path), "--config", "tiny")
    assert_one_line(result, "val/panoptic.json", "category 0 is not listed", "--config")


def test_a_start_that_is_none_is_one_line(tmp_path: Path) -> None:
    data, out = write_set(tmp_path / "set"), tmp_path / "out"
    call_from = ("train", "--data", data, "--output", out, "--from")
    assert_one_line(call(*call_from, "tiny"), "model.weights is null", "--config tiny")
    assert_one_line(call(*call_from, "street", "--config", "tiny"), "leave --config away")
    assert_one_line(call(*call_from, tmp_path / "no.safetensors"), "no.safetensors: no such weights file")
    (tmp_path / "text.safetensors").write_text("no weights")
    assert_one_line(call(*call_from, tmp_path / "text.safetensors"), "is no whole safetensors file")
    tiny = write_random_weights(tmp_path / "tiny.safetensors")
    assert_one_line(call(*call_from, tiny), "the model's settings ask for", "config.yaml of that model")


# from a set to results


def test_a_trained_model_runs_with_the_config_beside_it(tmp_path: Path) -> None:
    """The weights are hardly better than random: only names, ids and files are looked at."""
    data, out = write_set(tmp_path / "set"), tmp_path / "out"
    weights = write_random_weights(tmp_path / "start.safetensors")
    trained = train_tiny(data, out, "--from", weights)
    assert trained.exit_code == 0, trained.output
    assert re.search(
        r"start\.safetensors: (\d+) of \d+ tensors; classes wall carried over; conve", trained.stdout
    )
    config = out / "config.yaml"
    assert load_settings(str(config)).categories == OWN

    one_thread = options(["run.threads=1", "run.device=cpu"])
    validated = call("validate", "--data", data, "--config", config, *one_thread)
    assert validated.exit_code == 0, validated.output
    assert validated.stdout.splitlines()[-1] in trained.stdout  # PQ and mIoU of the training's end

    clip = make_video(tmp_path / "clip.mp4", pictures=[picture.image for picture in own_clip(5, SMALL)])
    ran = call("run", clip, "--config", config, "--executor", "inline", "--output", tmp_path / "results")
    assert ran.exit_code == 0, ran.output
    described = json.loads((tmp_path / "results" / "clip" / "panoptic.json").read_text())
    assert [(c["id"], c["name"], c["isthing"]) for c in described["categories"]] == [
        *((7, "conveyor", 0), (1, "wall", 0), (900, "box", 1), (12, "tin", 1), (3, "bottle", 1))
    ]
    found = {s["category_id"] for a in described["annotations"] for s in a["segments_info"]}
    assert found
    assert found <= {7, 1, 900, 12, 3}

    played = call("eval-run", "--data", data, "--config", config, "--executor", "inline", "--windows", "1")
    assert played.exit_code == 0, played.output
    assert "+0.000" in played.stdout


def test_a_checkpoint_of_other_classes_is_named(tmp_path: Path) -> None:
    clip = generate_clip(5, SMALL)
    for split, part in (("train", clip[:3]), ("val", clip[3:])):
        pack(part, tmp_path / "street" / split, CITYSCAPES)
    out = tmp_path / "out"
    assert train_tiny(write_set(tmp_path / "five"), out).exit_code == 0
    assert_one_line(train_tiny(tmp_path / "street", out), "checkpoint.pt", "name another --output")


STREET = [
    *("run.device=cpu", "run.threads=2", "model.precision=fp32", "input.short_side_px=128"),
    *("train.steps=60", "train.batch_pictures=4", "train.warmup_steps=5", "train.learning_rate=1e-3"),
    *("train.base_height_px=128", "train.crop_px=[128, 192]", "train.scale_range=[0.9, 1.1]"),
    *("train.ema_decay=0.9", "train.regions_per_picture=64", "train.loader_processes=0"),
    "detect.proposals=100",
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_street_model_learns_five_classes_of_a_factory(tmp_path: Path) -> None:
    """In 60 steps from PQ 0.00 to 0.88; without the start they reach 0.30, and no thing."""
    shape = ClipShape(num_frames=2, min_objects=3, object_scale=1.25, min_visible_px=100)
    for split, seeds in (("train", range(30)), ("val", range(1000, 1008))):
        pack((p for seed in seeds for p in own_clip(seed, shape)), tmp_path / "set" / split, OWN)
    arguments = ["--from", "street", "--output", tmp_path / "out", *options(STREET)]
    result = call("train", "--data", tmp_path / "set", *arguments)
    assert result.exit_code == 0, result.output
    validation = json.loads((tmp_path / "out" / "validation.json").read_text())
    assert set(validation["classes"]) == {"conveyor", "wall", "box", "tin", "bottle"}
    assert validation["groups"]["all"]["pq"] >= 0.75
    assert validation["groups"]["things"]["pq"] >= 0.65

    clip = make_video(tmp_path / "clip.mp4", pictures=[p.image for p in own_clip(1001, shape)])
    out = tmp_path / "results"
    ran = call(
        "run", clip, "--config", tmp_path / "out" / "config.yaml", "--executor", "local", "--output", out
    )
    assert ran.exit_code == 0, ran.output
    lines = (out / "clip" / "tracks.jsonl").read_text().splitlines()
    tracked = {json.loads(line)["class"] for line in lines}
    assert tracked
    assert tracked <= {"box", "tin", "bottle"}
