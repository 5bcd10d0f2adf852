"""A live source read from a real RTSP server, and what such servers do wrong."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from configs.errors import ConnectionLostError, SourceError
from stages.source import probe
from tests.live.lossy_relay import LossyRelay
from tests.live.rtsp_server import RATE, RtspServer, needs_rtsp, write_pictures
from tests.live.watching import RULES, Watch, live
from tests.media import number_of

pytestmark = [needs_rtsp, pytest.mark.slow]

SIZE = (96, 128)
NUM_RESTARTS = int(os.environ.get("NUM_RESTARTS", "2"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures", 250, SIZE)


def test_the_source_is_told(pictures: Path) -> None:
    with RtspServer(pictures) as server:
        info = probe(live(server.address))
    assert (info.size, info.codec, info.average_rate) == (SIZE, "h264", Fraction(RATE))
    assert info.num_frames is None


def test_pictures_come_as_they_are_shown_with_the_times_of_the_source(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        frames = watcher.see(50)
    numbers, times = [number_of(frame.image) for frame in frames], [frame.pts for frame in frames]
    assert watcher.states == ["connecting", "live"]
    assert [frame.index for frame in frames] == list(range(50))
    assert times[0] == 0
    for step in range(1, 50):  # a picture that was left out is missing in both
        assert times[step] - times[step - 1] == (numbers[step] - numbers[step - 1]) % 250 * 90_000 // RATE
    assert all(frame.gap is None and frame.duration == 90_000 // RATE for frame in frames)
    assert all(frame.captured_s is not None and abs(frame.captured_s - time.time()) < 60 for frame in frames)


def test_a_server_that_is_killed_leaves_a_gap_as_long_as_it_was_gone(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        before = watcher.see(10)[-1]
        server.kill()
        watcher.until(lambda: watcher.states[-1] == "reconnecting")
        time.sleep(2.0)
        server.start()
        first = watcher.see(1)[0]
        watcher.see(5)
    assert first.gap is not None
    assert before.captured_s is not None
    assert first.captured_s is not None
    assert first.gap.start_s == pytest.approx(before.captured_s, abs=0.5)  # some were on the way
    assert first.gap.end_s == first.captured_s
    assert (first.pts - before.pts) / 90_000 == pytest.approx(first.captured_s - before.captured_s, abs=0.5)
    assert watcher.states == ["connecting", "live", "reconnecting", "live"]
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert (watcher.cursor.live.num_connections, watcher.cursor.live.segment) == (2, first.index)
    assert all(frame.gap is None for frame in watcher.frames[first.index + 1 :])


def test_after_many_restarts_of_the_server_nothing_is_left_open(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        watcher.see(10)
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(NUM_RESTARTS):
            server.kill()
            watcher.until(lambda: watcher.states[-1] == "reconnecting")
            server.start()
            watcher.until(lambda: watcher.states[-1] == "live")
            watcher.see(90)  # long enough for the next try to come soon
        left = threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert watcher.cursor.live.num_connections == NUM_RESTARTS + 1
    assert sum(frame.gap is not None for frame in watcher.frames) == NUM_RESTARTS
    assert left[0] == threads
    assert left[1] < files + NUM_RESTARTS  # a few are of the interpreter's own


def test_a_server_that_sends_nothing_is_stalled_and_then_connected_to_anew(
    pictures: Path, watch: Watch
) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        watcher.see(10)
        server.stop_sending()
        watcher.until(lambda: "reconnecting" in watcher.states)
        server.go_on()
        first = watcher.see(1)[0]
    assert watcher.states == ["connecting", "live", "stalled", "reconnecting", "live"]
    assert first.gap is not None
    assert first.gap.duration_s > RULES.frame_timeout_s
    assert "for 3 s" in first.gap.reason


def test_a_short_stall_is_no_gap_where_the_server_goes_on_where_it_was(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address, frame_timeout_s=20.0))
        watcher.see(10)
        server.stop_sending()
        watcher.until(lambda: watcher.states[-1] == "stalled")
        server.go_on()
        watcher.until(lambda: watcher.states[-1] == "live")
        watcher.see(10)
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert watcher.cursor.live.num_connections == 1
    assert all(frame.gap is None for frame in watcher.frames)


def test_what_a_server_leaves_out_is_a_gap_without_a_new_connection(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        watcher.see(10)
        server.tell("jump 4")
        watcher.see(40)
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert watcher.cursor.live.num_connections == 1
    (gap,) = (frame.gap for frame in watcher.frames if frame.gap is not None)
    assert gap.reason == "the source showed nothing for 4.0 s"


def test_times_that_jump_do_not_reach_the_frames(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        watcher.see(20)
        for jump in ("jump 1000", "jump -500"):
            server.tell(jump)
            watcher.see(40)
    steps = [
        later.pts - earlier.pts for earlier, later in zip(watcher.frames, watcher.frames[1:], strict=False)
    ]
    assert min(steps) > 0
    assert max(steps) < 90_000
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert watcher.cursor.live.num_jumps == 2
    assert all(frame.gap is None for frame in watcher.frames)


def test_another_size_begins_a_new_segment(pictures: Path, watch: Watch, tmp_path: Path) -> None:
    larger = write_pictures(tmp_path / "larger", 50, (144, 192))
    with RtspServer(pictures, larger) as server:
        watcher = watch(live(server.address))
        watcher.see(10)
        server.tell("show 1")
        watcher.until(lambda: watcher.frames[-1].size == (144, 192))
    first = watcher.frames[-1]
    assert watcher.cursor is not None
    assert watcher.cursor.live is not None
    assert (watcher.cursor.live.segment, watcher.cursor.live.follows) == (first.index, False)
    assert first.gap is None


def test_the_newest_picture_is_taken_and_the_others_are_counted(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address))
        watcher.see(1)
        for _ in range(10):
            time.sleep(0.2)  # a worker that does 5 frames a second
            (frame,) = watcher.see(1)
            assert frame.captured_s is not None
            assert time.time() - frame.captured_s < 0.5
        assert watcher.cursor is not None
        assert watcher.cursor.live is not None
        assert watcher.cursor.live.num_dropped >= 25


def test_a_source_that_has_to_wait_loses_no_picture(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address, on_full="wait"))
        numbers = [number_of(watcher.see(1)[0].image)]
        for _ in range(40):
            time.sleep(0.06)
            numbers.append(number_of(watcher.see(1)[0].image))
    assert all((later - earlier) % 250 == 1 for earlier, later in itertools.pairwise(numbers))


def test_every_third_picture_is_taken(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(replace(live(server.address, on_full="wait"), stride=3))
        frames = watcher.see(10)
    numbers = [number_of(frame.image) for frame in frames]
    assert all((later - earlier) % 250 == 3 for earlier, later in itertools.pairwise(numbers))
    assert frames[0].duration == 3 * 90_000 // RATE


def test_the_first_picture_that_is_taken_behind_a_gap_tells_of_it(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(replace(live(server.address), stride=25))
        last = watcher.see(2)[-1]
        time.sleep(1.2)  # a picture is held while the connection is lost
        server.kill()
        time.sleep(0.5)
        server.start()
        held, behind = watcher.see(2)
    assert held.gap is None
    assert (held.pts - last.pts) / 90_000 == pytest.approx(1.0, abs=0.2)
    assert behind.gap is not None


def test_it_ends_after_the_stretch_that_is_wanted(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(replace(live(server.address), end_s=2.0))
        watcher.until(lambda: watcher.latest is not None and watcher.latest.ended)
    assert watcher.states[-1] == "ended"
    assert 1.5 < watcher.frames[-1].pts / 90_000 < 2.1


def test_too_many_tries_in_a_row_end_it(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server:
        watcher = watch(live(server.address, max_retries=2))
        watcher.see(90)
        server.kill()
        with pytest.raises(ConnectionLostError, match=r"/cam: is lost, 2 tries to connect failed .*reached"):
            watcher.until(lambda: False)
        server.start()


def test_a_password_is_asked_for_and_never_shown(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures, user_password="me:s3cret") as server:
        for address in (server.address, f"rtsp://me:wr0ng@{server.host}/cam"):
            with pytest.raises(
                SourceError, match="another user or password; write them as rtsp://USER"
            ) as error:
                probe(live(address))
            assert "wr0ng" not in str(error.value)
        watcher = watch(live(f"rtsp://me:s3cret@{server.host}/cam"))
        watcher.see(3)
        server.kill()
        watcher.until(lambda: watcher.states[-1] == "reconnecting")
        server.start()
        (frame,) = watcher.see(1)
    assert "s3cret" not in repr((watcher.latest, frame.gap))


def test_the_certificate_of_a_server_must_be_trusted(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, both = tmp_path / "certificate.pem", tmp_path / "both.pem"
    program = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    program += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(both), "-out", str(certificate)]
    subprocess.run(program, check=True, capture_output=True)
    both.write_text(both.read_text() + certificate.read_text())
    with RtspServer(pictures, user_password="me:s3cret", certificate=both) as server:
        source = live(f"rtsps://me:s3cret@{server.host}/cam")
        with pytest.raises(SourceError, match="or its certificate is not trusted"):
            probe(source)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert probe(source).size == SIZE


def test_a_fifth_of_all_packets_may_be_lost_on_the_way(pictures: Path, watch: Watch) -> None:
    with RtspServer(pictures) as server, LossyRelay(server.host, lost=0.2) as relay:
        watcher = watch(live(f"rtsp://{relay.host}/cam", rtsp_transport="udp"))
        began_s = time.monotonic()
        watcher.see(20)
        while time.monotonic() < began_s + 10:
            watcher.look()
    assert relay.num_lost > 50
    assert watcher.latest is not None
    assert watcher.latest.live is not None
    assert watcher.latest.corrupt_packets > 0
    assert watcher.latest.live.num_connections == 1
    times = [frame.pts for frame in watcher.frames]
    assert times == sorted(set(times))


def test_what_is_no_server_and_no_video_is_said(pictures: Path) -> None:
    with RtspServer(pictures) as server:
        with pytest.raises(SourceError, match="/other: the server has no such stream"):
            probe(live(f"rtsp://{server.host}/other"))
        address = server.address
    with pytest.raises(SourceError, match="the server cannot be reached"):
        probe(live(address))
