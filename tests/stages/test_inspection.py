from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from stages.inspection import Inspection, inspect
from stages.source import expand_sources, probe
from tests.media import cut_in_half, make_pictures, make_video, make_video_with_times


def inspected(path: Path) -> Inspection:
    (source,) = expand_sources([str(path)])
    return inspect(source, probe(source))


def facts_of(path: Path) -> dict[str, str]:
    return dict(inspected(path).facts)


def test_a_healthy_video_has_facts_and_no_troubles(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=50, gop=10, b_frames=2, audio_codec="aac")
    facts = facts_of(path)
    assert facts["container"] == "QuickTime / MOV"
    assert facts["codec"].startswith("h264 (High")
    assert facts["size"] == "64x48"
    assert facts["rate"] == "25 a second, constant"
    assert facts["duration"] == "2.000 s, 50 frames to process"
    assert facts["keyframes"] == "5, at most 0.4 s apart"
    assert facts["sound"] == "aac"
    assert inspected(path).troubles == ()


def test_a_variable_rate_is_told_with_its_extremes(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=5, times=[0, 512, 1024, 1536, 12800])
    assert facts_of(path)["rate"] == "25 a second in the middle, variable: 40.0 to 880.0 ms"


def test_a_turned_video_is_told_as_it_is_shown(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=2, rotation=90)
    assert facts_of(path)["size"] == "48x64, turned by 90 degrees from 64x48"


def test_pixels_that_are_not_square_are_a_trouble_with_a_remedy(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=2, pixel_aspect=Fraction(4, 3))
    assert facts_of(path)["size"] == "64x48, pixels 4:3"
    (trouble,) = inspected(path).troubles
    assert "setsar=1" in trouble


def test_a_video_that_was_cut_off_tells_what_is_missing(tmp_path: Path) -> None:
    options = {"movflags": "+faststart"}
    whole = make_video(tmp_path / "clip.mp4", num_frames=60, size=(96, 128), format_options=options)
    troubles = inspected(cut_in_half(whole, tmp_path / "half.mp4")).troubles
    assert any("promises 60 pictures" in trouble and "cut off" in trouble for trouble in troubles)


def test_times_that_cannot_be_trusted_are_counted(tmp_path: Path) -> None:
    path = make_video_with_times(tmp_path / "clip.ts", [180000, 183600, 183600, 0, 3600])
    (trouble,) = inspected(path).troubles
    assert "0 missing, 1 twice, 1 jumps back" in trouble


def test_sound_that_is_left_out_is_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", num_frames=5, audio_codec="pcm_s16le")
    assert inspected(path).troubles == (
        "sound as pcm_s16le: it is left out, as an MP4 cannot carry it; convert it to AAC",
    )


def test_pictures_are_told_by_number_and_size(tmp_path: Path) -> None:
    make_pictures(tmp_path / "walk", ["1.png", "2.png", "3.png"])
    assert facts_of(tmp_path / "walk")["pictures"] == "3 of 64x48"
