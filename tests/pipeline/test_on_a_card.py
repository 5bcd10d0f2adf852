"""Hosts that share one graphics card: fused, split, or two of each stage on a half of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from configs.loading import load_settings
from configs.schema import Settings
from pipeline import run
from pipeline.chaos import digests
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
NUM_FRAMES = 24


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_pictures(tmp_path_factory.mktemp("source") / "moving", NUM_FRAMES)


def settings_with(weights: Path, *more: str) -> Settings:
    given = [f"model.weights={weights}", "run.threads=1", "run.device=cuda", "run.batch_frames=2"]
    return load_settings("tiny", [*given, *OBJECTS, *more])


@pytest.fixture(scope="module")
def golden(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("golden")
    settings = settings_with(weights, "run.executor=inline")
    (report,) = run(expand_sources([str(pictures)]), settings, output)
    assert (report.status, report.num_frames) == ("complete", NUM_FRAMES)
    return digests(report.output)


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize(("placement", "replicas"), [("auto", 1), ("fused", 1), ("split", 1), ("fused", 2)])
def test_every_placement_on_a_card_writes_the_same_bytes(
    golden: dict[str, str],
    weights: Path,
    pictures: Path,
    tmp_path: Path,
    executor: str,
    placement: str,
    replicas: int,
) -> None:
    where = (f"run.executor={executor}", f"run.placement={placement}", f"run.replicas={replicas}")
    (report,) = run(expand_sources([str(pictures)]), settings_with(weights, *where), tmp_path)
    assert report.status == "complete"
    assert digests(report.output) == golden
