"""Runs on an RTSP stream, as a user types them: outages, a password, two cameras, a stop."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.live.rtsp_server import RtspServer, needs_rtsp, write_pictures
from tests.live.running import check_segments, description_of, options_of, status_of, wait_for
from tests.pipeline.random_network import moving_picture

pytestmark = [needs_rtsp, pytest.mark.slow]

PASSWORD = "s3cret"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [moving_picture(index % 90) for index in range(180)]
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures", images=images)


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_an_outage_is_told_recorded_and_survived_and_the_password_is_nowhere(
    tmp_path: Path, pictures: Path, weights: Path, executor: str
) -> None:
    with RtspServer(pictures, user_password=f"me:{PASSWORD}") as server:
        address = f"rtsp://me:{PASSWORD}@{server.host}/cam"
        command = options_of(address, tmp_path, weights, executor, "encode.segment_s=4")
        with subprocess.Popen(
            [*command, "--end", "14", "--debug"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run:
            wait_for(tmp_path / "cam", "live")
            time.sleep(3)
            server.kill()
            away = wait_for(tmp_path / "cam", "reconnecting")
            time.sleep(1)
            server.start()
            told, _ = run.communicate(timeout=60)
    assert run.returncode == 0, told
    assert away["status"] == "running"
    status = status_of(tmp_path / "cam")
    assert (status["status"], status["live"]["state"], status["live"]["gaps"]) == ("complete", "ended", 1)
    assert status["live"]["connections"] == 2
    assert check_segments(tmp_path / "cam") == status["live"]["segments"] >= 3
    (gap,) = [
        gap
        for segment in (tmp_path / "cam" / "segments").iterdir()
        for gap in description_of(segment).get("gaps", [])
    ]
    tracks = (tmp_path / "cam" / "segments" / f"{gap['before_frame']:06d}" / "tracks.jsonl").read_text()
    assert json.loads(tracks.splitlines()[0]) == {"gap": gap}
    assert gap["objects"]["before"] >= gap["objects"]["found_again"]
    assert status["source"]["path"] == server.address
    assert PASSWORD not in told
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_a_stop_leaves_whole_segments_at_once(tmp_path: Path, pictures: Path, weights: Path) -> None:
    with RtspServer(pictures) as server:
        command = options_of(server.address, tmp_path, weights, "local")
        with subprocess.Popen(command, stderr=subprocess.PIPE) as run:
            wait_for(tmp_path / "cam", "live")
            time.sleep(3)
            server.stop_sending()
            wait_for(tmp_path / "cam", "stalled")
            run.send_signal(signal.SIGINT)
            began_s = time.monotonic()
            assert run.wait(timeout=30) == 130
        assert time.monotonic() - began_s < 5
        server.go_on()
    assert status_of(tmp_path / "cam")["status"] == "interrupted"
    assert check_segments(tmp_path / "cam", complete=False) == 1


def test_one_camera_that_is_given_up_leaves_the_other_alone(
    tmp_path: Path, pictures: Path, weights: Path
) -> None:
    with RtspServer(pictures) as one, RtspServer(pictures) as two:
        sources = tmp_path / "cameras.txt"
        sources.write_text(f"{one.address}\n{two.address}\n")
        command = options_of(str(sources), tmp_path / "out", weights, "local")
        with subprocess.Popen(
            [*command, "--end", "12", "--max-retries", "1"], stderr=subprocess.PIPE, text=True
        ) as run:
            wait_for(tmp_path / "out" / "cam", "live")
            wait_for(tmp_path / "out" / "cam-2", "live")
            time.sleep(4)
            one.kill()
            _, told = run.communicate(timeout=60)
        one.start()
    assert run.returncode == 1
    assert "is lost, 1 tries to connect failed" in told
    lost, kept = (status_of(tmp_path / "out" / name) for name in ("cam", "cam-2"))
    assert (lost["status"], kept["status"]) == ("failed", "complete")
    assert kept["live"]["gaps"] == 0
    check_segments(tmp_path / "out" / "cam", complete=False)
    check_segments(tmp_path / "out" / "cam-2")


def test_a_camera_that_nothing_is_known_of_is_refused_in_one_line(
    tmp_path: Path, pictures: Path, weights: Path
) -> None:
    with RtspServer(pictures, user_password="me:right") as server:
        command = options_of(f"rtsp://me:{PASSWORD}@{server.host}/cam", tmp_path, weights, "local")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "the server wants another user or password" in done.stderr
    assert PASSWORD not in done.stderr
