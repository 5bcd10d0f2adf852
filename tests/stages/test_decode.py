from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from configs.errors import SourceError
from configs.schema import InputSettings, Settings
from stages.decode import DecodeStage
from stages.messages import Cursor, Frame
from stages.source import Source, lost_frames, probe
from tests.media import (
    TICKS,
    cut_in_half,
    damage_packet,
    make_giant_png,
    make_pictures,
    make_video,
    make_video_with_times,
    number_of,
)


def video(path: Path, *, start_s: float = 0.0, end_s: float | None = None, stride: int = 1) -> Source:
    return Source(
        name=path.stem, kind="video", paths=(str(path),), start_s=start_s, end_s=end_s, stride=stride
    )


def decode(source: Source) -> Iterator[tuple[Frame, Cursor]]:
    """All frames, each with the cursor after it, by one stage from start to end."""
    stage = DecodeStage(Settings())
    frame, cursor = stage(source, None)
    while frame is not None:
        yield frame, cursor
        frame, cursor = stage(source, cursor)
    assert cursor.ended
    stage.close()


def last_cursor(source: Source) -> Cursor:
    stage, cursor = DecodeStage(Settings()), None
    while cursor is None or not cursor.ended:
        _, cursor = stage(source, cursor)
    return cursor


def numbers(source: Source) -> list[int]:
    return [number_of(frame.image) for frame, _ in decode(source)]


def equal(one: Frame, other: Frame) -> bool:
    same_times = (one.index, one.pts, one.duration) == (other.index, other.pts, other.duration)
    return same_times and np.array_equal(one.image, other.image)


def assert_found_again(source: Source, places: list[int]) -> None:
    """A fresh stage that is given only a cursor goes on with the very same frame and cursor."""
    whole = list(decode(source))
    for place in places:
        frame, cursor = DecodeStage(Settings())(source, whole[place][1])
        if place + 1 == len(whole):
            assert frame is None
            assert cursor.ended
        else:
            assert frame is not None
            assert equal(frame, whole[place + 1][0])
            assert cursor == whole[place + 1][1]


