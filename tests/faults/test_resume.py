"""A run that was stopped, killed or cut off, and goes on: the results are those of one that was not."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import OutputError
from configs.loading import load_settings
from configs.schema import Settings
from pipeline import Progress, StreamReport, run
from pipeline.chaos import digests
from stages.encode import EncodeStage
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures

ROOT = Path(__file__).resolve().parent.parent.parent
NUM_FRAMES = 24
RUN_FRAMES = 4
NUM_KILLS = int(os.environ.get("NUM_KILLS", "3"))
"""How often the program is killed: CI has 3, a longer proof up to 20."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_pictures(tmp_path_factory.mktemp("source") / "moving", NUM_FRAMES)


def overrides(weights: Path) -> list[str]:
    given = (f"model.weights={weights}", "run.threads=1", "run.device=cpu", f"encode.run_frames={RUN_FRAMES}")
    return [*given, *OBJECTS]


def settings_with(weights: Path, *more: str) -> Settings:
    return load_settings("tiny", [*overrides(weights), "run.executor=inline", *more])


@pytest.fixture(scope="module")
def golden(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    output = tmp_path_factory.mktemp("golden")
    (report,) = run(expand_sources([str(pictures)]), settings_with(weights), output)
    assert report.num_frames == NUM_FRAMES
    return digests(report.output)


def stopping_at(num_done: int) -> Callable[[Progress], None]:
    """Press Ctrl-C when so many frames are done."""

    def press(progress: Progress) -> None:
        if progress.num_done == num_done:
            os.kill(os.getpid(), signal.SIGINT)

    return press


def stopped_run(weights: Path, pictures: Path, output: Path, num_done: int = 10) -> StreamReport:
    sources = expand_sources([str(pictures)])
    (report,) = run(sources, settings_with(weights), output, on_progress=stopping_at(num_done))
    assert report.status == "interrupted"
    return report


@pytest.mark.parametrize(
    ("executor", "placement"), [("inline", "fused"), ("local", "fused"), ("local", "split")]
)
@pytest.mark.parametrize("num_done", [1, 4, 10])
def test_a_stopped_run_goes_on_with_any_executor(
    golden: dict[str, str],
    weights: Path,
    pictures: Path,
    tmp_path: Path,
    num_done: int,
    executor: str,
    placement: str,
) -> None:
    before = stopped_run(weights, pictures, tmp_path, num_done)
    assert before.num_frames >= num_done
    settings = settings_with(weights, f"run.executor={executor}", f"run.placement={placement}")
    seen: list[Progress] = []
    (report,) = run(expand_sources([str(pictures)]), settings, tmp_path, resume=True, on_progress=seen.append)
    assert (report.status, report.num_frames) == ("complete", NUM_FRAMES)
    assert seen[0].num_done == before.num_frames // RUN_FRAMES * RUN_FRAMES, "only full runs are kept"
    assert digests(report.output) == golden


def test_run_json_tells_who_did_the_frames_before_and_after_the_stop(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    before = stopped_run(weights, pictures, tmp_path)
    kept = before.num_frames // RUN_FRAMES * RUN_FRAMES
    run(expand_sources([str(pictures)]), settings_with(weights, "run.replicas=2"), tmp_path, resume=True)
    hosts = json.loads((before.output / "run.json").read_text())["hosts"]
    assert [(host["host"], host["frames"]) for host in hosts if "detect" in host["stages"]] == [
        ("features+flow+fuse+detect+track+panoptic", f"0-{kept - 1}"),
        ("features+flow+fuse+detect 1", "8-11,16-19"),
        ("features+flow+fuse+detect 2", "12-15,20-23"),
    ]
    encoded = [host["frames"] for host in hosts if host["host"] == "encode"]
    assert encoded == [f"0-{kept - 1}", f"{kept}-{NUM_FRAMES - 1}"]


@pytest.mark.parametrize("placement", ["fused", "split"])
def test_a_run_in_batches_goes_on(weights: Path, pictures: Path, tmp_path: Path, placement: str) -> None:
    # runs of 4 frames become runs of one batch
    sources, settings = expand_sources([str(pictures)]), settings_with(weights, "run.batch_frames=3")
    (whole,) = run(sources, settings, tmp_path / "whole")
    run(sources, settings, tmp_path / "parts", on_progress=stopping_at(7))
    settings = settings_with(weights, "run.batch_frames=3", f"run.placement={placement}")
    seen: list[Progress] = []
    (report,) = run(sources, settings, tmp_path / "parts", resume=True, on_progress=seen.append)
    assert seen[0].num_done == 12
    assert digests(report.output) == digests(whole.output)


def test_runs_of_one_frame_go_on_as_well(weights: Path, pictures: Path, tmp_path: Path) -> None:
    sources, settings = expand_sources([str(pictures)]), settings_with(weights, "encode.run_frames=1")
    (whole,) = run(sources, settings, tmp_path / "whole")
    run(sources, settings, tmp_path / "parts", on_progress=stopping_at(5))
    run(sources, settings, tmp_path / "parts", resume=True, on_progress=stopping_at(6))
    (report,) = run(sources, settings, tmp_path / "parts", resume=True)
    assert digests(report.output) == digests(whole.output)


def test_a_run_whose_joining_was_cut_off_is_joined(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_again(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EncodeStage, "finish", press_again)
        (report,) = run(expand_sources([str(pictures)]), settings_with(weights), tmp_path)
    assert (report.status, report.num_frames) == ("interrupted", NUM_FRAMES)
    assert not (report.output / "video.mp4").exists()
    (again,) = run(expand_sources([str(pictures)]), settings_with(weights), tmp_path, resume=True)
    assert again.status == "complete"
    assert digests(again.output) == golden


def test_a_complete_stream_is_left_alone_and_the_next_one_is_made(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path
) -> None:
    other = write_moving_pictures(tmp_path / "other", 3)
    settings = settings_with(weights)
    run(expand_sources([str(pictures)]), settings, tmp_path / "out")
    written_ns = (tmp_path / "out" / "moving" / "video.mp4").stat().st_mtime_ns
    sources = expand_sources([str(pictures), str(other)])
    first, second = run(sources, settings, tmp_path / "out", resume=True)
    assert (first.num_frames, second.num_frames) == (NUM_FRAMES, 3)
    assert "was complete already" in first.warnings[0]
    assert (first.output / "video.mp4").stat().st_mtime_ns == written_ns
    first, second = run(sources, settings, tmp_path / "out", resume=True)
    assert second.warnings


def test_resuming_nothing_is_a_run_from_the_start(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path
) -> None:
    (report,) = run(expand_sources([str(pictures)]), settings_with(weights), tmp_path, resume=True)
    assert digests(report.output) == golden


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("track.ttl_frames=7", r"moving: track\.ttl_frames was 60 and is 7 now; .* --overwrite"),
        ("encode.run_frames=5", r"moving: encode\.run_frames was 4 and is 5 now"),
        ("run.threads=2", r"run\.threads was 1 and is 2 now"),
        ("run.batch_frames=2", r"run\.batch_frames was 1 and is 2 now"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_touched(
    weights: Path, pictures: Path, tmp_path: Path, override: str, words: str
) -> None:
    report = stopped_run(weights, pictures, tmp_path)
    before = digests(report.output)
    with pytest.raises(OutputError, match=words):
        run(expand_sources([str(pictures)]), settings_with(weights, override), tmp_path, resume=True)
    assert digests(report.output) == before


def test_another_stretch_of_the_source_is_refused(weights: Path, pictures: Path, tmp_path: Path) -> None:
    stopped_run(weights, pictures, tmp_path)
    with pytest.raises(OutputError, match=r"source\.stride was 1 and is 2 now"):
        run(expand_sources([str(pictures)], stride=2), settings_with(weights), tmp_path, resume=True)


def test_a_source_that_changed_is_refused(weights: Path, pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "moving"
    shutil.copytree(pictures, copy)
    stopped_run(weights, copy, tmp_path / "out")
    (copy / "003.png").write_bytes((copy / "003.png").read_bytes() + b"more")
    with pytest.raises(OutputError, match=r"source\.bytes was \d+ and is \d+ now"):
        run(expand_sources([str(copy)]), settings_with(weights), tmp_path / "out", resume=True)


def test_weights_of_the_same_name_but_other_numbers_are_refused(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.safetensors"
    shutil.copy(weights, copy)
    stopped_run(copy, pictures, tmp_path / "out")
    shutil.copy(Path("weights/street.safetensors"), copy)
    with pytest.raises(OutputError, match=r"weights.*copy\.safetensors was '.*' and is '.*' now"):
        run(expand_sources([str(pictures)]), settings_with(copy), tmp_path / "out", resume=True)


@pytest.mark.parametrize("damaged", [".parts/000004.npz", ".parts/000004.mp4", "panoptic/000005.png"])
def test_a_damaged_run_is_made_again(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path, damaged: str
) -> None:
    report = stopped_run(weights, pictures, tmp_path)
    (report.output / damaged).write_bytes(b"")
    seen: list[Progress] = []
    (again,) = run(
        expand_sources([str(pictures)]),
        settings_with(weights),
        tmp_path,
        resume=True,
        on_progress=seen.append,
    )
    assert seen[0].num_done == 4
    assert digests(again.output) == golden


def test_nothing_is_touched_when_one_of_several_streams_is_refused(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    other = write_moving_pictures(tmp_path / "other", 12)
    sources = expand_sources([str(pictures), str(other)])
    run(sources, settings_with(weights), tmp_path / "out", on_progress=stopping_at(10))
    before = digests(tmp_path / "out")
    (other / "003.png").write_bytes((other / "003.png").read_bytes() + b"more")
    with pytest.raises(OutputError, match=r"other: source\.bytes"):
        run(sources, settings_with(weights), tmp_path / "out", resume=True)
    assert digests(tmp_path / "out") == before


def test_streams_that_were_not_begun_are_reported_and_go_on(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path
) -> None:
    other = write_moving_pictures(tmp_path / "other", 3)
    sources = expand_sources([str(pictures), str(other)])
    settings = settings_with(weights, "run.streams_at_once=1")
    first, second = run(sources, settings, tmp_path / "out", on_progress=stopping_at(10))
    assert (first.status, second.status, second.num_frames) == ("interrupted", "interrupted", 0)
    first, second = run(sources, settings, tmp_path / "out", resume=True)
    assert (first.status, second.status, second.num_frames) == ("complete", "complete", 3)
    assert digests(first.output) == golden


def test_a_report_that_is_damaged_is_named(weights: Path, pictures: Path, tmp_path: Path) -> None:
    report = stopped_run(weights, pictures, tmp_path)
    (report.output / "run.json").write_text('{"status": "comp')
    with pytest.raises(OutputError, match=r"run\.json: is no JSON; start anew with --overwrite"):
        run(expand_sources([str(pictures)]), settings_with(weights), tmp_path, resume=True)


@pytest.mark.slow
@pytest.mark.timeout(100 * (NUM_KILLS + 1))
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_program_that_is_killed_again_and_again_ends_with_the_same_results(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path, executor: str
) -> None:
    before_the_last_run = range(NUM_FRAMES - RUN_FRAMES)
    for num_pictures in sorted(random.Random(11).sample(before_the_last_run, NUM_KILLS)):
        kill_when(start(weights, pictures, tmp_path, executor), tmp_path / "moving", num_pictures)
        assert json.loads((tmp_path / "moving" / "run.json").read_text())["status"] == "running"
    process = start(weights, pictures, tmp_path, executor)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert digests(tmp_path / "moving") == golden


@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_the_run_goes_on_when_there_is_space(
    golden: dict[str, str], weights: Path, pictures: Path, tmp_path: Path
) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run([*NAMESPACE, *mount], capture_output=True).returncode != 0:
        pytest.skip("this system lets nobody mount a small disk")
    segment = shlex.join(command(weights, pictures, disk, "local"))
    script = f"""
        {shlex.join(mount)} && {segment}; echo "exit code $?"
        ls {disk}/moving/.parts/*.jsonl
        mount -o remount,size=64m {disk} && {segment} && cp -r {disk} {kept}
    """
    result = subprocess.run([*NAMESPACE, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "exit code 2" in result.stdout
    assert ".parts/000000.jsonl" in result.stdout, "the runs before were kept"
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "moving: cannot be written (No space left on device)" in error
    assert "Traceback" not in result.stderr
    assert digests(kept / "moving") == golden


NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
"""What is mounted in there is seen by nobody else, and needs no rights."""


def command(weights: Path, pictures: Path, output: Path, executor: str) -> list[str]:
    """The command as a user types it; each call after the first goes on with the same output."""
    return [
        *(sys.executable, str(ROOT / "run_pipeline.py"), "run", str(pictures), "--output", str(output)),
        *("--config", "tiny", "--executor", executor, "--resume"),
        *(f"--set={override}" for override in overrides(weights)),
    ]


def start(weights: Path, pictures: Path, output: Path, executor: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(weights, pictures, output, executor),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_when(process: subprocess.Popen[str], folder: Path, num_pictures: int) -> None:
    """kill -9, as soon as more than so many pictures are there."""
    deadline_s = time.monotonic() + 120
    while len(list(folder.glob("panoptic/*.png"))) <= num_pictures:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    process.kill()
    process.communicate()
