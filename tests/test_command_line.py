"""The command as a user types it, each in a process of its own."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands.arguments import parse_set, parse_time
from configs.errors import UsageError
from tests.pipeline.random_network import write_moving_pictures

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, str(ROOT / "run_pipeline.py")]


def call(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=200)


def assert_usage_error(result: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0]


def test_help_answers_within_a_second() -> None:
    times_s = []
    for _ in range(3):
        started_s = time.monotonic()
        result = call("run", "--help")
        times_s.append(time.monotonic() - started_s)
        assert result.returncode == 0
    assert "--output" in result.stdout
    assert min(times_s) < 1.0


def test_config_list_names_the_presets() -> None:
    result = call("config", "list")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["street", "tiny", "vpsnet-r50"]


def test_config_show_prints_what_was_set() -> None:
    result = call("config", "show", "--config", "tiny", "--set", "run.window_frames=3")
    assert result.returncode == 0
    assert "window_frames: 3" in result.stdout


def test_an_unknown_key_is_one_line_with_the_nearest() -> None:
    assert_usage_error(call("config", "show", "--set", "run.windw_frames=3"), "run.window_frames")


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("12.5", 12.5), ("1:30", 90), ("1:00:01", 3601), ("0:00:02.5", 2.5)]
)
def test_times_are_seconds_or_clock(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "1:-2", "nan", "-1"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "folder", "times"),
    [
        ("data/a", "data/a", 1),
        ("data/a@12", "data/a", 12),
        ("a@b", "a@b", 1),
        ("a@b@3", "a@b", 3),
        ("@3", "@3", 1),
    ],
)
def test_a_set_counts_as_often_as_it_says(text: str, folder: str, times: int) -> None:
    assert parse_set(text) == (Path(folder), times)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    result = call("run", "no-such.mp4", "--output", str(tmp_path / "out"), "--config", "tiny")
    assert_usage_error(result, "no-such.mp4")


def test_a_text_file_named_mp4_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "text.mp4"
    file.write_text("this is no video\n" * 100)
    result = call("run", str(file), "--output", str(tmp_path / "out"), "--config", "tiny")
    assert_usage_error(result, "text.mp4")


def test_a_cluster_that_is_not_there_is_one_line(pictures: Path, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = call("run", str(pictures), "--output", str(tmp_path / "out"), "--address", address)
    assert_usage_error(result, f"run.address: no Ray cluster can be joined at {address}", "ray start --head")
    assert not (tmp_path / "out").exists()


def test_a_bad_time_is_one_line(tmp_path: Path) -> None:
    result = call("run", "x.mp4", "--output", str(tmp_path / "out"), "--start", "soon")
    assert_usage_error(result, "soon")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_pictures(tmp_path_factory.mktemp("source") / "moving", 60)


def run_tiny(weights: Path, pictures: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return call("run", str(pictures), "--output", str(output), *tiny(weights), "--executor", "local", *more)


def tiny(weights: Path) -> list[str]:
    return ["--config", "tiny", "--set", f"model.weights={weights}"]


@pytest.mark.parametrize("placement", ["fused", "split"])
def test_a_folder_of_pictures_gives_all_results(
    weights: Path, pictures: Path, tmp_path: Path, placement: str
) -> None:
    result = run_tiny(weights, pictures, tmp_path, "--stride", "10", "--placement", placement)
    assert result.returncode == 0, result.stderr
    folder = tmp_path / pictures.name
    assert len(list((folder / "panoptic").glob("*.png"))) == 6
    for name in ("video.mp4", "panoptic.json", "tracks.jsonl"):
        assert str(folder / name) in result.stdout
    report = json.loads((folder / "run.json").read_text())
    assert (report["status"], report["frames"]) == ("complete", 6)
    assert report["settings"]["run"]["executor"] == "local"


def test_existing_results_need_overwrite(weights: Path, pictures: Path, tmp_path: Path) -> None:
    assert run_tiny(weights, pictures, tmp_path, "--stride", "30").returncode == 0
    assert_usage_error(run_tiny(weights, pictures, tmp_path, "--stride", "30"), "--overwrite")
    assert run_tiny(weights, pictures, tmp_path, "--stride", "30", "--overwrite").returncode == 0


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_ctrl_c_leaves_valid_results_and_exits_130(
    weights: Path, pictures: Path, tmp_path: Path, executor: str
) -> None:
    arguments = ["run", str(pictures), "--output", str(tmp_path), *tiny(weights)]
    arguments += ["--executor", executor, "--set", "run.window_frames=2", "--set", "encode.run_frames=1"]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folder = tmp_path / pictures.name
    deadline_s = time.monotonic() + 90
    while not list(folder.glob("panoptic/*.png")) and process.poll() is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    report = json.loads((folder / "run.json").read_text())
    assert report["status"] == "interrupted"
    assert len(list(folder.glob("panoptic/*.png"))) == report["frames"]
    assert len(json.loads((folder / "panoptic.json").read_text())["images"]) == report["frames"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = call("run", "no-such.mp4", "--output", str(tmp_path / "out"), "--config", "tiny", "--debug")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
