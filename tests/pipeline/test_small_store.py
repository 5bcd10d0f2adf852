"""Full HD in a small object store: nothing is spilled, or the figure that is needed is named at the start.

And the bytes are those of a run without a store, whatever the placement.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from benchmarks.object_store import held_bytes
from configs.errors import SettingsError
from configs.loading import load_settings
from configs.schema import Settings
from pipeline import Progress, run
from pipeline.budget import object_store_bytes
from pipeline.chaos import digests
from stages.source import expand_sources
from tests.media import make_video
from tests.pipeline.random_network import OBJECTS, moving_picture

NUM_FRAMES = 36
SIZE = (1920, 1080)
SPILL_SHARE = 0.8
"""Of the store: when more is held, Ray begins to spill."""
OVERFLOW = ("Triggering object spilling", "Spilled ", "falling back to allocating from filesystem")
"""What Ray notes when its store is too small."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = [cv2.resize(moving_picture(index), SIZE) for index in range(NUM_FRAMES)]
    path = tmp_path_factory.mktemp("source") / "large.mp4"
    return make_video(path, pictures=pictures, codec_options={"preset": "ultrafast"})


@pytest.fixture(scope="module")
def golden(clip: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    settings = settings_with(weights, 120, "run.executor=inline")
    (report,) = run(expand_sources([str(clip)]), settings, tmp_path_factory.mktemp("golden"))
    return digests(report.output)


def settings_with(weights: Path, budget_mb: int, *more: str) -> Settings:
    given = [f"model.weights={weights}", "run.executor=ray", f"run.memory_budget_mb={budget_mb}"]
    return load_settings("tiny", [*given, "run.threads=1", "run.device=cpu", *OBJECTS, *more])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("budget_mb", "more"),
    [
        (120, ["run.placement=split"]),
        (120, ["run.placement=fused", "run.replicas=2"]),
        (42, ["run.placement=fused"]),
    ],
)
def test_full_hd_in_a_small_store_is_not_spilled(
    golden: dict[str, str], clip: Path, weights: Path, tmp_path: Path, budget_mb: int, more: list[str]
) -> None:
    settings = settings_with(weights, budget_mb, *more)
    sessions: list[Path] = []
    held: list[float] = []

    def look(progress: Progress) -> None:
        sessions.append(session_folder())
        held.append(held_bytes())

    (report,) = run(expand_sources([str(clip)]), settings, tmp_path, on_progress=look)
    assert (report.status, report.num_frames) == ("complete", NUM_FRAMES)
    assert digests(report.output) == golden
    assert 12_000_000 < max(held) < SPILL_SHARE * object_store_bytes(settings)
    log = (sessions[0] / "logs" / "raylet.out").read_text()
    assert "Starting object store" in log
    assert not [line for line in log.splitlines() if any(words in line for words in OVERFLOW)]


def session_folder() -> Path:
    """Of the Ray that runs."""
    import ray

    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    return Path(node["ObjectStoreSocketName"]).parent.parent


def test_a_budget_that_is_too_small_is_refused_with_the_figure_that_is_needed(
    clip: Path, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"41 MB is too little for frames of 1920x1080 .* at least 42"):
        run(expand_sources([str(clip)]), settings_with(weights, 41), tmp_path / "out")
    assert not (tmp_path / "out").exists()
