"""Which identities survive a gap in the stream, on clips with exact truth: a stretch of each is left out.

    python -m benchmarks.outage --data data/composed [--gap-frames 10] [--clips 10] [--weights FILE]

Of every clip, 10 frames a second, the first 10 are shown and, after the gap, what is left. An object of the
truth counts if it is found (IoU over 0.5, as for PQ) both in the last frame before the gap and in one of the
first three behind it. Kept: it has its identity again; taken: it has that of another object; new: it has one
that is new.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.ablation import clip_number, frames_of
from benchmarks.machine import machine_line
from configs.loading import load_settings
from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from evaluation.formats.labelled import LabelledSet
from evaluation.overlap import Overlap, frame_overlap
from evaluation.segments import predicted_segments
from evaluation.video_set import LabelledVideo, open_video_set
from stages.messages import Detections, TrackMemory
from stages.panoptic import PanopticStage
from stages.track import TrackStage
from stages.whole_model import Detector

SHOWN_BEFORE = 10
LOOKED_AT = 3
"""Frames behind the gap in which an object may be found again."""
FRAMES_A_SECOND = 10


@dataclass(slots=True)
class Count:
    """What became of the objects' identities."""

    kept: int = 0
    taken: int = 0
    new: int = 0


class Tracking:
    """One way to go on behind a gap."""

    def __init__(self, name: str, settings: Settings, *, knows_of_gap: bool) -> None:
        self.name, self.count = name, Count()
        self._track, self._panoptic = TrackStage(settings), PanopticStage(settings)
        self._settings, self._knows = settings, knows_of_gap

    def play(
        self, video: LabelledVideo, labels: LabelledSet, detected: Sequence[Detections], gap: int
    ) -> None:
        """Track one clip around its gap, and count."""
        memory: TrackMemory | None = None
        before: Mapping[int, int] = {}
        behind: dict[int, int] = {}
        for number, detections in enumerate(detected):
            if number == SHOWN_BEFORE and self._knows:
                detections = replace(detections, gap_s=gap / FRAMES_A_SECOND)
            tracks, memory = self._track(replace(detections, index=number), memory)
            shown = number if number < SHOWN_BEFORE else number + gap
            if number < SHOWN_BEFORE - 1 or number >= SHOWN_BEFORE + LOOKED_AT:
                continue
            panoptic = self._panoptic(detections, tracks)
            predicted = predicted_segments(panoptic, self._settings.categories)
            overlap = frame_overlap(*labels.read(video.labels[shown]), *predicted)
            found = dict(_found(overlap, {each.id for each in labels.categories if each.is_thing}))
            if number == SHOWN_BEFORE - 1:
                before = found
            else:
                behind = found | behind
        self._note(before, behind)

    def _note(self, before: Mapping[int, int], behind: Mapping[int, int]) -> None:
        known = set(before.values())
        for truth in before.keys() & behind.keys():
            if before[truth] == behind[truth]:
                self.count.kept += 1
            elif behind[truth] in known:
                self.count.taken += 1
            else:
                self.count.new += 1


def _found(overlap: Overlap, things: Collection[int]) -> Iterator[tuple[int, int]]:
    """Of each object of the truth that is found, its id and the prediction's."""
    pairs = zip(overlap.truth_at, overlap.prediction_at, overlap.shared, strict=True)
    for row, column, shared in pairs:
        if row == 0 or column == 0:
            continue
        truth, prediction = int(row) - 1, int(column) - 1
        union = overlap.truth.areas[truth] + overlap.prediction.areas[prediction] - shared
        if overlap.truth.categories[truth] in things and 2 * shared > union:
            yield int(overlap.truth.ids[truth]), int(overlap.prediction.ids[prediction])


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the composed set")
    parser.add_argument("--gap-frames", type=int, nargs="+", default=[5, 10, 15])
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--weights", type=Path, help="other than the preset's")
    options = parser.parse_args(arguments)
    limit_spinning()
    given = [f"model.weights={options.weights.absolute()}"] if options.weights else []
    settings = resolve(load_settings("street", given))
    detector = Detector(settings)
    labels, videos = open_video_set(options.data)
    detected: dict[str, list[Detections]] = {}
    chosen = sorted(videos, key=clip_number)[: options.clips]
    for video in chosen:
        past = None
        detected[video.name] = []
        for frame in frames_of(video, len(video.pictures)):
            detections, past = detector(frame, past)
            detected[video.name].append(detections)
    print(
        f"{machine_line()}\n\n| gap s | tracking | kept | taken | new | objects |\n|---|---|---|---|---|---|"
    )
    for gap in options.gap_frames:
        for tracking in (
            Tracking("as if there were no gap", settings, knows_of_gap=False),
            Tracking("found again anywhere (the default's)", settings, knows_of_gap=True),
        ):
            for video in chosen:
                frames = detected[video.name]
                shown = [*frames[:SHOWN_BEFORE], *frames[SHOWN_BEFORE + gap :]]
                tracking.play(video, labels, shown[: SHOWN_BEFORE + LOOKED_AT], gap)
            count = tracking.count
            total = max(1, count.kept + count.taken + count.new)
            shares = [f"{value / total:.2f}" for value in (count.kept, count.taken, count.new)]
            print(
                f"| {gap / FRAMES_A_SECOND:g} | {tracking.name} | {' | '.join(shares)} | {total} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
