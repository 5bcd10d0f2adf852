"""Live streams that a plain HTTP server sends: playlists, growing and with an end, and what has no length."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest

from stages.video_open import recognised
from tests.http_server import Behaviour, serving
from tests.live.watching import Watch, live
from tests.media import make_video, number_of

pytestmark = pytest.mark.slow

NUM_FRAMES = 150


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(
        tmp_path_factory.mktemp("clip") / "clip.mp4", num_frames=NUM_FRAMES, size=(96, 128), gop=25
    )


def cut(clip: Path, playlist: Path, *options: str, at_its_rate: bool = False) -> subprocess.Popen[bytes]:
    """Cut a video into segments of a second, as it goes or at once."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *(["-re"] if at_its_rate else [])]
    program += ["-stream_loop", "-1"] if at_its_rate else []
    program += ["-i", str(clip), "-c", "copy", "-f", "hls", "-hls_time", "1", *options, str(playlist)]
    return subprocess.Popen(program)


@pytest.fixture
def growing(clip: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder in which a playlist grows as time goes by."""
    process = cut(clip, tmp_path / "live.m3u8", "-hls_list_size", "5", at_its_rate=True)
    while not (tmp_path / "live.m3u8").exists():
        time.sleep(0.1)
    time.sleep(2.0)
    yield tmp_path
    process.kill()
    process.wait()


def test_a_growing_playlist_is_shown_at_its_own_rate(growing: Path, watch: Watch) -> None:
    with serving(growing) as host:
        watcher = watch(live(f"http://{host}/live.m3u8"))
        watcher.see(25)
        began_s, frames = time.monotonic(), watcher.see(75)
        lasted_s = time.monotonic() - began_s
    numbers = [number_of(frame.image) for frame in frames]
    assert 2.0 < lasted_s < 8.0
    assert sum((later - earlier) % NUM_FRAMES == 1 for earlier, later in itertools.pairwise(numbers)) > 40
    assert all(frame.gap is None for frame in watcher.frames)


def test_all_pictures_of_a_playlist_with_an_end_are_taken(clip: Path, tmp_path: Path, watch: Watch) -> None:
    cut(clip, tmp_path / "all.m3u8", "-hls_playlist_type", "vod").wait()
    with serving(tmp_path) as host:
        watcher = watch(live(f"http://{host}/all.m3u8"))
        watcher.until(lambda: watcher.latest is not None and watcher.latest.ended)
    assert [number_of(frame.image) for frame in watcher.frames] == list(range(NUM_FRAMES))
    assert [frame.pts for frame in watcher.frames] == [index * 3600 for index in range(NUM_FRAMES)]


def test_a_segment_that_the_server_lacks_is_a_gap(clip: Path, tmp_path: Path, watch: Watch) -> None:
    cut(clip, tmp_path / "all.m3u8", "-hls_playlist_type", "vod").wait()
    for name in ("all2.ts", "all3.ts", "all4.ts"):
        (tmp_path / name).unlink()
    with serving(tmp_path) as host:
        watcher = watch(live(f"http://{host}/all.m3u8"))
        watcher.until(lambda: watcher.latest is not None and watcher.latest.ended)
    assert [number_of(frame.image) for frame in watcher.frames] == [*range(50), *range(125, NUM_FRAMES)]
    ((frame, gap),) = ((frame, frame.gap) for frame in watcher.frames if frame.gap is not None)
    assert frame.index == 50
    assert gap.duration_s == pytest.approx(3.04)
    assert frame.pts == 125 * 3600


def test_what_a_server_gives_no_length_of_is_live(clip: Path, tmp_path: Path, watch: Watch) -> None:
    stream = tmp_path / "stream.ts"
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-c", "copy", str(stream)]
    subprocess.run(program, check=True)
    with serving(tmp_path, Behaviour(says_size=False, sends_parts=False)) as host:
        source = recognised(live(f"http://{host}/stream.ts", on_full="wait", max_retries=0))
        assert source.kind == "live"
        watcher = watch(replace(source, end_s=3.0))
        watcher.until(lambda: watcher.latest is not None and watcher.latest.ended)
    assert [number_of(frame.image) for frame in watcher.frames] == list(range(75))