def test_every_frame_of_a_video_comes_once_with_its_own_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=5)
    frames = [frame for frame, _ in decode(video(path))]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.pts for frame in frames] == [0, 512, 1024, 1536, 2048]
    assert [frame.duration for frame in frames] == [512] * 5
    assert frames[0].time_base == Fraction(1, TICKS)
    assert frames[0].image.flags.c_contiguous


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=4, times=[0, 512, 5120, 5632])
    assert [frame.pts for frame, _ in decode(video(path))] == [0, 512, 5120, 5632]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_any_place_is_found_again_by_its_cursor_alone(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", num_frames=50, b_frames=3, gop=12)
    places = list(range(50))
    random.Random(0).shuffle(places)
    assert_found_again(video(path), places)


def test_any_place_in_a_stretch_with_stride_is_found_again(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=50, b_frames=3, gop=12)
    source = video(path, start_s=0.6, end_s=1.6, stride=3)
    assert numbers(source) == [15, 18, 21, 24, 27, 30, 33, 36, 39]
    assert_found_again(source, list(range(9)))


def test_open_groups_of_pictures_are_found_again(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0"}
    path = make_video(tmp_path / "clip.mkv", num_frames=40, b_frames=3, codec_options=options)
    assert_found_again(video(path), list(range(40)))


def test_one_stage_can_jump_between_places(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=30, b_frames=2)
    whole = list(decode(video(path)))
    stage = DecodeStage(Settings())
    for place in (20, 3, 4, 28, 0, 12):
        frame, _ = stage(video(path), whole[place][1])
        assert frame is not None
        assert equal(frame, whole[place + 1][0])


def test_start_and_end_are_exact_to_the_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=50, b_frames=2, gop=25)
    assert numbers(video(path, start_s=0.4, end_s=0.6)) == [10, 11, 12, 13, 14]
    assert numbers(video(path, start_s=0.401, end_s=0.56)) == [11, 12, 13]
    assert numbers(video(path, start_s=1.9)) == [48, 49]


def test_the_stretch_counts_from_the_start_of_a_transport_stream(tmp_path: Path) -> None:
    path = make_video_with_times(tmp_path / "clip.ts", [3600 * index for index in range(20)])
    frames = [frame for frame, _ in decode(video(path, start_s=0.4, end_s=0.52))]
    assert [number_of(frame.image) for frame in frames] == [10, 11, 12]
    assert frames[0].time_s == pytest.approx(1.4), "the file's own time, whose clock begins at 1 s"


def test_every_third_frame_stands_three_times_as_long(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=8)
    frames = [frame for frame, _ in decode(video(path, stride=3))]
    assert [(frame.index, number_of(frame.image)) for frame in frames] == [(0, 0), (1, 3), (2, 6)]
    assert [frame.duration for frame in frames] == [1536, 1536, 1024], "the last one up to the end alone"


def test_a_video_of_one_frame_gives_it(tmp_path: Path) -> None:
    assert numbers(video(make_video(tmp_path / "clip.mp4", num_frames=1))) == [0]


def test_odd_sizes_are_decoded_as_they_are(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", num_frames=2, size=(47, 63), codec="ffv1")
    assert [frame.size for frame, _ in decode(video(path))] == [(47, 63)] * 2


def test_a_rotated_video_comes_upright(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = 200
    path = make_video(tmp_path / "clip.mp4", pictures=[image], rotation=90)
    (frame,) = (frame for frame, _ in decode(video(path)))
    assert frame.size == (64, 48) == probe(video(path)).size
    assert frame.image[:30].mean() < 10, "turned counterclockwise, the left half comes to the bottom"
    assert frame.image[34:].mean() > 190


def test_times_that_repeat_are_moved_apart_and_found_again(tmp_path: Path) -> None:
    path = make_video_with_times(tmp_path / "clip.ts", [0, 3600, 3600, 7200, 10800])
    source = video(path)
    times = [frame.pts for frame, _ in decode(source)]
    assert [time - times[0] for time in times] == [0, 3600, 3601, 7200, 10800]
    assert_found_again(source, list(range(5)))


def test_times_that_jump_back_go_on_behind_the_last_one(tmp_path: Path) -> None:
    parts = [
        make_video_with_times(tmp_path / "late.ts", [180000, 183600, 187200]),
        make_video_with_times(tmp_path / "early.ts", [0, 3600, 7200]),
    ]
    path = tmp_path / "clip.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = video(path)
    times = [frame.pts for frame, _ in decode(source)]
    assert [time - times[0] for time in times] == [0, 3600, 7200, 10800, 14400, 18000]
    assert_found_again(source, list(range(6)))


def test_half_of_a_video_is_decoded_and_the_loss_counted(tmp_path: Path) -> None:
    options = {"movflags": "+faststart"}
    whole = make_video(tmp_path / "clip.mp4", num_frames=60, size=(96, 128), format_options=options)
    half = cut_in_half(whole, tmp_path / "half.mp4")
    source = video(half)
    found, cursor = numbers(source), last_cursor(source)
    assert 15 < len(found) < 45
    assert found == list(range(len(found)))
    assert lost_frames(probe(source), cursor) == 60 - len(found)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("avi", "mpeg4")])
def test_the_loss_is_counted_by_the_header_of_other_containers(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    whole = make_video(tmp_path / f"clip.{suffix}", num_frames=60, size=(96, 128), codec=codec)
    source = video(cut_in_half(whole, tmp_path / f"half.{suffix}"))
    assert lost_frames(probe(source), last_cursor(source)) == 60 - len(numbers(source))


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_half_of_a_stream_is_decoded_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    whole = make_video(tmp_path / f"clip.{suffix}", num_frames=60, size=(96, 128))
    found = numbers(video(cut_in_half(whole, tmp_path / f"half.{suffix}")))
    assert 15 < len(found) < 45
    # of the picture in which the cut lies, the decoder may make up the rest
    assert found[:-1] == list(range(len(found) - 1))


def test_a_damaged_packet_costs_its_frame_alone_and_is_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=20, gop=1)
    damage_packet(path, 7)
    source = video(path)
    assert numbers(source) == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    cursor = last_cursor(source)
    assert cursor.corrupt_packets == 1
    assert lost_frames(probe(source), cursor) == 1
    assert_found_again(source, [0, 6, 7, 12])


def test_a_damaged_packet_ends_the_run_where_that_is_wanted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=20, gop=1)
    damage_packet(path, 7)
    source = dataclasses.replace(video(path), rules=InputSettings(corrupt_packets="fail"))
    stage, cursor = DecodeStage(Settings()), None
    for _ in range(7):
        _, cursor = stage(source, cursor)
    with pytest.raises(SourceError, match=r"clip\.mp4: a packet after 0\.240 s cannot be decoded .*=skip"):
        stage(source, cursor)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize("audio", [False, True])
