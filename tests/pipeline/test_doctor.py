from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import SettingsError, WeightsError
from configs.loading import load_settings
from pipeline.doctor import describe, diagnose
from stages.source import Source, expand_sources
from tests.media import make_video


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return expand_sources([str(make_video(tmp_path / "clip.mp4", num_frames=30))])[0]


def test_a_few_frames_are_tried_and_the_rest_is_reckoned(source: Source, weights: Path) -> None:
    settings = load_settings("tiny", [f"model.weights={weights}", "run.device=cpu"])
    diagnosis = diagnose(source, settings)
    assert 0.5 < diagnosis.fps < 1000
    assert diagnosis.memory_bytes > 100_000_000
    facts = dict(describe(diagnosis))
    assert facts["size"] == "64x48"
    assert facts["expected"].endswith("s in all")
    assert f"{diagnosis.fps:.2g} frames a second" in facts["expected"]


def test_what_would_end_a_run_at_its_start_ends_the_diagnosis(source: Source, weights: Path) -> None:
    with pytest.raises(WeightsError, match=r"no/such"):
        diagnose(source, load_settings("tiny", ["model.weights=no/such.safetensors"]))
    given = [f"model.weights={weights}", "input.short_side_px=4096", "input.max_long_side_px=8192"]
    tight = load_settings("tiny", [*given, "run.placement=split", "run.memory_budget_mb=1"])
    with pytest.raises(SettingsError, match="is too little for frames of 64x48"):
        diagnose(source, tight)
