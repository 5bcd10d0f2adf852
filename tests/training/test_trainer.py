"""The loop: what a checkpoint must hold for a training to go on as if nothing had happened."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from configs.schema import Part, Settings
from models.vpsnet import PARTS
from tests.training.learning import clip_source, clips_of, random_network, tiny_settings
from training.curve import draw_curve, losses_of
from training.trainer import CHECKPOINT, CURVE, Step, Trainer

FEW_STEPS = [
    "train.steps=5",
    "train.checkpoint_every_steps=2",
    "train.batch_pictures=1",
    "train.warmup_steps=2",
    "train.crop_px=[64, 96]",
]


class Unplugged(Exception):
    """The training dies between two steps."""


def _settings(overrides: Sequence[str] = ()) -> Settings:
    return tiny_settings([*FEW_STEPS, *overrides])


def _train(
    directory: Path,
    *,
    network_seed: int = 0,
    unplug_after: int | None = None,
    overrides: Sequence[str] = (),
) -> Trainer:
    settings = _settings(overrides)
    torch.set_num_threads(settings.run.threads)
    network = random_network(settings, network_seed)
    trainer = Trainer(network, settings.train, directory, flow_stride=settings.flow.stride, bf16=False)

    def on_step(report: Step) -> None:
        if report.step == unplug_after:
            raise Unplugged

    source = clip_source(clips_of([5]), settings)
    trainer.run(source, np.ones(8), on_step)
    return trainer


def _assert_equal(one: torch.nn.Module, two: torch.nn.Module) -> None:
    values = two.state_dict()
    different = [name for name, value in one.state_dict().items() if not torch.equal(value, values[name])]
    assert different == []


@pytest.mark.slow
def test_a_training_that_was_stopped_and_resumed_ends_with_the_weights_of_one_that_ran_through(
    tmp_path: Path,
) -> None:
    through = _train(tmp_path / "through")
    with pytest.raises(Unplugged):
        _train(tmp_path / "stopped", unplug_after=2)  # one step beyond the checkpoint, which is lost
    resumed = _train(tmp_path / "stopped", network_seed=1)  # other weights, to be replaced
    assert resumed.first_step == 2
    _assert_equal(through.network, resumed.network)
    _assert_equal(through.averaged, resumed.averaged)
    steps = [json.loads(line)["step"] for line in (tmp_path / "stopped" / CURVE).read_text().splitlines()]
    assert steps == [0, 1, 2, 2, 3, 4]


@pytest.mark.slow
def test_a_frozen_stem_stays_as_it_was_while_the_rest_learns(tmp_path: Path) -> None:
    trainer = _train(tmp_path, overrides=["train.freeze_stem=true"])
    before = random_network(_settings(), 0).state_dict()
    changed = [name for name, value in trainer.network.state_dict().items() if not value.equal(before[name])]
    layers = {int(name.split(".")[2]) for name in changed if name.startswith("backbone.features.")}
    assert min(layers) == 4  # layers 0 to 3 lead to C2


@pytest.mark.slow
def test_only_the_parts_asked_for_learn(tmp_path: Path) -> None:
    trainer = _train(tmp_path, overrides=["train.two_frames=true", "train.parts=[fusion, track]"])
    before = random_network(_settings(), 0).state_dict()
    changed = [name for name, value in trainer.network.state_dict().items() if not value.equal(before[name])]
    assert {name.split(".")[0] for name in changed} == {"fusion", "track"}


def test_the_settings_know_every_part_of_the_network() -> None:
    assert get_args(Part) == PARTS


@pytest.mark.slow
def test_a_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    first = _train(tmp_path)
    before = (tmp_path / CHECKPOINT).stat().st_mtime_ns
    again = _train(tmp_path, network_seed=1)
    _assert_equal(first.averaged, again.averaged)
    assert (tmp_path / CHECKPOINT).stat().st_mtime_ns == before


def test_the_heads_of_objects_learn_at_one_step_of_so_many(tmp_path: Path) -> None:
    _train(tmp_path, overrides=["train.objects_every=2"])
    losses = losses_of(tmp_path / CURVE)
    assert losses["semantic"][0] == [0, 1, 2, 3, 4]
    assert losses["mask"][0] == [0, 2, 4]
    assert draw_curve(tmp_path / CURVE).is_file()
