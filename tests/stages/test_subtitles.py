"""Subtitles of a source in the joined video."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from configs.schema import Settings
from stages.inspection import inspect
from stages.results import Layout, WrittenRun
from stages.source import Source, probe
from stages.video_joiner import join_video
from stages.video_writer import PartWriter
from tests.media import make_video, picture

TEXT = """1
00:00:00,500 --> 00:00:01,500
hello

2
00:00:02,000 --> 00:00:03,000
wörld
"""
Shown = list[tuple[float, float, str]]
"""From, to, text."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subtitles")
    (folder / "text.srt").write_text(TEXT, encoding="utf-8")
    make_video(folder / "clip.mp4", num_frames=100, audio_codec="aac")
    return folder


def with_subtitles(folder: Path, name: str, codec: str) -> Path:
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(folder / "clip.mp4")]
    program += ["-i", str(folder / "text.srt"), "-map", "0", "-map", "1", "-c", "copy", "-c:s", codec]
    subprocess.run([*program, "-metadata:s:s:0", "language=eng", str(folder / name)], check=True)
    return folder / name


def shown(path: Path) -> tuple[Shown, dict[str, str]]:
    """What an MP4's subtitles say, and what their track is called."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        packets = [packet for packet in container.demux(stream) if packet.size > 2]  # less is a pause
        texts = [(packet, bytes(packet)) for packet in packets]
        return [
            (
                float((packet.pts or 0) * packet.time_base),
                float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base),
                text[2 : 2 + int.from_bytes(text[:2], "big")].decode(),
            )
            for packet, text in texts
        ], stream.metadata


def joined(source: Source, output: Path, first: int, last: int) -> Path:
    """The pictures from `first` to `last` as one run, joined with what else the source has."""
    layout = Layout(output)
    layout.part_video(0).parent.mkdir(parents=True)
    with PartWriter(layout.part_video(0), (48, 64), Settings().encode) as writer:
        for index in range(first, last + 1):
            writer.add(picture(index, (48, 64)))
    num_frames = last + 1 - first
    run = WrittenRun(
        first_index=0,
        time_base=Fraction(1, 25),
        pts=tuple(range(first, last + 1)),
        durations=(1,) * num_frames,
        gaps=(),
    )
    join_video(source, layout, [run], output / "video.mp4")
    return output / "video.mp4"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mov_text"), ("a.mkv", "srt"), ("b.mkv", "ass"), ("c.mkv", "webvtt")],
)
def test_subtitles_that_are_text_come_along(folder: Path, tmp_path: Path, name: str, codec: str) -> None:
    path = with_subtitles(folder, name, codec)
    whole = Source(name="a", kind="video", paths=(str(path),))
    texts, about = shown(joined(whole, tmp_path / "whole", 0, 99))
    assert texts == [(0.5, 1.5, "hello"), (2.0, 3.0, "wörld")]
    assert about["language"] == "eng"
    part = Source(name="a", kind="video", paths=(str(path),), start_s=1.0, end_s=2.4)
    texts, _ = shown(joined(part, tmp_path / "part", 25, 59))
    assert texts == [(0.0, 0.5, "hello"), (1.0, 1.4, "wörld")], "cut to what is shown of them"


def test_an_inspection_names_them(folder: Path) -> None:
    source = Source(name="a", kind="video", paths=(str(with_subtitles(folder, "d.mkv", "srt")),))
    seen = inspect(source, probe(source))
    assert dict(seen.facts)["subtitles"] == "srt"
    assert not any("subtitles" in trouble for trouble in seen.troubles)
