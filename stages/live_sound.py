"""The sound of a live source: packets that travel with the frames, and are copied into the video.

A source that never repeats cannot be read again for its sound, as a file is. The packets of one track come
with the picture that follows them; each run has a file of them among the parts.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av import Packet
from av.audio.stream import AudioStream

from stages.messages import Sound, SoundPacket
from stages.results import Layout, WrittenRun, complete_runs, replacing
from stages.side_tracks import CARRIED_AUDIO, in_order

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

    from stages.side_tracks import TimedPacket

log = logging.getLogger(__name__)


def copied_track(container: InputContainer) -> AudioStream | None:
    """The first track of sound that can be copied."""
    return next((track for track in container.streams.audio if _codec_of(track) in CARRIED_AUDIO), None)


def tell_if_left_out(label: str, container: InputContainer) -> None:
    """Say so in a line if there is sound, but none that can be copied."""
    codecs = [_codec_of(track) for track in container.streams.audio]
    if codecs and copied_track(container) is None:
        log.warning("%s: its sound is left out, as an MP4 cannot carry %s", label, ", ".join(codecs))


def _codec_of(track: AudioStream) -> str:
    return track.codec_context.codec.canonical_name if track.codec_context is not None else "unknown"


def describe_track(packet: Packet[AudioStream]) -> bytes:
    """What the packets of its track are: see `Sound`. FFmpegError or ValueError if that cannot be told."""
    file, copied = io.BytesIO(), Packet(bytes(packet))
    # Matroska turns AAC that carries its own headers into AAC that does not; NUT does not know all others
    form = "nut" if _codec_of(packet.stream) == "aac" else "matroska"
    with av.open(file, "w", format=form) as output:
        copied.pts = copied.dts = 0
        copied.stream = output.add_stream_from_template(packet.stream, opaque=True)
        output.mux(copied)
    return file.getvalue()


def write_sound(path: Path, sounds: Sequence[Sound]) -> None:
    """The packets of a run, at least one, in a file of their own."""
    packets = [packet for sound in sounds for packet in sound.packets]
    with path.open("wb") as file:
        np.savez(
            file,
            track=np.frombuffer(sounds[0].track, np.uint8),
            pts=np.array([packet.pts for packet in packets], np.int64),
            durations=np.array([packet.duration for packet in packets], np.int64),
            lengths=np.array([len(packet.content) for packet in packets], np.int64),
            content=np.frombuffer(b"".join(packet.content for packet in packets), np.uint8),
        )


def read_sound(path: Path) -> Sound:
    """All packets of a file that `write_sound` has written."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        content, ends = file["content"].tobytes(), np.cumsum(file["lengths"]).tolist()
        packets = tuple(
            SoundPacket(pts=pts, duration=duration, content=content[end - length : end])
            for pts, duration, length, end in zip(
                file["pts"].tolist(), file["durations"].tolist(), file["lengths"].tolist(), ends, strict=True
            )
        )
        return Sound(track=file["track"].tobytes(), packets=packets)


class SegmentSound:
    """The sound of a segment, from its parts; use as a context manager, as `SideTracks`.

    Sound may come a little earlier or later than the pictures that it belongs to. So what comes with the
    first run of the next segment may belong to the end of this one, and what came with this one to the next:
    that is put among the next one's parts. All of it is held in memory, some 16 kB for each second.
    """

    start_s = Fraction(0)

    def __init__(self, layout: Layout, runs: Sequence[WrittenRun], label: str) -> None:
        files = [layout.early_sound, *(layout.part_sound(run.first_index) for run in runs)]
        sounds = [read_sound(file) for file in files if file.exists()]
        heard = [packet for sound in sounds for packet in sound.packets]
        end_index = runs[-1].first_index + len(runs[-1].pts)
        following = layout.beside(end_index)
        behind = next((run for run in complete_runs(following, end_index)[:1] if not run.gaps), None)
        if behind is not None:
            end = behind.pts[0]
            if early := tuple(packet for packet in heard if packet.pts >= end):
                with replacing(following.early_sound) as path:
                    write_sound(path, [Sound(track=sounds[-1].track, packets=early)])
            if (late := following.part_sound(end_index)).exists():
                sounds.append(read_sound(late))
                heard += sounds[-1].packets
            heard = [packet for packet in heard if packet.pts < end]
        self._heard = sorted(heard, key=lambda packet: packet.pts)
        self._time_base, self._label = runs[0].time_base, label
        self._described = sounds[0].track if heard else None
        self._track: AudioStream | None = None

    def __enter__(self) -> SegmentSound:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def add_to(self, output: OutputContainer) -> None:
        """Give the output a track, if there is sound."""
        if self._described is not None:
            with av.open(io.BytesIO(self._described)) as described:
                self._track = output.add_stream_from_template(described.streams.audio[0], opaque=True)

    def packets(self, runs: Sequence[WrittenRun], zero_s: Fraction) -> Iterator[TimedPacket]:
        """Those of the segment, moved to the time of the video; but for those out of order."""
        for packet in in_order(self._moved(round(zero_s / self._time_base)), self._label):
            assert packet.pts is not None
            yield packet.pts * self._time_base, 1, packet

    def _moved(self, zero: int) -> Iterator[Packet[Any]]:
        for heard in self._heard:
            if heard.pts >= zero:
                packet: Packet[Any] = Packet(heard.content)
                packet.pts = packet.dts = heard.pts - zero
                packet.duration, packet.time_base = heard.duration, self._time_base
                packet.stream = self._track
                yield packet
