"""Damaged files in numbers: each ends in results that can be played, or in one clear line.

CI has some of every kind; `NUM_DAMAGED=500 python -m pytest tests/stages/test_damaged_files.py` has more.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import pytest

from configs.errors import SourceError
from configs.schema import Settings
from stages.decode import DecodeStage
from stages.encode import EncodeStage
from stages.messages import Frame
from stages.source import expand_sources, probe
from tests.media import make_video
from tests.panoptics import CHECKPOINT, make_panoptic
from tests.stages.damage import WAYS, damaged

NUM_DAMAGED = int(os.environ.get("NUM_DAMAGED", "112"))
TIME_LIMIT_S = 60
MEMORY_LIMIT_MB = 2000
SIZE = (96, 128)
SETTINGS = Settings.model_validate({"encode": {"run_frames": 8, "x264_preset": "ultrafast"}})


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("healthy")
    kinds = [("mp4", "libx264", "aac"), ("mkv", "libx264", "ac3"), ("ts", "libx264", "aac")]
    kinds += [("avi", "mpeg4", "mp2"), ("mov", "mpeg4", "aac"), ("mkv", "libx264", "flac")]
    kinds += [("ts", "libx264", "mp2")]
    return [
        make_video(
            folder / f"{audio}.{suffix}",
            num_frames=30,
            size=SIZE,
            codec=codec,
            b_frames=2 if codec == "libx264" else 0,
            audio_codec=audio,
        )
        for suffix, codec, audio in kinds
    ]


@pytest.mark.slow
@pytest.mark.timeout(120 + 5 * NUM_DAMAGED)
def test_a_damaged_file_ends_in_results_or_in_one_line(healthy: list[Path], tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(NUM_DAMAGED):
        whole = healthy[number // len(WAYS) % len(healthy)]
        way, content = damaged(whole.read_bytes(), SIZE, number)
        path = tmp_path / f"{number}{whole.suffix}"
        path.write_bytes(content)
        end, memory_mb = end_of(path, tmp_path / "out" / str(number))
        if not end.startswith(("written", "refused")) or memory_mb > MEMORY_LIMIT_MB:
            wrong.append(f"number {number}, {way} of {whole.name}, {memory_mb:.0f} MB: {end}")
        ends[end.split()[0]] += 1
    assert not wrong, "\n".join(wrong)
    assert ends["written"] > NUM_DAMAGED // 4
    assert ends["refused"] > NUM_DAMAGED // 8


def end_of(path: Path, output: Path) -> tuple[str, float]:
    """How the file ends in a process of its own, and the most memory that it took, in MB."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.stages.test_damaged_files"])  # imports once, not for each file
    ours, theirs = context.Pipe()
    process = context.Process(target=process_file, args=(path, output, theirs))
    process.start()
    theirs.close()
    deadline_s = time.monotonic() + TIME_LIMIT_S
    try:
        told: tuple[str, float] | None = ours.recv() if ours.poll(TIME_LIMIT_S) else None
    except EOFError:
        told = None
    process.join(max(0.1, deadline_s - time.monotonic()))
    if process.is_alive():
        process.kill()
        process.join()
        return "still at work after the time limit", 0.0
    return told or (f"died with exit code {process.exitcode}", 0.0)


def process_file(path: Path, output: Path, to: Connection) -> None:
    """Decode and encode the file as a run does, and tell how it ended."""
    try:
        end = f"written with {write(path, output)} frames"
    except SourceError as error:
        end = f"refused with {error}" if "\n" not in str(error) else f"several lines: {error}"
    except Exception:
        end = traceback.format_exc()
    to.send((end, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000))


def write(path: Path, output: Path) -> int:
    """The number of frames of the video that comes out."""
    (source,) = expand_sources([str(path)])
    probe(source)
    decode, encode, cursor = DecodeStage(SETTINGS), EncodeStage(SETTINGS), None
    run: list[Frame] = []
    num_frames = 0
    while cursor is None or not cursor.ended:
        frame, cursor = decode(source, cursor)
        run += [frame] if frame is not None else []
        if run and (cursor.ended or len(run) == SETTINGS.encode.run_frames):
            maps = [make_panoptic(np.zeros(each.size, np.uint8), [], index=each.index) for each in run]
            encode(source, str(output), run, maps, CHECKPOINT)
            num_frames, run = num_frames + len(run), []
    encode.finish(source, str(output))
    with av.open(str(output / "video.mp4")) as video:
        played = sum(1 for _ in video.decode(video=0))
    assert played == num_frames, f"{played} frames of {num_frames} can be played"
    return num_frames
