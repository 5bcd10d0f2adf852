"""A chart of colours through our decoder and encoder, and through the ffmpeg program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from configs.schema import Settings
from stages.decode import DecodeStage
from stages.source import Source
from stages.video_writer import PartWriter

PATCH = 16
ROWS, COLUMNS = 12, 20
CLOSE = 2
"""Levels of 255."""


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patches of any colour, greys in the first row."""
    colours = np.random.default_rng(3).integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)
    colours[0] = np.linspace(0, 255, COLUMNS)[:, None]
    path = tmp_path_factory.mktemp("chart") / "chart.png"
    cv2.imwrite(str(path), colours.repeat(PATCH, 0).repeat(PATCH, 1)[..., ::-1])
    return path


def ffmpeg(*arguments: str | Path) -> bytes:
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, check=True).stdout


def patches(image: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) from the middles of the patches."""
    middles: np.ndarray = image.reshape(ROWS, PATCH, COLUMNS, PATCH, 3)[:, PATCH // 2, :, PATCH // 2]
    return middles.astype(int)


def pixels_of(chart: Path) -> np.ndarray:
    picture = cv2.imread(str(chart))
    assert picture is not None
    return np.ascontiguousarray(picture[..., ::-1])


def seen_by_ffmpeg(path: Path) -> np.ndarray:
    pixels = ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return patches(np.frombuffer(pixels, np.uint8))


def written_by_ffmpeg(path: Path, chart: Path, matrix: str, colour_range: str, *codec: str) -> Path:
    tags = ("-colorspace", matrix, "-color_range", colour_range)
    conversion = f"scale=out_color_matrix={matrix}:out_range={colour_range},format=yuv420p"
    ffmpeg("-i", chart, "-vf", conversion, *tags, *codec, path)
    return path


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
def test_a_chart_is_decoded_as_ffmpeg_does_it(
    tmp_path: Path, chart: Path, matrix: str, colour_range: str
) -> None:
    path = written_by_ffmpeg(tmp_path / "chart.mkv", chart, matrix, colour_range, "-c:v", "ffv1")
    frame, _ = DecodeStage(Settings())(Source(name="chart", kind="video", paths=(str(path),)), None)
    assert frame is not None
    assert np.abs(patches(frame.image) - seen_by_ffmpeg(path)).max() <= CLOSE
    assert np.abs(patches(frame.image) - patches(pixels_of(chart))).max() <= CLOSE + 1


def test_a_chart_is_encoded_as_ffmpeg_does_it(tmp_path: Path, chart: Path) -> None:
    settings = Settings.model_validate({"encode": {"crf": 1}}).encode
    image = pixels_of(chart)
    with PartWriter(tmp_path / "ours.mp4", (image.shape[0], image.shape[1]), settings) as writer:
        writer.add(image)
    codec = ("-c:v", "libx264", "-crf", "1", "-preset", settings.x264_preset)
    theirs = written_by_ffmpeg(tmp_path / "theirs.mp4", chart, "bt709", "tv", *codec)
    assert np.abs(seen_by_ffmpeg(tmp_path / "ours.mp4") - seen_by_ffmpeg(theirs)).max() <= CLOSE
    with av.open(str(tmp_path / "ours.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (1, 1), "BT.709, limited range, and it says so"
        assert context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    "pixels",
    [
        *("yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv411p", "yuva420p"),
        *("bgra", "rgb48le", "gray", "gray16le"),
    ],
)
def test_every_format_of_pixels_is_decoded_as_ffmpeg_does_it(
    tmp_path: Path, chart: Path, pixels: str
) -> None:
    path = tmp_path / "chart.mkv"
    ffmpeg("-i", chart, "-pix_fmt", pixels, "-c:v", "ffv1", path)
    frame, _ = DecodeStage(Settings())(Source(name="chart", kind="video", paths=(str(path),)), None)
    assert frame is not None
    assert np.abs(patches(frame.image) - seen_by_ffmpeg(path)).max() <= CLOSE
