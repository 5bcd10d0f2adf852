"""What each part of VPSNet buys, on clips with exact truth: parts are switched on one by one.

    python -m training.data.composed --data data/street --out data/composed --train-clips 0
    python -m benchmarks.ablation --data data/composed [--raft FILE] [--image-weights FILE]

Clips called clear-* and hard-* (blur, bad light, objects that hide each other) are judged apart. VPQ is
judged as on Cityscapes-VPS: on every fifth frame, in windows of 1 to 4 of those; STQ on every frame.
Without --image-weights the rows without fusion use the weights of those with it, which have learned to see
fused features.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks.machine import machine_line
from configs.loading import load_settings
from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from evaluation.evaluate import Evaluator
from evaluation.formats.labelled import LabelledSet
from evaluation.overlap import frame_overlap
from evaluation.segments import predicted_segments
from evaluation.video_set import LabelledVideo, open_video_set
from evaluation.vpq import CITYSCAPES_VPS_WINDOWS
from stages.messages import Detections, Frame, TrackMemory
from stages.panoptic import PanopticStage
from stages.picture_reader import read_picture
from stages.track import TrackStage
from stages.whole_model import Detector

_EVERY = 5
_NO_CUES = ("track.score_weight=0", "track.iou_weight=0", "track.class_weight=0")
_PAPER = ("track.reach=0", "track.second_choice=false", "track.ttl_frames=0", "track.edge_ttl_frames=0")


@dataclass(frozen=True, slots=True)
class Tracking:
    """A row of the table: one way to give identities to the same detections."""

    name: str
    overrides: tuple[str, ...] = ()


IMAGE = (
    Tracking("image only: every frame by itself", ("track.reach=1e-6",)),
    Tracking("+ track head", (*_NO_CUES, *_PAPER)),
    Tracking("+ score, IoU and class cues (the paper's matching)", _PAPER),
    Tracking("+ reach, second choice, forgetting (the default's)"),
)
FUSED = (Tracking("the paper's matching", _PAPER), Tracking("the default's"))


class _Row:
    """The figures of one row, clear and hard clips apart."""

    def __init__(
        self, tracking: Tracking, base: Settings, overrides: Sequence[str], labels: LabelledSet
    ) -> None:
        settings = resolve(load_settings("street", [*overrides, *tracking.overrides]))
        self.name, self._categories = tracking.name, settings.categories
        self._track, self._panoptic = TrackStage(settings), PanopticStage(base)
        self._memory: TrackMemory | None = None
        self._evaluators = {
            kind: (
                Evaluator(labels.categories, ("pq", "vpq"), CITYSCAPES_VPS_WINDOWS),
                Evaluator(labels.categories, ("stq",), (1,)),
            )
            for kind in ("clear", "hard")
        }

    def add(self, index: int, detections: Detections, video: LabelledVideo, labels: LabelledSet) -> None:
        """The next frame of a video."""
        tracks, self._memory = self._track(detections, self._memory if index else None)
        if index not in video.labels:
            return
        panoptic = self._panoptic(detections, tracks)
        overlap = frame_overlap(
            *labels.read(video.labels[index]), *predicted_segments(panoptic, self._categories)
        )
        sparse, dense = self._evaluators[video.name.split("-")[0]]
        dense.add(video.name, overlap)
        if index % _EVERY == _EVERY - 1:
            sparse.add(video.name, overlap)

    def cells(self) -> list[str]:
        """PQ, VPQ, STQ, AQ and SQ of clear clips, then of hard ones."""
        cells = []
        for sparse, dense in self._evaluators.values():
            panoptic, tubes = sparse.result(), dense.result().stq
            assert panoptic.pq
            assert panoptic.vpq
            assert tubes
            values = [panoptic.pq.all.pq, panoptic.vpq.all, tubes.total.stq, tubes.total.aq, tubes.total.sq]
            cells += [f"{value:.3f}" for value in values]
        return cells


def frames_of(video: LabelledVideo, limit: int) -> Iterator[Frame]:
    """The first `limit` frames of a labelled video."""
    for index, path in enumerate(video.pictures[:limit]):
        yield Frame(
            index=index, pts=index, time_base=Fraction(1, 10), duration=1, image=read_picture(str(path))
        )


def clip_number(video: LabelledVideo) -> int:
    """By number, so that the first clips are of both kinds."""
    return int(video.name.split("-")[1])


def measure(
    data: Path, overrides: Sequence[str], trackings: Sequence[Tracking], *, clips: int, frames: int
) -> list[_Row]:
    """The rows of one network."""
    labels, videos = open_video_set(data)
    settings = resolve(load_settings("street", list(overrides)))
    detector = Detector(settings)
    rows = [_Row(tracking, settings, overrides, labels) for tracking in trackings]
    for video in sorted(videos, key=clip_number)[:clips]:
        past = None
        for frame in frames_of(video, frames):
            detections, past = detector(frame, past)
            for row in rows:
                row.add(frame.index, detections, video, labels)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the composed set")
    parser.add_argument("--weights", type=Path, help="other than the preset's")
    parser.add_argument("--image-weights", type=Path, help="trained alike, but without fusion")
    parser.add_argument("--raft", type=Path, help="weights of RAFT-small")
    parser.add_argument("--clips", type=int, default=1000, help="of both kinds, the first")
    parser.add_argument("--frames", type=int, default=1000, help="of each clip, the first")
    options = parser.parse_args(arguments)
    limit_spinning()
    weights = [f"model.weights={options.weights.absolute()}"] if options.weights else []
    image = options.image_weights or options.weights
    image_weights = [f"model.weights={image.absolute()}"] if image else []
    networks = {
        "": (IMAGE, [*image_weights, "model.fuse=false"]),
        "+ fuse, DIS: ": (FUSED, [*weights, "model.fuse=true"]),
    }
    if options.raft:
        raft = ["flow.backend=raft-small", f"flow.raft_weights={options.raft.absolute()}"]
        networks["+ fuse, RAFT-small: "] = (FUSED, [*weights, "model.fuse=true", *raft])
    print(f"{machine_line()}\n")
    figures = ("PQ", "VPQ", "STQ", "AQ", "SQ")
    print("| | " + " | ".join(f"{kind} {name}" for kind in ("clear", "hard") for name in figures) + " |")
    print("|---" * (1 + 2 * len(figures)) + "|")
    for prefix, (trackings, overrides) in networks.items():
        for row in measure(options.data, overrides, trackings, clips=options.clips, frames=options.frames):
            print(f"| {prefix}{row.name} | " + " | ".join(row.cells()) + " |", flush=True)


if __name__ == "__main__":
    main()
