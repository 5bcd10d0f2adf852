"""A run on a video that a server sends, as a user types it: cut off, taken up again, and with a password."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.chaos import differences
from tests.http_server import Behaviour, serving
from tests.media import make_video
from tests.pipeline.random_network import OBJECTS

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "s3cret"


def run(source: str, output: Path, weights: Path, *options: str) -> subprocess.CompletedProcess[str]:
    rules = ["run.threads=1", "run.device=cpu", "encode.run_frames=5", "input.read_timeout_s=2", *OBJECTS]
    settings = [word for rule in (*rules, f"model.weights={weights}") for word in ("--set", rule)]
    program = [sys.executable, str(ROOT / "run_pipeline.py"), "run", source, "--output", str(output)]
    program += ["--config", "tiny", "--executor", "local", *settings, *options]
    return subprocess.run(program, capture_output=True, text=True, timeout=100)


@pytest.mark.slow
def test_a_run_that_the_server_cut_off_is_resumed_and_tells_no_password(
    tmp_path: Path, weights: Path
) -> None:
    (tmp_path / "www").mkdir()
    first = {"movflags": "+faststart"}
    path = make_video(
        tmp_path / "www" / "clip.mp4", num_frames=40, size=(128, 192), format_options=first, audio_codec="aac"
    )
    assert run(str(path), tmp_path / "file", weights).returncode == 0
    behaviour = Behaviour(user_password=f"me:{PASSWORD}", stall_after=path.stat().st_size // 2)
    with serving(tmp_path / "www", behaviour) as host:
        address = f"http://me:{PASSWORD}@{host}/clip.mp4?key={PASSWORD}"
        cut_off = run(address, tmp_path / "http", weights)
        behaviour.stall_after = None
        resumed = run(address, tmp_path / "http", weights, "--resume")
    assert cut_off.returncode == 1
    assert "nothing came for 2 s); --resume goes on" in cut_off.stderr
    assert resumed.returncode == 0, resumed.stderr
    assert differences(tmp_path / "file", tmp_path / "http") == []
    told = json.loads((tmp_path / "http" / "clip" / "run.json").read_text())
    assert told["source"]["path"] == f"http://{host}/clip.mp4?..."
    for result in (cut_off, resumed):
        assert PASSWORD not in result.stdout + result.stderr
    for file in (tmp_path / "http").rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
