"""Videos that a real server sends, also one that fails on the way."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from configs.errors import ConnectionLostError, SourceError
from configs.schema import InputSettings, Settings
from stages.decode import DecodeStage
from stages.messages import Cursor, Frame
from stages.source import Source, expand_sources, lost_frames, probe
from tests.http_server import Behaviour, serving
from tests.media import TICKS, make_video, picture

SECRET = "s3cret"
NUM_FRAMES = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same video with its index last, first, in Matroska and as a transport stream; others."""
    folder = tmp_path_factory.mktemp("www")
    make_video(folder / "last.mp4", num_frames=NUM_FRAMES, size=(240, 320), b_frames=2)
    first = {"movflags": "+faststart"}
    make_video(folder / "first.mp4", num_frames=NUM_FRAMES, size=(240, 320), b_frames=2, format_options=first)
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(folder / "first.mp4"), "-c", "copy"]
    for name in ("clip.mkv", "clip.ts"):
        subprocess.run([*program, str(folder / name)], check=True)
    (folder / "text.mp4").write_text("no video\n")
    return folder


def source_at(address: str, *, start_s: float = 0.0, end_s: float | None = None) -> Source:
    (source,) = expand_sources([address], start_s=start_s, end_s=end_s)
    return dataclasses.replace(source, rules=InputSettings(open_timeout_s=2.0, read_timeout_s=2.0))


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
        (one.pts, one.duration) == (other.pts, other.duration) and np.array_equal(one.image, other.image)
        for one, other in zip(frames, others, strict=True)
    )


@pytest.mark.parametrize("name", ["last.mp4", "first.mp4", "clip.mkv", "clip.ts"])
@pytest.mark.parametrize("stretch", [{}, {"start_s": 1.1, "end_s": 1.9}])
def test_a_server_gives_the_frames_of_the_file(folder: Path, name: str, stretch: dict[str, float]) -> None:
    from_file, _ = decoded(source_at(str(folder / name), **stretch))
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
        with pytest.raises(SourceError, match="only videos can be read whose index comes first"):
            probe(source_at(f"http://{host}/last.mp4", **stretch))


@pytest.mark.parametrize("name", ["first.mp4", "clip.mkv", "clip.ts"])
def test_a_server_that_hangs_up_again_and_again_costs_no_frame(folder: Path, name: str) -> None:
    behaviour = Behaviour(drop_after=20_000)
    with serving(folder, behaviour) as host:
        frames, _ = decoded(source_at(f"http://{host}/{name}"))
    assert same(frames, decoded(source_at(str(folder / name)))[0])
    assert behaviour.num_requests > 3


@pytest.mark.parametrize("name", ["first.mp4", "clip.mkv"])
def test_a_server_that_sends_nothing_more_ends_the_stream_and_it_goes_on_later(
    folder: Path, name: str
) -> None:
    size = (folder / name).stat().st_size
    behaviour = Behaviour(stall_after=size // 2)
    stage, done = DecodeStage(Settings()), list[tuple[Frame, Cursor]]()
    with serving(folder, behaviour) as host:
        source = source_at(f"http://me:{SECRET}@{host}/{name}")
        with pytest.raises(ConnectionLostError, match=r"\(nothing came for 2 s\); --resume") as told:
            read_on(stage, source, done)
        assert SECRET not in str(told.value)
        assert 10 < len(done) < NUM_FRAMES
        stage.close()
        behaviour.stall_after = None
        read_on(stage, source, done)
    assert same([frame for frame, _ in done], decoded(source_at(str(folder / name)))[0])


@pytest.mark.parametrize("name", ["first.mp4", "clip.mkv"])
def test_a_server_that_is_gone_for_good_ends_the_stream(folder: Path, name: str) -> None:
    stage = DecodeStage(Settings())
    with serving(folder, Behaviour(stall_after=(folder / name).stat().st_size // 2)) as host:
        source = source_at(f"http://{host}/{name}")
        first, cursor = stage(source, None)
        assert first is not None
    with pytest.raises(ConnectionLostError, match=r"the connection was lost after [01]\.\d+ s"):
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


def test_a_seek_on_a_server_that_sends_nothing_ends(folder: Path) -> None:
    behaviour, stage = Behaviour(), DecodeStage(Settings())
    with serving(folder, behaviour) as host:
        source = source_at(f"http://{host}/clip.mkv")
        first, cursor = stage(source, None)
        assert first is not None
        stage.close()
        behaviour.stall_after = 20_000
        with pytest.raises(ConnectionLostError, match="the connection was lost"):
            read_on(stage, source, [(first, cursor)])
    stage.close()


def test_a_file_that_is_damaged_on_the_server_is_read_as_far_as_it_goes(folder: Path, tmp_path: Path) -> None:
    content = (folder / "first.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    with serving(tmp_path) as host:
        frames, cursor = decoded(source := source_at(f"http://{host}/cut.mp4"))
        assert lost_frames(probe(source), cursor) > 0
    assert same(frames, decoded(source_at(str(tmp_path / "cut.mp4")))[0])


def test_a_last_picture_that_stays_long_is_no_lost_connection(tmp_path: Path) -> None:
    times = [*range(0, 30 * TICKS // 25, TICKS // 25), 5 * TICKS]
    make_video(tmp_path / "clip.mkv", pictures=[picture(index, (48, 64)) for index in range(31)], times=times)
    with serving(tmp_path) as host:
        frames, _ = decoded(source_at(f"http://{host}/clip.mkv"))
    assert same(frames, decoded(source_at(str(tmp_path / "clip.mkv")))[0])


def test_a_certificate_must_be_trusted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    program = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]
    program += ["/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*program, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(folder, tls=context) as host:
        source = source_at(f"https://{host}/first.mp4")
        with pytest.raises(SourceError, match=r"is not trusted|has sent a video within"):
            probe(source)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert probe(source).size == (240, 320)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/clip.mp4?x=1", "clip"), ("/", "h"), ("/..", "h"), ("/%2e%2e.mp4", "h"), ("/a%00b.mp4", "a_b")],
)
def test_a_stream_has_a_name_that_is_safe_as_a_folder(path: str, name: str) -> None:
    (source,) = expand_sources([f" http://me:{SECRET}@h{path}"])
    assert source.name == name
    assert SECRET not in source.label + repr(source)


def test_a_list_may_name_addresses(tmp_path: Path) -> None:
    address = f"https://me:{SECRET}@h/get?file=a.txt"
    (tmp_path / "list.txt").write_text(f"{address}\n", encoding="utf-8-sig")
    (source,) = expand_sources([str(tmp_path / "list.txt")])
    assert source.paths == (address,)
    assert source.label == "https://h/get?..."


@pytest.mark.parametrize("address", [f"https://me:12/{SECRET}@h/x.mp4", f"http://me:1?{SECRET}@h/x.mp4"])
def test_a_password_that_is_not_encoded_is_not_told(address: str) -> None:
    with pytest.raises(SourceError, match="%2F") as told:
        expand_sources([address])
    assert SECRET not in str(told.value)
