"""Runs of live sources as a user types them, and what they leave behind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.pipeline.random_network import OBJECTS

PROGRAM = Path(__file__).resolve().parent.parent.parent / "run_pipeline.py"


def options_of(source: str, output: Path, weights: Path, executor: str, *rules: str) -> list[str]:
    """The command of a run with the tiny preset."""
    given = ("run.threads=1", "run.device=cpu", "encode.run_frames=5", *OBJECTS, *rules)
    settings = [word for rule in (*given, f"model.weights={weights}") for word in ("--set", rule)]
    command = [sys.executable, str(PROGRAM), "run", source, "--output", str(output), "--config", "tiny"]
    return [*command, "--executor", executor, *settings]


def status_of(folder: Path) -> dict[str, Any]:
    """run.json of a stream."""
    status: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return status


def results_of(folder: Path) -> list[dict[str, Any]]:
    """The frames of all segments of a stream, in order."""
    segments = sorted((folder / "segments").iterdir())
    return [image for segment in segments for image in description_of(segment)["images"]]


def description_of(segment: Path) -> dict[str, Any]:
    """panoptic.json of a segment."""
    description: dict[str, Any] = json.loads((segment / "panoptic.json").read_text())
    return description
