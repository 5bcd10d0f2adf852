"""Runs on an RTSP stream that are stopped or killed, and gone on with."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.rtsp_server import RtspServer, needs_rtsp, write_pictures
from tests.live.running import check_segments, description_of, options_of, results_of, status_of, wait_for
from tests.pipeline.random_network import moving_picture

pytestmark = [needs_rtsp, pytest.mark.slow]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [moving_picture(index % 90) for index in range(180)]
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures", images=images)


def stop_after(command: list[str], folder: Path, seconds: float, how: signal.Signals) -> str:
    """Let it write for so long, then stop it; what it told."""
    begun = time.time()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        wait_for(folder, "live", since_s=begun)
        time.sleep(seconds)
        run.send_signal(how)
        _, told = run.communicate(timeout=60)
    return told


def gaps_of(folder: Path) -> list[dict[str, Any]]:
    segments = sorted((folder / "segments").iterdir())
    return [gap for segment in segments for gap in description_of(segment).get("gaps", [])]


def identities_of(segment: Path) -> set[int]:
    lines = map(json.loads, (segment / "tracks.jsonl").read_text().splitlines())
    return {line["track_id"] for line in lines if "track_id" in line}


@pytest.mark.parametrize(("executor", "how"), [("local", signal.SIGKILL), ("ray", signal.SIGINT)])
def test_a_stream_goes_on_behind_a_gap(
    tmp_path: Path, pictures: Path, weights: Path, executor: str, how: signal.Signals
) -> None:
    folder = tmp_path / "cam"
    with RtspServer(pictures) as server:
        command = options_of(server.address, tmp_path, weights, executor, "encode.segment_s=3")
        stop_after(command, folder, 5, how)
        num_before = status_of(folder).get("frames", 0)  # a kill leaves no count
        stop_after([*command, "--resume"], folder, 5, signal.SIGINT)
    status, images = status_of(folder), results_of(folder)
    assert status["status"] == "interrupted"
    assert status["frames"] == len(images) > num_before
    assert check_segments(folder, complete=False) == status["live"]["segments"]
    assert status["live"]["connections"] >= 2
    assert status["live"]["gaps"] == len(gaps_of(folder))
    (gap,) = (gap for gap in gaps_of(folder) if gap["reason"] == "the process that read it was started anew")
    before, behind = images[gap["before_frame"] - 1], images[gap["before_frame"]]
    assert behind["time_s"] - before["time_s"] == pytest.approx(gap["duration_s"], abs=0.5)
    segment = folder / "segments" / f"{gap['before_frame']:06d}"
    earlier = {name for s in segment.parent.iterdir() if s.name < segment.name for name in identities_of(s)}
    assert identities_of(segment) & earlier, "the memory goes on"
    assert gap["objects"]["before"] >= gap["objects"]["found_again"]


def test_what_was_killed_before_a_run_was_written_begins_anew(
    tmp_path: Path, pictures: Path, weights: Path
) -> None:
    with RtspServer(pictures) as server:
        command = options_of(server.address, tmp_path, weights, "local", "encode.run_frames=500")
        command += ["--end", "8"]
        stop_after(command, tmp_path / "cam", 3, signal.SIGKILL)
        done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert check_segments(tmp_path / "cam") == 1
    assert gaps_of(tmp_path / "cam") == []


def test_results_without_a_place_to_go_on_from_are_refused_and_kept(
    tmp_path: Path, pictures: Path, weights: Path
) -> None:
    with RtspServer(pictures) as server:
        command = options_of(server.address, tmp_path, weights, "local")
        stop_after(command, tmp_path / "cam", 3, signal.SIGINT)
        before = results_of(tmp_path / "cam")
        shutil.rmtree(tmp_path / "cam" / "segments" / "000000" / ".parts")
        done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the place to go on from is missing" in done.stderr
    assert results_of(tmp_path / "cam") == before
