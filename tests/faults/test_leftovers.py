"""What a run leaves in the machine when it is over: nothing, however it ended."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from configs.loading import load_settings
from configs.schema import Settings
from pipeline import StreamReport, run
from pipeline.processes import descendants, title_of
from stages import build_stage
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures

pytestmark = [pytest.mark.slow, pytest.mark.alone]

ROOT = Path(__file__).resolve().parent.parent.parent
NUM_FRAMES = 40
MARK = "PANOPTRAIL_TEST_RUN"
"""In the environment of a run, and so of all processes that it starts, whoever their parent is later."""
SHARED_MEMORY = Path("/dev/shm")
DEADLINE_S = 20.0
"""Ray's own processes notice a moment later that their driver is gone."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_pictures(tmp_path_factory.mktemp("source") / "moving", NUM_FRAMES)


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    value = str(tmp_path)
    monkeypatch.setenv(MARK, value)
    return f"{MARK}={value}"


def overrides(weights: Path, executor: str) -> list[str]:
    run_settings = [f"run.executor={executor}", "run.placement=split", "run.threads=1", "run.device=cpu"]
    return [f"model.weights={weights}", *run_settings, *OBJECTS]


def processes_with(mark: str) -> list[str]:
    """Titles of the other processes that have the mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in environment.split(b"\0"):
            found.append(title_of(int(entry.name)))
    return found


def shared_memory() -> set[str]:
    return {entry.name for entry in SHARED_MEMORY.iterdir()}


def wait_until_nothing_is_left(mark: str, shared_before: set[str]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while processes_with(mark) or shared_memory() - shared_before:
        assert time.monotonic() < deadline_s, (processes_with(mark), shared_memory() - shared_before)
        time.sleep(0.1)


def failing(name: str, settings: Settings) -> object:
    """The stage of that name; detect fails at its sixth frame."""
    stage: Any = build_stage(name, settings)
    return Failing(stage) if name == "detect" else stage


class Failing:
    """A stage that fails at its sixth call."""

    def __init__(self, stage: Callable[..., Any]) -> None:
        self._stage, self._num_calls = stage, 0

    def __call__(self, *inputs: object) -> object:
        self._num_calls += 1
        if self._num_calls == 6:
            raise RuntimeError("boom")
        return self._stage(*inputs)


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize(("factory", "status"), [(build_stage, "complete"), (failing, "failed")])
def test_nothing_is_left_in_the_program(
    weights: Path,
    pictures: Path,
    tmp_path: Path,
    mark: str,
    executor: str,
    factory: Callable[[str, Settings], Any],
    status: str,
) -> None:
    settings = load_settings("tiny", overrides(weights, executor))
    once = partial(run, expand_sources([str(pictures)]), settings, overwrite=True, factory=factory)
    once(tmp_path / "out")  # what libraries keep for ever is there from the first run on
    shared_before = shared_memory()
    before = held()
    report: StreamReport
    (report,) = once(tmp_path / "out")
    assert report.status == status
    wait_until_nothing_is_left(mark, shared_before)
    for what, now in held().items():
        assert now <= before[what], what


def held() -> dict[str, Counter[str]]:
    """What this process holds of the system; without what Ray keeps for ever, its driver's logs and threads.

    It may become less: what earlier tests have left behind goes away by and by.
    """
    gc.collect()
    files = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return {
        "processes, zombies as well": Counter(map(str, descendants(os.getpid()))),
        "threads": Counter(thread.name for thread in threading.enumerate()),
        "open files": Counter(name for name in files if name.startswith("/") and "/ray/" not in name),
    }


@pytest.mark.parametrize("executor", ["local", "ray"])
@pytest.mark.parametrize("presses", [1, 2])
def test_nothing_is_left_after_ctrl_c(
    weights: Path, pictures: Path, tmp_path: Path, mark: str, executor: str, presses: int
) -> None:
    shared_before = shared_memory()
    command = [sys.executable, "run_pipeline.py", "run", str(pictures), "--output", str(tmp_path / "out")]
    command += ["--config", "tiny", *(f"--set={override}" for override in overrides(weights, executor))]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for_pictures(process, tmp_path / "out" / "moving")
    assert len(processes_with(mark)) > (5 if executor == "ray" else 0)
    for _ in range(presses):
        os.killpg(process.pid, signal.SIGINT)  # to all of them, as a terminal does
        time.sleep(0.1)
    _, stderr = process.communicate(timeout=60)
    # a second one that comes when all is done and Python ends meets no handler; a shell calls both 130
    assert process.returncode in (130, -signal.SIGINT), stderr
    wait_until_nothing_is_left(mark, shared_before)


def wait_for_pictures(process: subprocess.Popen[str], folder: Path) -> None:
    """Until the run is under way."""
    deadline_s = time.monotonic() + 200
    while not list(folder.glob("panoptic/*.png")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
