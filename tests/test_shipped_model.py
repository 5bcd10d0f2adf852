"""The model that ships: it fits its preset, is small enough to ship, and has a card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.loading import load_settings
from configs.schema import Settings
from stages.messages import Panoptic

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 25 * 10**6
ROAD, CAR = 0, 13
ON_A_CPU = ["run.device=cpu", "run.threads=2", "model.precision=fp32"]


@pytest.fixture(scope="module")
def street() -> Settings:
    return load_settings("street", ON_A_CPU)


def test_the_file_is_small_enough_and_has_a_card(street: Settings) -> None:
    assert street.model.weights is not None
    path = ROOT / street.model.weights
    assert path.stat().st_size <= MAX_BYTES
    card = path.with_suffix(".md").read_text()
    for heading in ("What it was trained on", "How", "Figures", "Looked at"):
        assert f"## {heading}" in card


def test_every_part_loads_strictly(street: Settings) -> None:
    from stages.network import load_network

    fused = load_settings("street", [*ON_A_CPU, "model.fuse=true"])
    for settings in (street, fused):
        assert sum(parameter.numel() for parameter in load_network(settings).parameters()) > 5_000_000


@pytest.fixture(scope="module")
def first_frame(street: Settings) -> Panoptic:
    """What the model makes of the first frame of the demo."""
    import av

    from stages.whole_model import WholeModel
    from tests.pipeline.random_network import motorway_clip
    from training.validate import frame_alone

    clip = motorway_clip()
    if clip is None:
        pytest.skip("the clip of the demo is not installed: pip install pycsr-cv")
    with av.open(str(clip)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return WholeModel(street)(frame_alone(image), None)[0]


@pytest.mark.slow
def test_five_cars_or_more_are_told_apart_on_the_motorway(first_frame: Panoptic) -> None:
    assert sum(segment.class_index == CAR for segment in first_frame.segments) >= 5


@pytest.mark.slow
def test_the_lower_middle_of_the_motorway_is_road_or_car(first_frame: Panoptic) -> None:
    """The place is known from later frames of the clip, in the training set; the cars are not."""
    from training.validate import class_map_of

    classes = class_map_of(first_frame)[300:460, 250:600]
    assert np.isin(classes, (ROAD, CAR)).mean() > 0.8
