"""Six streams share two replicas, and one of them is damaged: each ends as it does by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.loading import load_settings
from pipeline import run
from pipeline.chaos import digests
from stages.source import expand_sources
from tests.media import damage_packet, make_text, make_video
from tests.pipeline.random_network import (
    OBJECTS,
    moving_picture,
    write_moving_pictures,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
LENGTHS = (20, 13, 31, 8, 24)
"""Frames of the five that are sound."""


def video(path: Path, num_frames: int) -> Path:
    """Each begins its movement at another place."""
    return make_video(path, pictures=[moving_picture(num_frames + index) for index in range(num_frames)])


def video_with_a_damaged_packet(folder: Path) -> Path:
    path = video(folder / "damaged.mp4", 22)
    damage_packet(path, 9)
    return path


def pictures_of_which_one_is_damaged(folder: Path) -> Path:
    pictures = write_moving_pictures(folder / "damaged", 22)
    content = bytearray((pictures / "009.png").read_bytes())
    content[300:320] = b"\xff" * 20  # its header is sound
    (pictures / "009.png").write_bytes(content)
    return pictures


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sound")
    return [video(folder / f"sound{number}.mp4", length) for number, length in enumerate(LENGTHS)]


def run_all(sources: list[Path], weights: Path, output: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "run_pipeline.py", "run", *map(str, sources), "--output", str(output)]
    command += ["--executor", "ray", "--replicas", "2", "--set", "run.streams_at_once=6"]
    command += ["--config", "tiny", *(f"--set={override}" for override in overrides(weights))]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def overrides(weights: Path) -> list[str]:
    return [f"model.weights={weights}", "run.threads=1", "run.device=cpu", *OBJECTS]


def end_of(folder: Path) -> dict[str, Any]:
    """How a stream ended, by its run.json."""
    report = json.loads((folder / "run.json").read_text())
    return {
        key: report[key]
        for key in ("status", "error", "warnings", "frames", "lost_frames", "corrupt_packets")
    }


@pytest.mark.parametrize(
    ("damage", "status", "frames", "exit_code"),
    [(video_with_a_damaged_packet, "complete", 21, 0), (pictures_of_which_one_is_damaged, "failed", 9, 2)],
)
def test_each_of_six_streams_ends_as_it_does_by_itself(
    sound: list[Path],
    weights: Path,
    tmp_path: Path,
    damage: Callable[[Path], Path],
    status: str,
    frames: int,
    exit_code: int,
) -> None:
    sources = [*sound[:2], damage(tmp_path), *sound[2:]]
    result = run_all(sources, weights, tmp_path / "out")
    assert result.returncode == exit_code, result.stderr
    settings = load_settings("tiny", [*overrides(weights), "run.executor=inline"])
    for source in sources:
        (alone,) = run(expand_sources([str(source)]), settings, tmp_path / "alone")
        together = tmp_path / "out" / alone.stream
        assert digests(together) == digests(alone.output)
        assert end_of(together) == end_of(alone.output)
    damaged = end_of(tmp_path / "out" / "damaged")
    assert (damaged["status"], damaged["frames"]) == (status, frames)


def test_a_source_that_cannot_be_opened_is_refused_before_any_of_six_begins(
    sound: list[Path], weights: Path, tmp_path: Path
) -> None:
    result = run_all([*sound, make_text(tmp_path / "damaged.mp4")], weights, tmp_path / "out")
    assert result.returncode == 2, result.stderr
    assert "damaged.mp4: is not a video that can be read" in result.stderr
    assert not (tmp_path / "out").exists()
