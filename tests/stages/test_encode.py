from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.errors import OutputError
from configs.schema import Settings
from stages.decode import DecodeStage
from stages.encode import EncodeStage
from stages.messages import Cursor, Frame, Panoptic
from stages.side_tracks import in_order
from stages.source import Source
from tests.media import make_pictures, make_video, make_video_with_times, picture
from tests.panoptics import CHECKPOINT, make_panoptic, road, thing

RUN_FRAMES = 4
SETTINGS = Settings.model_validate({"encode": {"run_frames": RUN_FRAMES, "crf": 1}})


def as_source(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Source:
    return Source(name=path.stem, kind="video", paths=(str(path),), start_s=start_s, end_s=end_s)


def decoded(source: Source) -> list[Frame]:
    stage, frames, cursor = DecodeStage(SETTINGS), [], None
    while cursor is None or not cursor.ended:
        frame, cursor = stage(source, cursor)
        assert isinstance(cursor, Cursor)
        frames += [frame] if frame is not None else []
    return frames


def void(frame: Frame) -> Panoptic:
    """A map that leaves the frame as it is."""
    return make_panoptic(np.zeros(frame.size, np.uint8), [], index=frame.index)


def write_runs(stage: EncodeStage, source: Source, output: Path, frames: Sequence[Frame]) -> None:
    for first in range(0, len(frames), RUN_FRAMES):
        run = frames[first : first + RUN_FRAMES]
        encoded = stage(source, str(output), run, [void(frame) for frame in run], CHECKPOINT)
        assert (encoded.first_index, encoded.num_frames) == (first, len(run))
        assert set(encoded.seconds) == {"draw", "png", "video"}


def encode(source: Source, output: Path) -> Path:
    """Through decode and encode; the video."""
    stage = EncodeStage(SETTINGS)
    write_runs(stage, source, output, decoded(source))
    stage.finish(source, str(output))
    return output / "video.mp4"


def picture_times(path: Path) -> list[tuple[Fraction, Fraction]]:
    """Time and duration of every picture, in seconds."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [
            (p.pts * p.time_base, p.duration * p.time_base)
            for p in packets
            if p.pts is not None and p.duration
        ]


def sound(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time and content of every packet of sound."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [
            (packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.pts is not None
        ]


def read_png(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return np.asarray(image[..., ::-1])


def test_a_variable_rate_comes_out_to_the_tick(tmp_path: Path) -> None:
    times = [0, 512, 5120, 5632, 5700, 9000]
    path = make_video(tmp_path / "clip.mp4", num_frames=6, times=times)
    video = encode(as_source(path), tmp_path / "out")
    assert picture_times(video) == picture_times(path)
    assert [time * 12800 for time, _ in picture_times(video)] == times


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("avi", "mpeg4")])
def test_times_and_length_are_those_of_the_source(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", num_frames=10, codec=codec)
    video = encode(as_source(path), tmp_path / "out")
    assert [time for time, _ in picture_times(video)] == [Fraction(index, 25) for index in range(10)]
    with av.open(str(video)) as container:
        assert container.duration == 400_000


def test_the_video_holds_the_frames_of_all_runs_in_order(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=10, b_frames=2))
    frames = decoded(source)
    again = decoded(as_source(encode(source, tmp_path / "out")))
    assert len(again) == 10
    for frame, copy in zip(frames, again, strict=True):
        bars = frame.size[1] // 2
        assert np.abs(copy.image[:, :bars].astype(int) - frame.image[:, :bars]).mean() < 4


def test_every_run_is_a_closed_group_without_b_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", pictures=[picture(0, (48, 64))] * 10)
    video = encode(as_source(path), tmp_path / "out")
    with av.open(str(video)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [index for index, packet in enumerate(packets) if packet.is_keyframe] == [0, 4, 8]
    assert all(packet.pts == packet.dts for packet in packets)


def test_an_odd_size_is_padded_in_the_video_alone(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mkv", num_frames=2, size=(47, 63), codec="ffv1")
    video = encode(as_source(path), tmp_path / "out")
    (frame, _) = decoded(as_source(video))
    assert frame.size == (48, 64)
    assert read_png(tmp_path / "out" / "panoptic" / "000000.png").shape == (47, 63, 3)


def test_pictures_give_a_video_at_their_rate(tmp_path: Path) -> None:
    paths = make_pictures(tmp_path / "walk", [f"{index}.png" for index in range(5)])
    source = Source(name="walk", kind="pictures", paths=tuple(map(str, paths)), picture_rate=Fraction(10))
    video = encode(source, tmp_path / "out")
    assert picture_times(video) == [(Fraction(index, 10), Fraction(1, 10)) for index in range(5)]


def test_a_video_of_one_frame_gives_one(tmp_path: Path) -> None:
    video = encode(as_source(make_video(tmp_path / "clip.mp4", num_frames=1)), tmp_path / "out")
    assert picture_times(video) == [(Fraction(0), Fraction(1, 25))]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "aac"), ("mkv", "aac"), ("mkv", "flac"), ("ts", "aac")]
)
def test_sound_is_copied_packet_by_packet(tmp_path: Path, suffix: str, codec: str) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", num_frames=25, audio_codec=codec)
    before, after = sound(path), sound(encode(as_source(path), tmp_path / "out"))
    assert len(after) == len(before)
    header = 7 if suffix == "ts" else 0
    assert [content for _, content in after] == [content[header:] for _, content in before]
    shifts = {round(float(new - old), 3) for (new, _), (old, _) in zip(after, before, strict=True)}
    assert len(shifts) == 1


def test_sound_is_cut_to_the_stretch_and_begins_with_it(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=50, audio_codec="aac")
    video = encode(as_source(path, start_s=0.8, end_s=1.6), tmp_path / "out")
    assert picture_times(video)[0][0] == 0
    assert len(picture_times(video)) == 20
    times = [time for time, _ in sound(video)]
    assert 0 <= times[0] < 0.03
    assert 0.75 < times[-1] < 0.8
    wanted = [content for time, content in sound(path) if Fraction(8, 10) <= time < Fraction(16, 10)]
    assert [content for _, content in sound(video)] == wanted


def test_sound_stops_where_an_interrupted_run_stopped(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=50, audio_codec="aac"))
    stage = EncodeStage(SETTINGS)
    write_runs(stage, source, tmp_path / "out", decoded(source)[:12])
    stage.finish(source, str(tmp_path / "out"))
    with av.open(str(tmp_path / "out" / "video.mp4")) as container:
        assert container.duration == pytest.approx(480_000, abs=25_000)


def test_sound_that_an_mp4_cannot_carry_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_video(tmp_path / "clip.mkv", num_frames=5, audio_codec="pcm_s16le")
    video = encode(as_source(path), tmp_path / "out")
    assert "its sound is left out, as an MP4 cannot carry pcm_s16le" in caplog.text
    with av.open(str(video)) as container:
        assert not container.streams.audio


def test_the_video_of_a_stream_whose_clock_began_earlier_starts_at_zero(tmp_path: Path) -> None:
    path = make_video_with_times(tmp_path / "clip.ts", [0, 3600, 7200, 10800])
    source = as_source(path)
    assert decoded(source)[0].time_s == pytest.approx(1.0)
    times = [time for time, _ in picture_times(encode(source, tmp_path / "out"))]
    assert times == [Fraction(index, 25) for index in range(4)]


def test_ids_are_written_as_coco_panoptic_pictures(tmp_path: Path) -> None:
    frame = frame_of(4, 6)
    label_map = np.array([[0, 1, 1, 1, 1, 1]] + [[1, 1, 2, 2, 1, 1]] * 3, np.uint8)
    far = thing(70000)
    panoptic = make_panoptic(label_map, [road(), far])
    EncodeStage(SETTINGS)(SOURCE, str(tmp_path), [frame], [panoptic], CHECKPOINT)
    written = read_png(tmp_path / "panoptic" / "000000.png").astype(int)
    ids = written[..., 0] + 256 * written[..., 1] + 65536 * written[..., 2]
    assert ids.tolist() == [[0, 1, 1, 1, 1, 1]] + [[1, 1, 71000, 71000, 1, 1]] * 3


def test_panoptic_json_and_tracks_tell_what_the_ids_are(tmp_path: Path) -> None:
    frame = frame_of(4, 6)
    panoptic = make_panoptic(np.ones((4, 6), np.uint8), [road(20, (0, 0, 6, 4)), thing(12)])
    stage = EncodeStage(SETTINGS)
    stage(SOURCE, str(tmp_path), [frame], [panoptic], CHECKPOINT)
    stage.finish(SOURCE, str(tmp_path))
    written = json.loads((tmp_path / "panoptic.json").read_text())
    image = {"id": 0, "file_name": "000000.png", "width": 6, "height": 4}
    assert written["images"] == [image | {"frame_index": 0, "pts": 3, "time_s": 0.3}]
    (annotation,) = written["annotations"]
    names = (annotation["image_id"], annotation["video_id"], annotation["file_name"])
    assert names == (0, SOURCE.name, "000000.png")
    stuff, car = annotation["segments_info"]
    assert stuff == {
        **{"id": 1, "category_id": 0, "area": 20, "bbox": [0, 0, 6, 4], "iscrowd": 0},
        **{"score": None, "track_id": None},
    }
    assert (car["id"], car["category_id"], car["score"], car["track_id"]) == (1012, 13, 0.75, 12)
    assert written["categories"][13] == {"id": 13, "name": "car", "isthing": 1, "color": [0, 0, 142]}
    assert len(written["categories"]) == 19
    (line,) = (tmp_path / "tracks.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        **{"frame": 0, "pts": 3, "time_s": 0.3, "track_id": 12, "class": "car", "score": 0.75},
        **{"box": [1, 1, 3, 3], "area": 4},
    }


def test_writing_a_run_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=10))
    once = encode(source, tmp_path / "once")
    stage = EncodeStage(SETTINGS)
    for _ in range(2):
        write_runs(stage, source, tmp_path / "twice", decoded(source))
    stage.finish(source, str(tmp_path / "twice"))
    for name in ("video.mp4", "panoptic.json", "panoptic/000009.png"):
        assert (tmp_path / "twice" / name).read_bytes() == (once.parent / name).read_bytes()


def test_finishing_again_changes_nothing(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=10))
    video = encode(source, tmp_path / "out")
    before = {path: path.read_bytes() for path in video.parent.rglob("*") if path.is_file()}
    EncodeStage(SETTINGS).finish(source, str(video.parent))
    assert {path: path.read_bytes() for path in video.parent.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in video.parent.iterdir()) == [
        *(".parts", "panoptic", "panoptic.json", "tracks.jsonl", "video.mp4")
    ]


def test_what_a_killed_encoder_left_half_written_is_removed(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=4))
    (tmp_path / "out").mkdir()
    left = tmp_path / "out" / ".video.mp4.4711"
    left.write_text("half")
    encode(source, tmp_path / "out")
    assert not left.exists()


def test_a_run_without_its_record_does_not_count(tmp_path: Path) -> None:
    source = as_source(make_video(tmp_path / "clip.mp4", num_frames=12))
    stage, output = EncodeStage(SETTINGS), tmp_path / "out"
    write_runs(stage, source, output, decoded(source))
    (output / ".parts" / "000004.jsonl").unlink()
    stage.finish(source, str(output))
    assert len(picture_times(output / "video.mp4")) == 4
    assert len(json.loads((output / "panoptic.json").read_text())["images"]) == 4
    assert len(list((output / "panoptic").iterdir())) == 4, "no pictures of frames that do not count"


def test_without_a_complete_run_nothing_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        EncodeStage(SETTINGS).finish(SOURCE, str(tmp_path))
    assert "no run of frames was completed" in caplog.text
    assert not (tmp_path / "video.mp4").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file in the way")
    frame = frame_of(4, 6)
    with pytest.raises(OutputError, match="out: cannot be written"):
        EncodeStage(SETTINGS)(SOURCE, str(tmp_path / "out"), [frame], [void(frame)], CHECKPOINT)


SOURCE = Source(name="drawn", kind="pictures", paths=("drawn.png",))


def frame_of(height: int, width: int) -> Frame:
    """A grey frame at 0.3 s."""
    image = np.full((height, width, 3), 100, np.uint8)
    return Frame(index=0, pts=3, time_base=Fraction(1, 10), duration=1, image=image)


def packet_at(time: int) -> av.Packet[av.stream.Stream]:
    packet = av.Packet(b"sound")
    packet.pts = packet.dts = time
    return packet


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ([0, 10, 20, 30], [0, 10, 20, 30]),
        ([0, 10, 20, 3, 20, 30], [0, 10, 20, 30]),  # back, and the same again
        ([0, 10, 900, 20, 30], [0, 10, 20, 30]),  # one ahead costs itself alone
        ([900, 0, 10, 20], [0, 10, 20]),
    ],
)
def test_packets_of_sound_whose_times_jump_are_left_out(
    times: list[int], kept: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    assert [packet.pts for packet in in_order(map(packet_at, times), "clip.ts")] == kept
    told = [f"clip.ts: {len(times) - len(kept)} packets of its sound are left out, as their times jump"]
    assert caplog.messages == (told if len(kept) < len(times) else [])
