"""Runs of live sources as a user types them, and what they leave behind."""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from stages.results import Layout
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


def wait_for(folder: Path, state: str, timeout_s: float = 60.0, since_s: float = 0.0) -> dict[str, Any]:
    """run.json as soon as it tells that state, written at that time or later."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if (folder / "run.json").exists() and (folder / "run.json").stat().st_mtime >= since_s:
            status = status_of(folder)
            if status.get("live", {}).get("state") == state:
                return status
        time.sleep(0.1)
    raise AssertionError(f"{state} was never told: {status_of(folder)}")


def check_segments(folder: Path, *, complete: bool = True) -> int:
    """Every segment is whole, and frames and times go on from one to the next; how many there are.

    The last one has its parts, to go on from, unless the stream is complete.
    """
    segments = sorted((folder / "segments").iterdir())
    for segment in segments:
        description = description_of(segment)
        first, last = description["images"][0], description["images"][-1]
        assert int(segment.name) == first["frame_index"]
        assert len(list((segment / "panoptic").iterdir())) == len(description["images"])
        with av.open(str(Layout(segment).video)) as video:
            times = [frame.time for frame in video.decode(video=0)]
        assert len(times) == len(description["images"])
        assert times[-1] == pytest.approx(last["time_s"] - first["time_s"], abs=0.002)
        assert (segment / ".parts").exists() == (segment == segments[-1] and not complete)
    images = results_of(folder)
    assert [image["frame_index"] for image in images] == list(range(len(images)))
    assert all(earlier["pts"] < later["pts"] for earlier, later in pairwise(images))
    return len(segments)
