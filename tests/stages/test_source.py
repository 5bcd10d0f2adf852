from __future__ import annotations

import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from configs.errors import SourceError
from stages.source import Source, expand_sources, natural_order, probe
from tests.media import cut_in_half, make_audio_only, make_pictures, make_text, make_video


def test_a_video_becomes_a_source_of_its_own_name(tmp_path: Path) -> None:
    path = make_video(tmp_path / "street.mp4", num_frames=2)
    (source,) = expand_sources([str(path)], start_s=1.5, end_s=3.0, stride=2)
    assert (source.name, source.kind, source.paths) == ("street", "video", (str(path),))
    assert (source.start_s, source.end_s, source.stride) == (1.5, 3.0, 2)
    assert pickle.loads(pickle.dumps(source)) == source


def test_a_folder_of_pictures_is_read_in_natural_order(tmp_path: Path) -> None:
    make_pictures(tmp_path / "walk", ["img10.png", "img2.png", "img1.png"])
    (tmp_path / "walk" / "notes.txt").write_text("not a picture")
    (source,) = expand_sources([str(tmp_path / "walk")])
    assert (source.name, source.kind) == ("walk", "pictures")
    assert [Path(path).name for path in source.paths] == ["img1.png", "img2.png", "img10.png"]


def test_a_glob_of_pictures_is_one_sequence(tmp_path: Path) -> None:
    make_pictures(tmp_path / "walk", ["a1.png", "a2.png", "b1.png"])
    (source,) = expand_sources([str(tmp_path / "walk" / "a*.png")])
    assert [Path(path).name for path in source.paths] == ["a1.png", "a2.png"]


def test_pictures_that_the_shell_listed_are_one_sequence_per_folder(tmp_path: Path) -> None:
    pictures = make_pictures(tmp_path / "walk", ["1.png", "2.png"])
    others = make_pictures(tmp_path / "ride", ["1.png", "2.png"])
    sources = expand_sources([str(path) for path in pictures + others])
    assert [(source.name, len(source.paths)) for source in sources] == [("walk", 2), ("ride", 2)]


