"""One training, from settings to a weights file: what `run_pipeline.py train` does.

OUTPUT/checkpoint.pt         to resume from; training goes on where it stopped
OUTPUT/curve.jsonl, .png     losses step by step
OUTPUT/weights.safetensors   the averaged model, fp16
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
from configs.errors import SettingsError, WeightsError
from configs.schema import Settings
from models.vpsnet import VPSNet
from models.weights import fill_from_torchvision, load_weights, save_weights
from stages.network import ROOT, architecture_of, load_network
from training.copy_paste import ObjectBank, donors_of
from training.curve import draw_curve
from training.data.packed import PackedSet
from training.dataset import SampleSource
from training.losses import balanced_weights
from training.quality import write_quality
from training.samples import Augmentation
from training.sampling import repeat_factors
from training.trainer import CURVE, Step, Trainer
from training.validate import PictureQuality, validate

WEIGHTS = "weights.safetensors"
VALIDATION = "validation.json"
FRAMES_BACK = 3
"""Of a video, the view before a frame is one of so many frames before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainReport:
    """What a training leaves behind."""

    weights: Path
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


def train(settings: Settings, data: Sequence[TrainingSet], output: Path, events: TrainEvents) -> TrainReport:
    """Train on the split train of all sets, validate on val of the first.

    Resumes when `output` holds a checkpoint.

    `settings.run` must be resolved (device and threads concrete).
    """
    options = settings.train
    torch.set_num_threads(settings.run.threads)
    torch.manual_seed(options.seed)
    sets, held_out = [PackedSet(part.root, "train") for part in data], PackedSet(data[0].root, "val")
    network, origin = _initial_network(settings)
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
        thing_ids(settings.category_set),
        with_previous=options.two_frames,
        flow_stride=settings.flow.stride,
        earlier=_earlier(sets),
        bank=_object_bank(settings, sets),
    )
    trainer.run(source, picture_weights(data, sets, options.rare_below), events.on_step)
    save_weights(trainer.averaged, output / WEIGHTS)
    curve = draw_curve(output / CURVE)
    quality = _judge(settings, output / WEIGHTS, held_out, events)
    write_quality(quality, output / VALIDATION)
    return TrainReport(
        weights=output / WEIGHTS,
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
    names = [category.name for category in settings.category_set]
    return ObjectBank(ConcatDataset(sets), donors, names, settings.train.paste_objects)


def _judge(settings: Settings, weights: Path, pictures: PackedSet, events: TrainEvents) -> PictureQuality:
    """The quality of a weights file as it lies on the disk, rounding to fp16 included."""
    # a model trained on single pictures has an untrained neck: it is judged without
    fuse = settings.model.fuse and settings.train.two_frames
    model = settings.model.model_copy(update={"fuse": fuse, "weights": str(weights.absolute())})
    judged = settings.model_copy(update={"model": model})
    done = count(1)
    return validate(
        load_network(judged), judged, pictures, lambda: events.on_picture(next(done), len(pictures))
    )


def _initial_network(settings: Settings) -> tuple[VPSNet, str]:
    network, options = VPSNet(architecture_of(settings)), settings.train
    if options.initial_weights is not None:
        path = _existing(options.initial_weights, "train.initial_weights")
        try:
            load_weights(network, path)
        except ValueError as error:
            raise WeightsError(str(error)) from error
        return network, f"weights of {path}"
    if options.backbone_weights is not None:
        path = _existing(options.backbone_weights, "train.backbone_weights")
        return network, f"{path}: {fill_from_torchvision(network, path).summary()}"
    return network, "random weights"


def _existing(name: str, key: str) -> Path:
    path = ROOT / name
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; set {key} to a file that exists, or to null")
    return path
