"""The benchmarks run, on little."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks import evaluation, memory
from benchmarks.int8 import network_in_8_bits
from configs.loading import load_settings
from configs.resolve import resolve
from stages.features import network_input
from stages.network import load_network
from tests.media import make_video
from tests.pipeline.random_network import write_random_weights


@pytest.mark.slow
def test_the_plain_implementation_agrees_and_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.main(["--frames", "6", "--plain-frames", "6", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "VPQ (1, 2, 3, 4) and STQ, 6 frames of 2048x1024" in lines[-3]
    assert float(lines[-1].split(": ")[1].split()[0]) > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_memory_is_flat_over_the_frames(
    tmp_path: Path, executor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_random_weights(tmp_path / "tiny.safetensors")
    clip = make_video(tmp_path / "clip.mp4", num_frames=50)
    arguments = [str(clip), "--frames", "200", "--frame-px", "128", "96", "--executor", executor]
    memory.main([*arguments, "--config", "tiny", "--set", f"model.weights={weights}", "--sleep-ms", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[4:-2]] == [str(tenth * 20) for tenth in range(1, 11)]
    assert abs(float(lines[-1].split(": ")[1].rstrip("%"))) < 10


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
