"""The sound of live sources: copied, in time with the pictures, up to the ends of a segment."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from stages.results import Layout
from tests.live.rtsp_server import RtspServer, needs_rtsp, write_pictures
from tests.live.running import check_segments, options_of, results_of, status_of
from tests.live.watching import Watcher, live

pytestmark = pytest.mark.slow

FLASHES_S = (1.0, 2.0, 3.0, 4.0)
"""When the clip is white for a picture, and a tone begins that lasts as long."""


@pytest.fixture(scope="module")
def flashing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of 25 pictures a second, black but for the flashes, silent but for their tones."""
    path = tmp_path_factory.mktemp("clip") / "clip.ts"
    flash = "between(mod(t,1),0,0.039)*gte(t,0.5)"
    picture = f"color=black:s=128x96:r=25:d=5,drawbox=t=fill:c=white:enable='{flash}'"
    sound = f"aevalsrc='{flash}*sin(2*PI*1000*t)':s=48000:d=5"
    codecs = ("-c:v", "libx264", "-bf", "0", "-g", "25", "-c:a", "aac", "-b:a", "128k")
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture]
    subprocess.run([*program, "-f", "lavfi", "-i", sound, *codecs, str(path)], check=True)
    return path


def sound_of(path: Path) -> tuple[float, np.ndarray]:
    """When it begins in the video, in seconds, and its samples at 48 kHz."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return frames[0].time or 0.0, np.concatenate([frame.to_ndarray()[0] for frame in frames])


def onsets_s(path: Path) -> list[float]:
    """When tones begin after silence."""
    begin_s, samples = sound_of(path)
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    first = loud[np.diff(loud, prepend=-(10**6)) > 48000 // 2]
    return [begin_s + index / 48000 for index in first]


def flashes_s(path: Path) -> list[float]:
    """When pictures are brighter than the one before."""
    with av.open(str(path)) as container:
        seen = [(frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
    return [time_s or 0.0 for (_, before), (time_s, grey) in pairwise(seen) if grey - before > 60]


@pytest.mark.parametrize("executor", ["local", "ray"])
def test_tones_begin_with_their_flashes(tmp_path: Path, flashing: Path, weights: Path, executor: str) -> None:
    command = options_of("-", tmp_path, weights, executor, "encode.overlay_opacity=0")
    with flashing.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(results_of(tmp_path / "stdin")) == 125
    video = Layout(tmp_path / "stdin").segment(0).video
    assert len(flashes_s(video)) == len(FLASHES_S)
    assert onsets_s(video) == pytest.approx(flashes_s(video), abs=0.002)


def test_sound_that_leads_stays_in_time(tmp_path: Path, flashing: Path, weights: Path) -> None:
    """As when one comes to a camera in the middle of a group of pictures: sound is there a second earlier."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-itsoffset", "1", "-i", str(flashing)]
    mapping = ["-i", str(flashing), "-map", "0:v", "-map", "1:a", "-c", "copy", "-f", "mpegts"]
    subprocess.run([*program, *mapping, str(tmp_path / "leading.ts")], check=True)
    command = options_of("-", tmp_path, weights, "local", "encode.overlay_opacity=0")
    with (tmp_path / "leading.ts").open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    video = Layout(tmp_path / "stdin").segment(0).video
    tones_s = [time_s for time_s in onsets_s(video) if time_s > 0.5]
    assert len(tones_s) == 3
    late_s = onsets_s(tmp_path / "leading.ts")[1] - flashes_s(tmp_path / "leading.ts")[0]
    assert tones_s == pytest.approx([time_s + late_s for time_s in flashes_s(video)[:3]], abs=0.002)


def test_sound_goes_on_behind_a_jump_of_the_clock(tmp_path: Path, flashing: Path, weights: Path) -> None:
    command = options_of("-", tmp_path, weights, "local", "encode.overlay_opacity=0")
    twice = flashing.read_bytes() * 2
    done = subprocess.run(command, input=twice, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert status_of(tmp_path / "stdin")["live"]["clock_jumps"] == 1
    video = Layout(tmp_path / "stdin").segment(0).video
    assert len(flashes_s(video)) == 2 * len(FLASHES_S)
    assert onsets_s(video) == pytest.approx(flashes_s(video), abs=0.025), (
        "a packet at the jump may be left out"
    )


@pytest.mark.parametrize("stride", [1, 4])
def test_nothing_is_lost_of_the_sound_of_pictures_that_are_left_out(
    tmp_path: Path, flashing: Path, stride: int
) -> None:
    pipe = tmp_path / "camera.ts"
    os.mkfifo(pipe)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-re", "-i", str(flashing), "-c", "copy"]
    with subprocess.Popen([*program, "-y", "-f", "mpegts", str(pipe)]):
        watcher = Watcher(replace(live(str(pipe), on_full="newest"), stride=stride))
        while watcher.cursor is None or not watcher.cursor.ended:
            watcher.look()
            assert watcher.latest is not None
            watcher.cursor = watcher.latest
            time.sleep(0.3)
        watcher.close()
    assert len(watcher.frames) < 25, "of 125"
    heard = [packet for frame in watcher.frames if frame.sound for packet in frame.sound.packets]
    with av.open(str(flashing)) as container:
        sent = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    first = sent.index(heard[0].content)
    assert first < 3
    assert [packet.content for packet in heard] == sent[first : first + len(heard)]
    assert len(heard) > 200, "of 235: what comes behind the last picture is left out"


def test_segments_share_the_sound_among_them(tmp_path: Path, flashing: Path, weights: Path) -> None:
    command = options_of("-", tmp_path, weights, "local", "encode.segment_s=1.3", "encode.overlay_opacity=0")
    with flashing.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    videos = [segment.video for segment in Layout(tmp_path / "stdin").all_segments()]
    assert len(videos) == 4
    for video in videos:
        assert onsets_s(video) == pytest.approx(flashes_s(video), abs=0.002)
    heard_s = sum(len(sound_of(video)[1]) for video in videos) / 48000
    assert heard_s == pytest.approx(5, abs=0.15)


def test_sound_that_is_not_wanted_is_left_out(tmp_path: Path, flashing: Path, weights: Path) -> None:
    command = options_of("-", tmp_path, weights, "local", "input.sound=false")
    with flashing.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    with av.open(str(Layout(tmp_path / "stdin").segment(0).video)) as container:
        assert len(container.streams.audio) == 0


@needs_rtsp
def test_a_camera_with_sound(tmp_path: Path, weights: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", num_pictures=100)
    with RtspServer(pictures, sound="aac") as server:
        command = [*options_of(server.address, tmp_path, weights, "local"), "--end", "8"]
        began_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began_s < 40
    assert check_segments(tmp_path / "cam") == 1
    video = Layout(tmp_path / "cam").segment(0).video
    begin_s, samples = sound_of(video)
    assert begin_s < 0.3
    assert begin_s + len(samples) / 48000 == pytest.approx(8, abs=0.5)
    assert np.abs(samples).reshape(-1, 1024)[2:].max(axis=1).min() > 0.3, "the tone has no holes"


@needs_rtsp
def test_sound_that_an_mp4_cannot_carry_is_left_out_with_a_line(tmp_path: Path, weights: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", num_pictures=100)
    with RtspServer(pictures, sound="alaw") as server:
        command = [*options_of(server.address, tmp_path, weights, "local"), "--end", "4"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("its sound is left out, as an MP4 cannot carry pcm_alaw") == 1
