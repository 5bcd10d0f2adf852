"""A tiny training on generated clips, and the verdict on what the stages then make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from configs.categories import thing_ids
from configs.loading import load_settings
from configs.schema import Settings
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from evaluation.segments import predicted_segments
from models.vpsnet import VPSNet
from stages.messages import Frame, Panoptic
from stages.network import architecture_of, prepare
from stages.whole_model import WholeModel
from training.data.generated import ClipShape, generate_clip
from training.data.packed import PanopticPicture, truth_of
from training.dataset import SampleSource
from training.samples import Augmentation
from training.trainer import Trainer

Clip = Sequence[PanopticPicture]

SHAPE = ClipShape(
    height_px=128,
    width_px=192,
    num_frames=8,
    min_objects=3,
    max_objects=3,
    object_scale=1.25,
    change_places=True,
    min_visible_px=150,
)


def tiny_settings(overrides: Sequence[str] = ()) -> Settings:
    """The tiny preset on one thread of the CPU, which a busy machine delays least."""
    here = ["run.device=cpu", "run.threads=1", "model.precision=fp32", "train.loader_processes=0"]
    return load_settings("tiny", [*here, *overrides])


def clips_of(seeds: Sequence[int]) -> list[list[PanopticPicture]]:
    """Clips in which objects change places with every frame and hide each other."""
    return [generate_clip(seed, SHAPE) for seed in seeds]


def random_network(settings: Settings, seed: int = 0) -> VPSNet:
    """A network with random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return VPSNet(architecture_of(settings))


def clip_source(clips: Sequence[Clip], settings: Settings) -> SampleSource:
    """Each frame of the clips after each of the three before it, as objects may be away for a while."""
    options = settings.train
    return SampleSource(
        [frame for clip in clips for frame in clip],
        Augmentation(
            crop_px=options.crop_px,
            base_height_px=options.base_height_px,
            scale_range=options.scale_range,
            stretch=0.0,
            vary_look=False,
        ),
        thing_ids(settings.categories),
        with_previous=options.two_frames,
        flow_stride=settings.flow.stride,
        earlier=_earlier(clips),
    )


def _earlier(clips: Sequence[Clip]) -> list[list[int]]:
    """Positions of up to three frames before each one, the nearest first, among the frames of all clips."""
    positions = [(position, t) for position, t in enumerate(t for clip in clips for t in range(len(clip)))]
    return [[position - gap for gap in (1, 2, 3) if gap <= t] for position, t in positions]


def train_on(clips: Sequence[Clip], network: VPSNet, settings: Settings, directory: Path) -> Trainer:
    """All steps of the settings on the clips."""
    torch.set_num_threads(settings.run.threads)
    trainer = Trainer(network, settings.train, directory, flow_stride=settings.flow.stride, bf16=False)
    trainer.run(clip_source(clips, settings), np.ones(sum(len(clip) for clip in clips)), lambda step: None)
    return trainer


def run_stages(network: VPSNet, settings: Settings, clip: Clip) -> list[Panoptic]:
    """The clip through features, flow, fuse, detect, track and panoptic, as a run of the pipeline does it."""
    model, past = WholeModel(settings, prepare(network, settings)), None
    results: list[Panoptic] = []
    for index, picture in enumerate(clip):
        frame = Frame(index=index, pts=index, time_base=Fraction(1, 25), duration=1, image=picture.image)
        panoptic, past = model(frame, past)
        results.append(panoptic)
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How close results are to the truth of the clips."""

    pq: float
    """Over the classes that occur, all frames of all clips."""
    things_pq: float
    """The same of the things alone, where masks show: stuff is large and easy."""
    mistakes: tuple[str, ...]
    """About identities: an object not found, a change of its track, a track of two objects."""
    classes: frozenset[str]
    """What occurs, in the truth or in the results."""

    @property
    def passes(self) -> bool:
        """PQ of 0.9, of the things 0.88, and every identity kept."""
        return self.pq >= 0.9 and self.things_pq >= 0.88 and not self.mistakes


def judge(network: VPSNet, settings: Settings, clips: Sequence[Clip]) -> Verdict:
    """Runs the clips through the stages and compares."""
    quality = PanopticQuality(settings.categories)
    mistakes: list[str] = []
    for number, clip in enumerate(clips):
        results = run_stages(network, settings, clip)
        for picture, panoptic in zip(clip, results, strict=True):
            quality.add(
                frame_overlap(
                    *truth_of(picture, settings.categories),
                    *predicted_segments(panoptic, settings.categories),
                )
            )
        mistakes += [f"clip {number}: {mistake}" for mistake in identity_mistakes(clip, results)]
    result = quality.result()
    return Verdict(
        pq=result.all.pq,
        things_pq=result.things.pq,
        mistakes=tuple(mistakes),
        classes=frozenset(row.category.name for row in result.per_class if row.counts),
    )


def identity_mistakes(clip: Clip, results: Sequence[Panoptic]) -> list[str]:
    """Every visible object must be found in every frame, on one track that is its own."""
    mistakes: list[str] = []
    track_of: dict[int, int] = {}
    for index, (picture, panoptic) in enumerate(zip(clip, results, strict=True)):
        for number in np.unique(picture.instance_map[picture.instance_map > 0]).tolist():
            track_id = _track_on(picture.instance_map == number, panoptic)
            if track_id is None:
                mistakes.append(f"frame {index}: object {number} not found")
            elif track_of.setdefault(number, track_id) != track_id:
                mistakes.append(f"frame {index}: object {number} on track {track_id}, not {track_of[number]}")
    for track_id in set(track_of.values()):
        owners = [number for number, own in track_of.items() if own == track_id]
        if len(owners) > 1:
            mistakes.append(f"track {track_id} has objects {owners}")
    return mistakes


def _track_on(mask: np.ndarray, panoptic: Panoptic) -> int | None:
    """The track of the object that overlaps the mask by more than half of both together."""
    for label, segment in enumerate(panoptic.segments, 1):
        own = panoptic.label_map == label
        if segment.is_thing and int((own & mask).sum()) * 2 > int((own | mask).sum()):
            return segment.track_id
    return None