def test_a_healthy_video_has_lost_nothing(tmp_path: Path, suffix: str, audio: bool) -> None:
    codec = {"mp4": "aac", "mkv": "aac", "avi": "mp2", "ts": "mp2"}[suffix] if audio else None
    path = make_video(tmp_path / f"clip.{suffix}", num_frames=50, b_frames=2, audio_codec=codec)
    for source in (
        video(path),
        video(path, start_s=0.5),
        video(path, end_s=1.0),
        video(path, start_s=0.33, end_s=1.41, stride=4),
    ):
        assert lost_frames(probe(source), last_cursor(source)) == 0


def test_a_header_tells_how_many_frames_a_stretch_will_give(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=50)
    assert probe(video(path)).num_frames == 50
    assert probe(video(path, start_s=1.0)).num_frames == 25
    assert probe(video(path, start_s=0.4, end_s=0.8, stride=4)).num_frames == 3


def test_pictures_come_in_their_order_at_the_picture_rate(tmp_path: Path) -> None:
    paths = make_pictures(tmp_path, ["a.png", "b.png", "c.png"])
    source = Source(name="s", kind="pictures", paths=tuple(map(str, paths)), picture_rate=Fraction(5))
    frames = [frame for frame, _ in decode(source)]
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2]
    assert [(frame.pts, frame.time_base, frame.duration) for frame in frames] == [
        (0, Fraction(1, 5), 1),
        (1, Fraction(1, 5), 1),
        (2, Fraction(1, 5), 1),
    ]


def test_a_stretch_of_pictures_is_found_again(tmp_path: Path) -> None:
    paths = make_pictures(tmp_path, [f"{index}.png" for index in range(10)])
    source = Source(name="s", kind="pictures", paths=tuple(map(str, paths)), start_s=0.2, end_s=0.9, stride=3)
    assert [frame.pts for frame, _ in decode(source)] == [2, 5, 8]
    assert probe(source).num_frames == 3
    assert_found_again(source, [0, 1, 2])


def test_the_picture_of_another_size_is_named(tmp_path: Path) -> None:
    paths = make_pictures(tmp_path, ["a.png", "b.png"]) + make_pictures(tmp_path, ["c.png"], (48, 60))
    source = Source(name="s", kind="pictures", paths=tuple(map(str, paths)))
    with pytest.raises(SourceError, match=r"c\.png: is 60x48, but .*a\.png is 64x48"):
        probe(source)


def test_a_picture_that_declares_a_giant_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (first,) = make_pictures(tmp_path, ["a.png"])
    giant = make_giant_png(tmp_path / "b.png", (100_000, 100_000))
    source = Source(name="s", kind="pictures", paths=(str(first), str(giant)))
    with pytest.raises(SourceError, match=r"b\.png: its pictures are 100000x100000, more than 67108864 pix"):
        probe(source)


def test_a_video_with_larger_pictures_than_the_limit_is_refused_with_the_remedy(tmp_path: Path) -> None:
    source = video(make_video(tmp_path / "clip.mp4", size=(96, 128)))
    with pytest.raises(SourceError, match=r"128x96, more than 12287 pixels; .* input\.max_frame_px=12288"):
        probe(dataclasses.replace(source, rules=InputSettings(max_frame_px=96 * 128 - 1)))
    assert probe(dataclasses.replace(source, rules=InputSettings(max_frame_px=96 * 128))).size == (96, 128)


def test_pictures_that_grow_beyond_the_limit_on_the_way_are_not_decoded(tmp_path: Path) -> None:
    # the first part lasts 8 s: longer than what is looked at to find the tracks
    parts = [
        make_video(tmp_path / f"{height}.ts", num_frames=count, size=(height, 128), gop=1)
        for height, count in ((96, 200), (288, 5))
    ]
    path = tmp_path / "grows.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(numbers(video(path))) == 205
    source = dataclasses.replace(video(path), rules=InputSettings(max_frame_px=100 * 128))
    assert numbers(source) == list(range(200))
    assert last_cursor(source).corrupt_packets > 0


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    paths = make_pictures(tmp_path, ["a.png", "b.png"])
    paths[1].write_text("no picture")
    source = Source(name="s", kind="pictures", paths=tuple(map(str, paths)))
    with pytest.raises(SourceError, match=r"b\.png: is not a picture that can be read"):
        probe(source)
