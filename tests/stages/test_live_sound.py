"""Packets of sound on their way from a source into the videos of segments."""

from __future__ import annotations

import errno
import subprocess
from dataclasses import replace
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.schema import Settings
from stages.live_clock import TIME_BASE
from stages.live_sound import SegmentSound, copied_track, describe_track, write_sound
from stages.messages import Gap, Sound, SoundPacket
from stages.results import Layout, complete_runs, write_record
from stages.side_tracks import CARRIED_AUDIO
from stages.source import Source
from stages.video_joiner import join_video
from stages.video_writer import PartWriter
from tests.panoptics import make_frame, make_panoptic, road

RATE = 25
SECOND = 90_000
CODERS = {"mp3": "libmp3lame", "opus": "libopus"}
"""Where the encoder has another name than the codec."""
CAMERA = Source(name="cam", kind="live", paths=("rtsp://host/cam",))


def make_sound(path: Path, codec: str) -> Path:
    """Two seconds of a tone."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi"]
    tone = ["-i", "sine=frequency=440:sample_rate=48000:duration=2"]
    subprocess.run([*program, *tone, "-c:a", CODERS.get(codec, codec), str(path)], check=True)
    return path


def heard_in(path: Path) -> Sound:
    """All sound of a file, as it would come from a live source."""
    with av.open(str(path)) as container:
        track = copied_track(container)
        assert track is not None
        packets = [packet for packet in container.demux(track) if packet.size]
        return Sound(
            track=describe_track(packets[0]),
            packets=tuple(
                SoundPacket(
                    pts=round(((packet.pts or 0) - (packets[0].pts or 0)) * packet.time_base / TIME_BASE),
                    duration=round((packet.duration or 0) * packet.time_base / TIME_BASE),
                    content=bytes(packet),
                )
                for packet in packets
            ),
        )


def write_run(layout: Layout, first: int, num_frames: int, sound: Sound, gap: Gap | None = None) -> None:
    """Black pictures from that frame on, and what was heard with them."""
    layout.parts.mkdir(parents=True, exist_ok=True)
    frames = [
        replace(
            make_frame(np.zeros((48, 64, 3), np.uint8), index=index, pts=index * SECOND // RATE),
            duration=SECOND // RATE,
            time_base=TIME_BASE,
            gap=gap if index == first else None,
        )
        for index in range(first, first + num_frames)
    ]
    with PartWriter(layout.part_video(first), (48, 64), Settings().encode) as writer:
        for frame in frames:
            writer.add(frame.image)
    if sound.packets:
        write_sound(layout.part_sound(first), [sound])
    panoptics = [make_panoptic(np.ones((48, 64), np.uint8), [road()], index=frame.index) for frame in frames]
    write_record(layout, "cam", frames, panoptics, CITYSCAPES)


def joined(layout: Layout) -> list[bytes]:
    """The packets of sound in the joined video of a segment."""
    join_video(CAMERA, layout, complete_runs(layout, layout.first_index), layout.video)
    with av.open(str(layout.video)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def contents(sound: Sound) -> list[bytes]:
    return [packet.content for packet in sound.packets]


@pytest.mark.parametrize(
    ("codec", "suffix", "num_header_bytes"),
    [*((codec, ".mkv", 0) for codec in sorted(CARRIED_AUDIO)), ("aac", ".ts", 7), ("eac3", ".ts", 0)],
)
def test_every_codec_that_an_mp4_carries_arrives(
    tmp_path: Path, codec: str, suffix: str, num_header_bytes: int
) -> None:
    sound = heard_in(make_sound(tmp_path / f"sound{suffix}", codec))
    segment = Layout(tmp_path).segment(0)
    write_run(segment, 0, 50, sound)
    assert joined(segment) == [content[num_header_bytes:] for content in contents(sound)]
    with av.open(str(segment.video)) as container:
        told = container.streams.audio[0].codec_context.codec.canonical_name
        assert told == {"mp2": "mp3"}.get(codec, codec)  # which FFmpeg tells apart by the packets alone
        loud = [np.abs(frame.to_ndarray().astype(float)).max() for frame in container.decode(audio=0)]
    assert min(loud[1:-1]) > 0


def test_each_segment_gets_what_belongs_to_it_whichever_run_it_came_with(tmp_path: Path) -> None:
    sound = heard_in(make_sound(tmp_path / "sound.mkv", "aac"))
    firsts = {0: 25, 25: 1, 26: 1, 27: 23}  # segments, and how many pictures they have
    came: dict[int, list[SoundPacket]] = {first: [] for first in firsts}
    expected: dict[int, list[bytes]] = {first: [] for first in firsts}
    for number, packet in enumerate(sound.packets):
        belongs_to = max(first for first in firsts if packet.pts >= first * SECOND // RATE)
        is_near = abs(packet.pts - SECOND) < SECOND // 10
        is_early = is_near and belongs_to > 0 and number % 3 == 0
        is_late = is_near and belongs_to == 0 and number % 3 == 1
        came[0 if is_early else 25 if is_late else belongs_to].append(packet)
        expected[belongs_to].append(packet.content)
    stream = Layout(tmp_path)
    for first, num_frames in firsts.items():
        write_run(stream.segment(first), first, num_frames, replace(sound, packets=tuple(came[first])))
    assert all(came.values())
    assert {first: joined(stream.segment(first)) for first in firsts} == expected


def test_nothing_of_what_comes_behind_a_gap_belongs_before_it(tmp_path: Path) -> None:
    sound, stream = heard_in(make_sound(tmp_path / "sound.mkv", "aac")), Layout(tmp_path)
    first, second = (replace(sound, packets=sound.packets[part]) for part in (slice(20), slice(20, None)))
    write_run(stream.segment(0), 0, 25, first)
    write_run(stream.segment(25), 25, 25, second, Gap(start_s=0.0, end_s=9.0, reason="away"))
    assert joined(stream.segment(0)) == contents(first)


@pytest.mark.parametrize("damage", ["track", "empty", "cut off"])
def test_sound_that_cannot_be_joined_is_left_out(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    sound, segment = heard_in(make_sound(tmp_path / "sound.mkv", "aac")), Layout(tmp_path).segment(0)
    write_run(segment, 0, 50, replace(sound, track=b"nonsense") if damage == "track" else sound)
    if damage != "track":
        file = segment.part_sound(0)
        file.write_bytes(file.read_bytes()[: 0 if damage == "empty" else 5000])
    join_video(CAMERA, segment, complete_runs(segment), segment.video)
    assert "cannot be joined" in caplog.text
    with av.open(str(segment.video)) as container:
        assert (len(container.streams.audio), sum(1 for _ in container.decode(video=0))) == (0, 50)


def test_a_full_disk_is_no_fault_of_the_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise av.error.OSError(errno.ENOSPC, "No space left on device")

    sound, segment = heard_in(make_sound(tmp_path / "sound.mkv", "aac")), Layout(tmp_path).segment(0)
    write_run(segment, 0, 50, sound)
    monkeypatch.setattr(SegmentSound, "add_to", full)
    with pytest.raises(OSError, match="No space left"):
        join_video(CAMERA, segment, complete_runs(segment), segment.video)
