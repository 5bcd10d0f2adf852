"""The model that ships: it fits its preset, is small enough to ship, and has a card."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.loading import load_settings
from configs.schema import Settings

ROOT = Path(__file__).resolve().parent.parent
MAX_BYTES = 25 * 10**6


@pytest.fixture(scope="module")
def street() -> Settings:
    return load_settings("street", ["run.device=cpu", "run.threads=2", "model.precision=fp32"])


def test_the_file_is_small_enough_and_has_a_card(street: Settings) -> None:
    assert street.model.weights is not None
    path = ROOT / street.model.weights
    assert path.stat().st_size <= MAX_BYTES
    card = path.with_suffix(".md").read_text()
    for heading in ("What it was trained on", "How", "Figures", "Looked at"):
        assert f"## {heading}" in card


def test_every_part_loads_strictly(street: Settings) -> None:
    from stages.network import load_network

    assert sum(parameter.numel() for parameter in load_network(street).parameters()) > 5_000_000


@pytest.mark.slow
def test_the_road_of_the_motorway_is_road_and_there_are_cars(street: Settings) -> None:
    """The demo's first frame: its lower middle is road or car, and five cars or more are told apart."""
    import av
    import numpy as np

    from stages.network import load_network
    from tests.pipeline.random_network import motorway_clip
    from training.validate import PictureModel, class_map_of

    clip = motorway_clip()
    if clip is None:
        pytest.skip("the clip of the demo is not installed: pip install pycsr-cv")
    with av.open(str(clip)) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
    panoptic = PictureModel(load_network(street), street)(image)
    road, car = 0, 13
    classes = class_map_of(panoptic)[300:460, 250:600]
    assert np.isin(classes, (road, car)).mean() > 0.8
    assert sum(segment.category_id == car for segment in panoptic.segments) >= 5
