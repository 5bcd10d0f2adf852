"""Videos that a real server sends, also one that fails on the way."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from configs.errors import ConnectionLostError, SourceError
from configs.schema import Settings
from stages.decode import DecodeStage
from stages.messages import Cursor, Frame
from stages.source import Source, expand_sources, lost_frames, probe
from tests.http_server import Behaviour, serving
from tests.media import make_video

SECRET = "s3cret"
NUM_FRAMES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with its index at the end, one with the index first, a playlist, and what is no video."""
    folder = tmp_path_factory.mktemp("www")
    make_video(folder / "last.mp4", num_frames=NUM_FRAMES, size=(240, 320), b_frames=2)
    first = {"movflags": "+faststart"}
    make_video(folder / "first.mp4", num_frames=NUM_FRAMES, size=(240, 320), b_frames=2, format_options=first)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(folder / "first.mp4"), "-c", "copy"]
    playlist = ["-f", "hls", "-hls_time", "0.5", "-hls_playlist_type", "vod", str(folder / "list.m3u8")]
    subprocess.run([*program, *playlist], check=True)
    (folder / "text.mp4").write_text("no video\n")
    return folder


def source_at(address: str, **stretch: float) -> Source:
    (source,) = expand_sources([address], **stretch)  # type: ignore[arg-type]
    return dataclasses.replace(source, open_timeout_s=2.0, read_timeout_s=2.0)


def read_on(stage: DecodeStage, source: Source, done: list[tuple[Frame, Cursor]]) -> Cursor:
    """Appends what follows, each with the cursor after it; the last cursor."""
    cursor = done[-1][1] if done else None
    while cursor is None or not cursor.ended:
        frame, cursor = stage(source, cursor)
        done += [(frame, cursor)] if frame is not None else []
    return cursor


def decoded(source: Source) -> tuple[list[Frame], Cursor]:
    stage, done = DecodeStage(Settings()), list[tuple[Frame, Cursor]]()
    cursor = read_on(stage, source, done)
    stage.close()
    return [frame for frame, _ in done], cursor


def same(frames: list[Frame], others: list[Frame]) -> bool:
    return len(frames) == len(others) and all(
        np.array_equal(one.image, other.image) for one, other in zip(frames, others, strict=True)
    )


@pytest.mark.parametrize("name", ["last.mp4", "first.mp4", "list.m3u8"])
@pytest.mark.parametrize("stretch", [{}, {"start_s": 1.1, "end_s": 1.9}])
def test_a_server_gives_the_frames_of_the_file(folder: Path, name: str, stretch: dict[str, float]) -> None:
    from_file, _ = decoded(source_at(str(folder / "first.mp4"), **stretch))
    assert len(from_file) == (20 if stretch else NUM_FRAMES)
    with serving(folder) as host:
        source = source_at(f"http://{host}/{name}", **stretch)
        assert probe(source).size == (240, 320)
        frames, cursor = decoded(source)
        assert lost_frames(probe(source), cursor) == 0
    assert same(frames, from_file)


@pytest.mark.parametrize("stretch", [{}, {"start_s": 1.1, "end_s": 1.9}])
def test_a_server_may_send_whole_files_alone(folder: Path, stretch: dict[str, float]) -> None:
    from_file, _ = decoded(source_at(str(folder / "first.mp4"), **stretch))
    with serving(folder, Behaviour(sends_parts=False)) as host:
        assert same(decoded(source_at(f"http://{host}/first.mp4", **stretch))[0], from_file)
        with pytest.raises(SourceError, match="can send only videos whose index comes first"):
            probe(source_at(f"http://{host}/last.mp4", **stretch))


def test_a_server_that_hangs_up_again_and_again_costs_no_frame(folder: Path) -> None:
    behaviour = Behaviour(drop_after=20_000)
    with serving(folder, behaviour) as host:
        frames, _ = decoded(source_at(f"http://{host}/first.mp4"))
    assert same(frames, decoded(source_at(str(folder / "first.mp4")))[0])
    assert behaviour.num_requests > 3


def test_a_server_that_sends_nothing_more_ends_the_stream_and_it_goes_on_later(folder: Path) -> None:
    size = (folder / "first.mp4").stat().st_size
    behaviour = Behaviour(stall_after=size // 2)
    stage, done = DecodeStage(Settings()), list[tuple[Frame, Cursor]]()
    with serving(folder, behaviour) as host:
        source = source_at(f"http://me:{SECRET}@{host}/first.mp4")
        with pytest.raises(ConnectionLostError, match=r"\(nothing came for 2 s\); --resume") as told:
            read_on(stage, source, done)
        assert SECRET not in str(told.value)
        assert 10 < len(done) < NUM_FRAMES
        stage.close()
        behaviour.stall_after = None
        read_on(stage, source, done)
    assert same([frame for frame, _ in done], decoded(source_at(str(folder / "first.mp4")))[0])


def test_a_server_that_is_gone_for_good_ends_the_stream(folder: Path) -> None:
    stage = DecodeStage(Settings())
    with serving(folder, Behaviour(stall_after=(folder / "first.mp4").stat().st_size // 2)) as host:
        source = source_at(f"http://{host}/first.mp4")
        first, cursor = stage(source, None)
        assert first is not None
    with pytest.raises(ConnectionLostError, match=r"the connection was lost after 1\.\d+ s"):
        read_on(stage, source, [(first, cursor)])
    stage.close()


@pytest.mark.parametrize(
    ("path", "behaviour", "says"),
    [
        ("none.mp4", Behaviour(), "the server has no such file"),
        ("text.mp4", Behaviour(), "is not a video that can be read"),
        ("first.mp4", Behaviour(user_password="me:other"), "the server wants another user or password"),
        ("first.mp4", Behaviour(stall_after=0), "no server there has sent a video within 2 s"),
    ],
)
def test_what_cannot_be_opened_is_said_without_the_password(
    folder: Path, path: str, behaviour: Behaviour, says: str
) -> None:
    with serving(folder, behaviour) as host:
        with pytest.raises(SourceError, match=says) as told:
            probe(source_at(f"http://me:{SECRET}@{host}/{path}?key={SECRET}"))
        assert str(told.value).startswith(f"http://{host}/{path}?...: ")
        assert SECRET not in str(told.value)


def test_a_server_that_does_not_run_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}/a.mp4"
    with pytest.raises(SourceError, match=f"{address}: no server there has sent a video within 2 s"):
        probe(source_at(address))


def test_a_playlist_without_an_end_is_refused(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "list.m3u8").read_text().replace("#EXT-X-ENDLIST\n", "").replace("VOD", "EVENT")
    for part in folder.glob("*.ts"):
        (tmp_path / part.name).write_bytes(part.read_bytes())
    (tmp_path / "live.m3u8").write_text(lines)
    with serving(tmp_path) as host, pytest.raises(SourceError, match="is a live stream"):
        probe(source_at(f"http://{host}/live.m3u8"))
