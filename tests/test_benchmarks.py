"""The benchmarks run, on little."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from benchmarks import evaluation
from benchmarks.int8 import network_in_8_bits
from configs.loading import load_settings
from configs.resolve import resolve
from stages.features import network_input
from stages.network import load_network


@pytest.mark.slow
def test_the_plain_implementation_agrees_and_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.main(["--frames", "6", "--plain-frames", "6", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "VPQ (1, 2, 3, 4) and STQ, 6 frames of 2048x1024" in lines[-3]
    assert float(lines[-1].split(": ")[1].split()[0]) > 1.0


@pytest.mark.slow
def test_features_in_8_bits_are_near_those_in_floats() -> None:
    rng = np.random.default_rng(0)
    images = [cv2.resize(rng.integers(0, 256, (6, 12, 3), np.uint8), (128, 64)) for _ in range(4)]
    settings = resolve(load_settings("street", ["input.short_side_px=64", "model.precision=fp32"]))
    seen = network_input(images[0], (64, 128), "cpu")
    with torch.inference_mode():
        rough = network_in_8_bits(settings, images).extract(seen)
        exact = load_network(settings).extract(seen)
    for ours, theirs in zip(rough, exact, strict=True):
        off = (ours - theirs).abs().mean() / theirs.abs().mean()
        assert 0.001 < off < 0.5
