"""Workers killed from outside at random moments, with the real stages."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.loading import load_settings
from pipeline.chaos import chaos, differences
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures


@pytest.mark.slow
def test_twelve_kills_change_no_byte(tmp_path: Path, weights: Path) -> None:
    names = ("one", "two")
    sources = expand_sources([str(write_moving_pictures(tmp_path / name, 60)) for name in names])
    given = [f"model.weights={weights}", "run.threads=1", "run.device=cpu", "encode.run_frames=5", *OBJECTS]
    settings = load_settings("tiny", given)
    report = chaos(sources, settings, tmp_path / "out", kills=12, seed=3)
    assert [(stream.status, stream.num_frames) for stream in report.reports] == [("complete", 60)] * 2
    assert report.num_killed == 12
    assert any(stream.restarts for stream in report.reports)
    assert report.different == []


def test_whatever_is_not_the_same_is_named(tmp_path: Path) -> None:
    for folder, files in (("a", {"x": "1", "y": "1", "run.json": "1"}), ("b", {"x": "2", "z": "1"})):
        (tmp_path / folder).mkdir()
        for name, text in files.items():
            (tmp_path / folder / name).write_text(text)
    assert differences(tmp_path / "a", tmp_path / "b") == ["x", "y", "z"]
    assert differences(tmp_path / "a", tmp_path / "a") == []
