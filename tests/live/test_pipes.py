"""Standard input and named pipes, as a user types them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.live.running import check_segments, options_of, results_of, status_of, wait_for
from tests.media import make_video

NUM_FRAMES = 60
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=NUM_FRAMES, size=(96, 128))


def writing(clip: Path, target: str, form: str, *options: str) -> list[str]:
    """The program that writes the clip into a pipe."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", str(clip)]
    return [*program, "-c", "copy", "-y", "-f", form, target]


@pytest.mark.parametrize(
    ("executor", "form"), [("local", "mpegts"), ("local", "matroska"), ("ray", "mpegts")]
)
def test_every_frame_of_standard_input_is_processed(
    tmp_path: Path, clip: Path, weights: Path, executor: str, form: str
) -> None:
    command = options_of("-", tmp_path, weights, executor)
    with subprocess.Popen(writing(clip, "-", form), stdout=subprocess.PIPE) as writer:
        done = subprocess.run(command, stdin=writer.stdout, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert [image["frame_index"] for image in results_of(tmp_path / "stdin")] == list(range(NUM_FRAMES))
    assert status_of(tmp_path / "stdin")["status"] == "complete"


def test_a_named_pipe_is_read_at_the_rate_of_its_writer(tmp_path: Path, clip: Path, weights: Path) -> None:
    pipe = tmp_path / "camera.ts"
    os.mkfifo(pipe)
    with subprocess.Popen(writing(clip, str(pipe), "mpegts", "-re")) as writer:
        command = options_of(str(pipe), tmp_path, weights, "local")
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert writer.wait() == 0
    assert done.returncode == 0, done.stderr
    assert len(results_of(tmp_path / "camera")) == NUM_FRAMES


def test_a_writer_may_pause_and_no_picture_comes_twice(tmp_path: Path, clip: Path, weights: Path) -> None:
    stream = subprocess.run(writing(clip, "-", "mpegts"), capture_output=True, check=True).stdout
    command = options_of("-", tmp_path, weights, "local", "input.frame_timeout_s=1")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdin is not None
        run.stdin.write(stream[: len(stream) // 2])
        run.stdin.flush()
        time.sleep(12)  # start-up included
        run.stdin.write(stream[len(stream) // 2 :])
        run.stdin.close()
        assert run.wait(timeout=60) == 0
    images = results_of(tmp_path / "stdin")
    assert [round(25 * image["time_s"]) for image in images] == list(range(NUM_FRAMES))
    assert status_of(tmp_path / "stdin")["live"]["gaps"] == 0


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "-: is not a video"), (b"no video" * 9999, "-: is not a video")]
)
def test_what_is_no_video_is_said(tmp_path: Path, weights: Path, content: bytes, says: str) -> None:
    command = options_of("-", tmp_path, weights, "local")
    done = subprocess.run(command, input=content, capture_output=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"error: {says}")
    assert done.stderr.count(b"\n") == 1


def test_a_pipe_into_which_nothing_is_written_is_given_up(tmp_path: Path, weights: Path) -> None:
    command = [*options_of("-", tmp_path, weights, "local"), "--set", "input.open_timeout_s=2"]
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as writer:
        done = subprocess.run(command, stdin=writer.stdout, capture_output=True, text=True, timeout=50)
        writer.kill()
    assert (done.returncode, "-: nothing came within 2 s" in done.stderr) == (2, True)


def test_what_another_program_writes_later_goes_on_behind_a_gap(
    tmp_path: Path, clip: Path, weights: Path
) -> None:
    command = options_of("-", tmp_path, weights, "local")
    with (
        subprocess.Popen(writing(clip, "-", "mpegts", "-re"), stdout=subprocess.PIPE) as writer,
        subprocess.Popen(command, stdin=writer.stdout) as run,
    ):
        wait_for(tmp_path / "stdin", "live")
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=60) == 130
        writer.kill()
    num_before = len(results_of(tmp_path / "stdin"))
    for told in ("", "was complete already"):
        with subprocess.Popen(
            writing(clip, "-", "mpegts"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as writer:
            done = subprocess.run(
                [*command, "--resume"], stdin=writer.stdout, capture_output=True, text=True, timeout=100
            )
        assert done.returncode == 0
        assert told in done.stderr
        assert len(results_of(tmp_path / "stdin")) == num_before + NUM_FRAMES
    assert status_of(tmp_path / "stdin")["live"]["gaps"] == 1
    check_segments(tmp_path / "stdin")
