"""Makes little real videos and pictures for the tests.

Picture i shows i in binary as eight bars on its left half, lowest bit first, and noise on its right
half: a test can tell which picture it has, and a codec has something to predict.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

Size = tuple[int, int]
"""(height, width)."""
TICKS = 12800
"""Of a second, in the videos made here: 512 ticks are a frame at 25 a second."""
SAMPLE_RATE = 48000


def number_of(image: np.ndarray) -> int:
    """Which picture this is, by the bars on its left half."""
    width = image.shape[1] // 16
    bars = [image[:, bit * width + 1 : (bit + 1) * width - 1].mean() for bit in range(8)]
    return sum((grey > 128) << bit for bit, grey in enumerate(bars))


def picture(index: int, size: Size) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    height, width = size
    image = np.random.default_rng(index).integers(0, 256, (height, width, 1), np.uint8).repeat(3, axis=2)
    for bit in range(8):
        bar = width // 16
        image[:, bit * bar : (bit + 1) * bar] = 235 if index >> bit & 1 else 20
    return image


def make_video(
    path: Path,
    *,
    num_frames: int = 10,
    size: Size = (48, 64),
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    codec_options: dict[str, str] | None = None,
    b_frames: int = 0,
    gop: int = 12,
    pictures: Sequence[np.ndarray] | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
    audio_codec: str | None = None,
    format_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of 25 frames a second, or with `times` in ticks; with a tone where a codec is named."""
    shown = pictures or [picture(index, size) for index in range(num_frames)]
    pts = times or [index * TICKS // 25 for index in range(len(shown))]
    height, width = shown[0].shape[:2]
    is_coarse = path.suffix == ".avi" or codec == "mpeg4"  # which know frames alone
    time_base = Fraction(1, 25) if is_coarse else Fraction(1, TICKS)
    options = codec_options or {"crf": "10", "sc_threshold": "0", "b_strategy": "0"}
    with av.open(str(path), "w", options=format_options or {}) as container:
        video = container.add_stream(
            codec, rate=25, width=width, height=height, options=options if codec == "libx264" else {}
        )
        assert isinstance(video, av.VideoStream)
        video.codec_context.time_base = time_base
        video.codec_context.gop_size = gop
        video.codec_context.max_b_frames = b_frames
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            video.set_display_rotation(rotation)
        tone = _add_tone(container, audio_codec) if audio_codec else None
        for time, image in zip(pts, shown, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.time_base, frame.duration = time_base, int(Fraction(1, 25) / time_base)
            frame.pts = int(time * Fraction(1, TICKS) / time_base)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if tone is not None:
            _write_tone(container, tone, len(shown) / 25)
    return path


def make_video_with_times(path: Path, times: Sequence[int]) -> Path:
    """A transport stream that gives its pictures those times, in 1/90000 s, repeated ones as well."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, width=64, height=48, options={"g": "1"})
        assert isinstance(video, av.VideoStream)
        video.codec_context.max_b_frames = 0
        packets = []
        for index in range(len(times)):
            packets += video.encode(av.VideoFrame.from_ndarray(picture(index, (48, 64)), format="rgb24"))
        packets += video.encode(None)
        for index, (time, packet) in enumerate(zip(times, packets, strict=True)):
            packet.time_base = Fraction(1, 90000)
            packet.pts, packet.dts = time + 90000, index
            container.mux(packet)
    return path


def _add_tone(container: av.container.OutputContainer, codec: str) -> av.AudioStream:
    stream = container.add_stream(codec, rate=SAMPLE_RATE)
    assert isinstance(stream, av.AudioStream)
    stream.codec_context.layout = "mono"
    return stream


def _write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    samples = np.sin(np.arange(round(seconds * SAMPLE_RATE)) * 0.05).astype(np.float32)[None]
    is_planar_float = stream.codec_context.format.name == "fltp"
    encoded = samples if is_planar_float else (samples * 20000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(encoded, format=stream.codec_context.format.name, layout="mono")
    frame.sample_rate, frame.pts = SAMPLE_RATE, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_audio_only(path: Path) -> Path:
    """A file with sound and without pictures."""
    with av.open(str(path), "w") as container:
        _write_tone(container, _add_tone(container, "aac"), 0.5)
    return path


def make_text(path: Path) -> Path:
    """A text file, whatever its name says."""
    path.write_text("This is not a video.\n" * 20)
    return path


def cut_in_half(path: Path, to: Path, fraction: float = 0.5) -> Path:
    """The first part of a file, as a copy that was broken off leaves it."""
    content = path.read_bytes()
    to.write_bytes(content[: int(len(content) * fraction)])
    return to


def damage_packet(path: Path, number: int) -> None:
    """Overwrite the beginning of one packet of an MP4, so that the decoder refuses it."""
    with av.open(str(path)) as container:
        entry = container.streams.video[0].index_entries[number]
    with path.open("r+b") as file:
        file.seek(entry.pos)
        file.write(b"\xff" * min(8, entry.size))


def make_giant_png(path: Path, size: Size) -> Path:
    """A file of some bytes whose header declares a picture of that size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", size[1], size[0], 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))
    return path


def make_pictures(folder: Path, names: Sequence[str], size: Size = (48, 64)) -> list[Path]:
    """Pictures of those names, in that order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for index, path in enumerate(paths):
        cv2.imwrite(str(path), picture(index, size))
    return paths
