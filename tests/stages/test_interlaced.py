"""Interlaced video: two fields of different times in each picture, woven line by line."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import imageio_ffmpeg
import numpy as np
import pytest

from configs.schema import InputSettings, Settings
from stages.decode import DecodeStage
from stages.inspection import inspect
from stages.messages import Cursor
from stages.source import Source, probe

SIZE = "320x240"
FIELD_RATE = 50


@pytest.fixture(scope="module", params=["tff", "bff"])
def interlaced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """25 pictures a second of a bar that moves by 4 px from field to field."""
    path = tmp_path_factory.mktemp("interlaced") / "clip.mkv"
    weave = {"tff": "interleave_top", "bff": "interleave_bottom"}[request.param]
    bar = f"color=gray:s={SIZE}:r={FIELD_RATE}:d=1[back];color=white:s=40x240:r={FIELD_RATE}:d=1[bar]"
    moving = f"{bar};[back][bar]overlay=x=4*n-4:y=0,tinterlace=mode={weave},setfield={request.param}"
    codec = ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme", "-g", "6")
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    subprocess.run([*program, "-filter_complex", moving, *codec, str(path)], check=True)
    return Source(name="clip", kind="video", paths=(str(path),))


def images_of(source: Source, start: Cursor | None = None) -> list[np.ndarray]:
    stage, cursor = DecodeStage(Settings()), start
    images: list[np.ndarray] = []
    while True:
        frame, cursor = stage(source, cursor)
        if frame is None:
            return images
        images.append(frame.image)


def combs(image: np.ndarray) -> float:
    """How much neighbouring lines differ, where lines that are two apart do not."""
    lines = image[..., 1].astype(int)
    between = np.abs(lines[2:-1] - lines[1:-2]) - np.abs(lines[3:] - lines[1:-2])
    return float(np.maximum(between, 0).mean())


def test_edges_that_move_are_whole_and_where_the_first_field_saw_them(interlaced: Source) -> None:
    images = images_of(interlaced)
    left_alone = images_of(replace(interlaced, rules=InputSettings(deinterlace=False)))
    assert len(images) == len(left_alone) == 25
    assert max(map(combs, images)) < 0.2 < 1 < min(combs(image) for image in left_alone[1:-1])
    for index, image in enumerate(images[2:20], start=2):
        bar = np.flatnonzero(image[120, :, 1] > 190)
        assert abs(bar.min() - 8 * index) <= 1, "two fields a picture, 4 px each"
        assert abs(len(bar) - 40) <= 2


def test_a_picture_is_the_same_whatever_was_decoded_before(interlaced: Source) -> None:
    stage, cursor = DecodeStage(Settings()), None
    for _ in range(9):
        _, cursor = stage(interlaced, cursor)
    whole = images_of(interlaced)
    assert all(map(np.array_equal, images_of(interlaced, cursor), whole[9:]))


def test_the_doctor_says_so(interlaced: Source) -> None:
    inspection = inspect(interlaced, probe(interlaced))
    assert dict(inspection.facts)["scan"].startswith("interlaced: one field of each picture is used")
    assert not inspection.troubles
