"""The sound of a live source: packets that travel with the frames, and are copied into the video.

A source that never repeats cannot be read again for its sound, as a file is. The packets of one track come
with the frame that follows them; each run has a file of them among the parts.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av import Packet
from av.audio.stream import AudioStream

from stages.messages import Sound
from stages.results import Layout, WrittenRun, complete_runs
from stages.side_tracks import CARRIED_AUDIO, in_order

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

    from stages.side_tracks import TimedPacket

log = logging.getLogger(__name__)

_FORM = "nut"
"""FFmpeg's own container: any codec, any time base, packets as they are."""


def copied_track(container: InputContainer) -> AudioStream | None:
    """The first track of sound that can be copied."""
    tracks = (track for track in container.streams.audio if track.codec_context is not None)
    return next((t for t in tracks if t.codec_context.codec.canonical_name in CARRIED_AUDIO), None)


def tell_if_left_out(label: str, container: InputContainer) -> None:
    """Say so in a line if there is sound, but none that can be copied."""
    codecs = [
        track.codec_context.name if track.codec_context else "unknown" for track in container.streams.audio
    ]
    if codecs and copied_track(container) is None:
        log.warning("%s: its sound is left out, as an MP4 cannot carry %s", label, ", ".join(codecs))


def describe_track(packet: Packet[AudioStream]) -> bytes:
    """What the packets of its track are: see `Sound`."""
    file = io.BytesIO()
    copied = Packet(bytes(packet))
    with av.open(file, "w", format=_FORM) as output:
        track = output.add_stream_from_template(packet.stream, opaque=True)
        copied.pts = copied.dts = 0
        copied.stream = track
        output.mux(copied)
    return file.getvalue()


def write_sound(path: Path, sounds: Sequence[Sound], time_base: Fraction) -> None:
    """The packets of a run, at least one, in a file of their own."""
    with av.open(io.BytesIO(sounds[0].track)) as described, av.open(str(path), "w", format=_FORM) as output:
        track = output.add_stream_from_template(described.streams.audio[0], opaque=True)
        for sound in sounds:
            for heard in sound.packets:
                packet: Packet[Any] = Packet(heard.content)
                packet.pts = packet.dts = heard.pts
                packet.duration, packet.time_base, packet.stream = heard.duration, time_base, track
                output.mux(packet)


class SegmentSound:
    """The sound of a segment, from its parts; use as a context manager, as `SideTracks`.

    Sound comes a little later than the pictures that it belongs to: what comes with the first run of the next
    segment may belong to the end of this one.
    """

    start_s = Fraction(0)

    def __init__(self, layout: Layout, runs: Sequence[WrittenRun], label: str) -> None:
        end_index = runs[-1].first_index + len(runs[-1].pts)
        following = layout.beside(end_index)
        behind = [run for run in complete_runs(following, end_index)[:1] if not run.gaps]
        files = [layout.part_sound(run.first_index) for run in runs]
        files += [following.part_sound(run.first_index) for run in behind]
        self._files = [file for file in files if file.exists()]
        self._end_s = behind[0].pts[0] * behind[0].time_base if behind else None
        self._label = label
        self._track: AudioStream | None = None

    def __enter__(self) -> SegmentSound:
        return self

    def __exit__(self, *_: object) -> None:
        """Each file is open only while it is read."""

    def add_to(self, output: OutputContainer) -> None:
        """Give the output a track, if there is sound."""
        if self._files:
            with av.open(str(self._files[0])) as file:
                self._track = output.add_stream_from_template(file.streams.audio[0], opaque=True)

    def packets(self, runs: Sequence[WrittenRun], zero_s: Fraction) -> Iterator[TimedPacket]:
        """Those of the runs, moved to the time of the video; but for those out of order."""
        for packet in in_order(self._read(), self._label):
            assert packet.pts is not None
            time_s = packet.pts * packet.time_base
            if time_s >= zero_s and (self._end_s is None or time_s < self._end_s):
                packet.pts = packet.dts = round((time_s - zero_s) / packet.time_base)
                packet.stream = self._track
                yield time_s - zero_s, 1, packet

    def _read(self) -> Iterator[Packet[AudioStream]]:
        for path in self._files:
            with av.open(str(path)) as file:
                yield from (packet for packet in file.demux(audio=0) if packet.size)
