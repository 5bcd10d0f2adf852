"""The bytes of a run's video come from its pictures alone, not from what the memory held before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITE = """
import sys
from pathlib import Path
from configs.schema import EncodeSettings
from stages.video_writer import PartWriter
from tests.media import picture

size = tuple(int(side) for side in sys.argv[2:])
with PartWriter(Path(sys.argv[1]), size, EncodeSettings()) as writer:
    for _ in range(3):
        writer.add(picture(0, size))
"""


def written(path: Path, size: tuple[int, int], perturb: int) -> bytes:
    """A video whose writer gets its memory filled with 255 - `perturb`; glibc alone does so."""
    subprocess.run(
        [sys.executable, "-c", WRITE, str(path), *map(str, size)],
        cwd=ROOT,
        env={**os.environ, "MALLOC_PERTURB_": str(perturb)},
        check=True,
        timeout=60,
    )
    return path.read_bytes()


@pytest.mark.parametrize("size", [(208, 176), (480, 854)])
def test_what_the_memory_held_does_not_change_the_video(tmp_path: Path, size: tuple[int, int]) -> None:
    zeros = written(tmp_path / "zeros.mp4", size, 255)
    # as a motion vector, 0xfefe points to nine macroblocks further left and up: inside these pictures
    assert written(tmp_path / "fe.mp4", size, 1) == zeros