def test_a_glob_of_videos_gives_several_streams(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4"):
        make_text(tmp_path / name)
    assert [source.name for source in expand_sources([str(tmp_path / "*.mp4")])] == ["a", "b"]


def test_a_text_file_names_sources_a_line_each_relative_to_its_folder(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_text(tmp_path / name)
    make_pictures(tmp_path / "walk", ["1.png", "2.png"])
    listed = tmp_path / "sources.txt"
    listed.write_text(f"# cameras of Monday\n\na.mp4\n  {tmp_path / 'b.mp4'}\nwalk\n")
    sources = expand_sources([str(listed)])
    assert [(source.name, source.kind) for source in sources] == [
        ("a", "video"),
        ("b", "video"),
        ("walk", "pictures"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a.mp4\nlost.mp4\n", r"lost\.mp4: no such file or folder"),
        (b"more.txt\n", r"sources\.txt: names another list, more\.txt"),
        (b"\xff\xfe\x00", r"sources\.txt: is no list of sources that can be read"),
        (b"# nothing\n", r"no source was given"),
    ],
)
def test_a_list_that_names_no_sources_is_an_error_that_says_so(
    tmp_path: Path, content: bytes, words: str
) -> None:
    make_text(tmp_path / "a.mp4")
    (tmp_path / "sources.txt").write_bytes(content)
    with pytest.raises(SourceError, match=words):
        expand_sources([str(tmp_path / "sources.txt")])


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    for place in ("one/clip.mp4", "two/clip.mp4", "two/CLIP.mkv"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        make_text(tmp_path / place)
    sources = expand_sources(
        [str(tmp_path / place) for place in ("one/clip.mp4", "two/clip.mp4", "two/CLIP.mkv")]
    )
    assert [source.name for source in sources] == ["clip", "clip-2", "CLIP-3"]


def test_paths_hold_in_a_process_with_another_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_text(tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    (source,) = expand_sources(["clip.mp4"])
    assert source.paths == (str(tmp_path / "clip.mp4"),)


def test_numbers_in_names_are_ordered_by_value() -> None:
    assert sorted(["img10", "img2", "img1b", "img1"], key=natural_order) == ["img1", "img1b", "img2", "img10"]


@pytest.mark.parametrize(
    ("start_s", "end_s", "stride", "message"),
    [
        (2.0, 2.0, 1, "end must lie after start: got start 2 s and end 2 s"),
        (-1.0, None, 1, "start must be a time of 0 seconds or more, got -1"),
        (0.0, None, 0, "stride must be at least 1, got 0"),
    ],
)
def test_a_stretch_that_makes_no_sense_is_refused(
    start_s: float, end_s: float | None, stride: int, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        expand_sources(["clip.mp4"], start_s=start_s, end_s=end_s, stride=stride)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"missing\.mp4: no such file or folder"):
        expand_sources([str(tmp_path / "missing.mp4")])
    with pytest.raises(SourceError, match="empty: holds no pictures"):
        expand_sources([str(tmp_path / "empty")])
    with pytest.raises(SourceError, match=r"\*\.mp4: no video and no picture matches"):
        expand_sources([str(tmp_path / "*.mp4")])


def test_the_password_of_a_camera_is_not_repeated() -> None:
    with pytest.raises(
        SourceError, match=r"rtmp://\.\.\. cannot be read; expected http, https, rtsp"
    ) as raised:
        expand_sources(["rtmp://admin:secret@camera/1"])
    assert "secret" not in str(raised.value)
    (source,) = expand_sources(["rtsp://admin:secret@camera/1"])
    assert (source.kind, source.label) == ("live", "rtsp://camera/1")
    assert "secret" not in repr(source)


def test_a_password_in_the_path_of_a_camera_is_not_repeated() -> None:
    (source,) = expand_sources(["rtsp://10.0.0.7:554/user=admin&password=s3cret&channel=1.sdp"])
    assert source.label == "rtsp://10.0.0.7:554/user=admin&password=...&channel=1.sdp"
    assert source.name == "10.0.0.7"


def test_a_number_names_a_camera_unless_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="/dev/video77: no such file or folder"):
        expand_sources(["77"])
    (tmp_path / "77").mkdir()
    with pytest.raises(SourceError, match="77: holds no pictures"):
        expand_sources(["77"])


def test_a_live_source_has_no_other_start_than_now() -> None:
    with pytest.raises(SourceError, match="--start: a live source"):
        expand_sources(["rtsp://camera/1"], start_s=3.0)


def test_the_header_of_a_video_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=25, b_frames=2, audio_codec="aac")
    info = probe(Source(name="clip", kind="video", paths=(str(path),)))
    assert (info.size, info.codec, info.has_audio) == ((48, 64), "h264", True)
    assert (info.num_frames, info.average_rate, info.time_base) == (25, Fraction(25), Fraction(1, 12800))
    assert info.duration_s == pytest.approx(1.0)


def refusal(path: Path, start_s: float = 0.0, end_s: float | None = None) -> str:
    """The message with which a video is refused; one line that begins with its path."""
    source = Source(name="clip", kind="video", paths=(str(path),), start_s=start_s, end_s=end_s)
    with pytest.raises(SourceError) as raised:
        probe(source)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_text_file_named_mp4_is_refused(tmp_path: Path) -> None:
    assert "is not a video that can be read" in refusal(make_text(tmp_path / "clip.mp4"))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    assert "is not a video that can be read" in refusal(tmp_path / "clip.mp4")


def test_a_file_without_video_track_is_refused(tmp_path: Path) -> None:
    assert "has no video track" in refusal(make_audio_only(tmp_path / "clip.mp4"))


def test_an_mp4_without_its_index_cannot_be_recovered(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", num_frames=30, size=(96, 128))
    message = refusal(cut_in_half(whole, tmp_path / "half.mp4"))
    assert "its index (moov) is missing" in message
    assert "copy the file again" in message


def test_a_start_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=25)
    assert "no picture lies at or after the start of 7 s; it lasts 1.000 s" in refusal(path, start_s=7)


def test_a_stretch_between_two_pictures_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=25)
    assert "no picture lies between 0.41 s and 0.43 s" in refusal(path, start_s=0.41, end_s=0.43)


def test_importing_sources_loads_no_codec() -> None:
    code = "import sys, stages.source; print({'av', 'cv2', 'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
