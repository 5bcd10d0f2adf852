"""One training, from settings to a weights file: what `run_pipeline.py train` does.

OUTPUT/checkpoint.pt         to resume from; training goes on where it stopped
OUTPUT/curve.jsonl, .png     losses step by step
OUTPUT/weights.safetensors   the averaged model, fp16
OUTPUT/config.yaml           settings that run the model: for --config
OUTPUT/validation.json       PQ and mIoU on the validation split
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from configs.categories import thing_ids
from configs.loading import dump_settings
from configs.schema import RunSettings, Settings
from models.weights import save_weights
from stages.network import load_network
from training.copy_paste import ObjectBank, donors_of
from training.curve import draw_curve
from training.data.own_categories import own_categories
from training.data.packed import PackedSet, open_labelled
from training.dataset import SampleSource
from training.losses import balanced_weights
from training.quality import write_quality
from training.samples import Augmentation
from training.sampling import repeat_factors
from training.start import first_network
from training.trainer import CURVE, Step, Trainer
from training.validate import PictureQuality, validate

WEIGHTS = "weights.safetensors"
CONFIG = "config.yaml"
VALIDATION = "validation.json"
FRAMES_BACK = 3
"""Of a video, the view before a frame is one of so many frames before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training leaves behind."""

    weights: Path
    config: Path
    curve: Path
    validation: Path
    quality: PictureQuality
    num_pictures: int
    """Pictures of the validation split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainEvents:
    """Called as the training goes on."""

    on_start: Callable[[str], None]
    """With a line on where the weights come from."""
    on_step: Callable[[Step], None]
    on_picture: Callable[[int, int], None]
    """After each picture of the validation: how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A packed set, and how much it counts among others."""

    root: Path
    times: int = 1
    """Factor on how often each of its pictures is drawn."""


def train(
    known: Settings,
    data: Sequence[TrainingSet],
    output: Path,
    events: TrainEvents,
    start: Path | None = None,
) -> TrainReport:
    """Train on the split train of all sets, validate on val of the first.

    Resumes when `output` holds a checkpoint. The model's categories are those of the first set; `known` has
    those of the weights `start`, a file of a model of the same sizes. Without one the training starts anew.

    `known.run` must be resolved (device and threads concrete).
    """
    settings = known.model_copy(update={"categories": own_categories(data[0].root, known.categories)})
    options, categories = settings.train, settings.categories
    torch.set_num_threads(settings.run.threads)
    torch.manual_seed(options.seed)
    sets = [open_labelled(part.root, "train", categories) for part in data]
    held_out = open_labelled(data[0].root, "val", categories)
    network, origin = first_network(settings, start, known)
    events.on_start(origin)
    trainer = Trainer(
        network.to(settings.run.device),
        options,
        output,
        flow_stride=settings.flow.stride,
        bf16=settings.model.precision == "bf16",
        class_weights=_class_weights(data, sets, options.class_balance),
    )
    augmentation = Augmentation(
        crop_px=options.crop_px, base_height_px=options.base_height_px, scale_range=options.scale_range
    )
    source = SampleSource(
        ConcatDataset(sets),
        augmentation,
        thing_ids(categories),
        with_previous=options.two_frames,
        flow_stride=settings.flow.stride,
        earlier=_earlier(sets),
        bank=_object_bank(settings, sets),
    )
    trainer.run(source, picture_weights(data, sets, options.rare_below), events.on_step)
    save_weights(trainer.averaged, output / WEIGHTS)
    judged = _with_weights(settings, output / WEIGHTS)
    (output / CONFIG).write_text(dump_settings(_anywhere(judged)), encoding="utf-8")
    curve = draw_curve(output / CURVE)
    quality = _judge(judged, held_out, events)
    write_quality(quality, output / VALIDATION)
    return TrainReport(
        weights=output / WEIGHTS,
        config=output / CONFIG,
        curve=curve,
        validation=output / VALIDATION,
        quality=quality,
        num_pictures=len(held_out),
    )


def picture_weights(data: Sequence[TrainingSet], sets: Sequence[PackedSet], rare_below: float) -> np.ndarray:
    """How often each picture of all sets is drawn, relative to one with common classes that counts once.

    (pictures of all sets,) float64. What is rare is decided over the different pictures.
    """
    times = np.repeat([part.times for part in data], [len(pictures) for pictures in sets])
    classes_of = [classes for pictures in sets for classes in pictures.classes_of()]
    weights: np.ndarray = repeat_factors(classes_of, rare_below) * times
    return weights


def _class_weights(data: Sequence[TrainingSet], sets: Sequence[PackedSet], exponent: float) -> Tensor:
    per_set = [part.times * pictures.class_areas() for part, pictures in zip(data, sets, strict=True)]
    areas = torch.from_numpy(np.sum(per_set, axis=0))
    return balanced_weights(areas / areas.sum(), exponent)


def _earlier(sets: Sequence[PackedSet]) -> list[list[int]]:
    """For each picture of all sets the positions of the frames before it."""
    first = np.cumsum([0, *(len(pictures) for pictures in sets)]).tolist()
    return [
        [start + position for position in positions]
        for start, pictures in zip(first, sets, strict=False)
        for positions in pictures.earlier(FRAMES_BACK)
    ]


def _object_bank(settings: Settings, sets: Sequence[PackedSet]) -> ObjectBank | None:
    if not settings.train.paste_objects:
        return None
    donors = donors_of([objects for pictures in sets for objects in pictures.objects_of()])
    names = [category.name for category in settings.categories]
    return ObjectBank(ConcatDataset(sets), donors, names, settings.train.paste_objects)


def _with_weights(settings: Settings, weights: Path) -> Settings:
    """Those that run the trained model."""
    # a model trained on single pictures has an untrained neck: it is used without
    fuse = settings.model.fuse and settings.train.two_frames
    model = settings.model.model_copy(update={"fuse": fuse, "weights": str(weights.absolute())})
    return settings.model_copy(update={"model": model})


def _anywhere(settings: Settings) -> Settings:
    """The same without what was decided for this machine."""
    model = settings.model.model_copy(update={"precision": "auto"})
    return settings.model_copy(update={"model": model, "run": RunSettings()})


def _judge(settings: Settings, pictures: PackedSet, events: TrainEvents) -> PictureQuality:
    """The quality of the weights as they lie on the disk, rounding to fp16 included."""
    done = count(1)
    return validate(
        load_network(settings), settings, pictures, lambda: events.on_picture(next(done), len(pictures))
    )
