"""A node of a cluster that goes away: what was under way on it is made again elsewhere, to the byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.chaos import differences
from tests.pipeline.random_network import write_moving_pictures

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_a_node_that_goes_away_changes_no_byte_nor_does_a_ray_client(tmp_path: Path, weights: Path) -> None:
    pictures = [str(write_moving_pictures(tmp_path / name, 40)) for name in ("one", "two")]
    program = [sys.executable, "-X", "faulthandler", "-m", "tests.faults.losing_a_node"]
    arguments = [str(tmp_path), str(weights), *pictures]
    result = subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert result.returncode == 0, result.stderr
    told = [line.split() for line in result.stdout.splitlines() if line.startswith(("spread", "client"))]
    assert [(status, frames) for _, status, frames, _ in told] == [("complete", "40")] * 4
    restarts = {name: [int(words[3]) for words in told if words[0] == name] for name in ("spread", "client")}
    assert sum(restarts["spread"]) > 0
    assert sum(restarts["client"]) == 0
    assert differences(tmp_path / "alone", tmp_path / "spread") == []
    assert differences(tmp_path / "alone", tmp_path / "client") == []
