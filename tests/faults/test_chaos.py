"""Workers killed from outside at random moments, with the real stages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configs.loading import load_settings
from pipeline.chaos import chaos, differences
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures

NUM_KILLS = int(os.environ.get("NUM_KILLS", "12"))
"""How many workers are killed: CI has 12, the longer proof 100."""


@pytest.mark.slow
@pytest.mark.timeout(200 + 20 * NUM_KILLS)
def test_kills_at_random_moments_change_no_byte(tmp_path: Path, weights: Path) -> None:
    names, num_pictures = ("one", "two"), max(60, NUM_KILLS)
    sources = expand_sources([str(write_moving_pictures(tmp_path / name, num_pictures)) for name in names])
    given = [f"model.weights={weights}", "run.threads=1", "run.device=cpu", "encode.run_frames=5", *OBJECTS]
    settings = load_settings("tiny", given)
    report = chaos(sources, settings, tmp_path / "out", kills=NUM_KILLS, seed=3)
    assert [(stream.status, stream.num_frames) for stream in report.reports] == [
        ("complete", num_pictures)
    ] * 2
    assert report.num_killed == NUM_KILLS
    assert any(stream.restarts for stream in report.reports)
    assert report.different == []


def test_whatever_is_not_the_same_is_named(tmp_path: Path) -> None:
    for folder, files in (("a", {"x": "1", "y": "1", "run.json": "1"}), ("b", {"x": "2", "z": "1"})):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    assert differences(tmp_path / "a", tmp_path / "b") == ["x", "y", "z"]
    assert differences(tmp_path / "a", tmp_path / "a") == []
