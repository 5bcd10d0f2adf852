"""Labels frames of clips that nobody labelled: `python -m training.data.pseudo`.

Two teachers: a model of the project's own says the classes, as the mean over several sizes and the mirrored
picture, which is more reliable than a single look; the objects come from `training.data.teacher`. What
either is not sure of is void: it teaches the semantic head nothing, but to the heads of objects it is
background. A model trained on the labels can be the teacher of the next round (`--config`). All frames
become `train`: what nobody labelled cannot judge.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from configs.categories import CITYSCAPES, stuff_ids
from configs.errors import SettingsError, SourceError
from configs.loading import load_settings
from configs.resolve import resolve
from configs.schema import Settings
from stages.features import FeaturesStage
from stages.fuse import FuseStage
from stages.network import load_network, precision
from stages.panoptic import at_network_size
from training.data.clip_labels import DOUBTED, frames_of, with_objects
from training.data.command import exit_code_of
from training.data.packing import Packed, close_split, open_split, segment_id, write_picture
from training.data.teacher import InstanceTeacher, Teacher, TeacherObject
from training.validate import frame_alone

SURE_PIXEL = 0.75
"""Pixels whose best class is less probable are void."""
SCALES = (0.8, 1.0, 1.4)
"""Sizes at which the model looks, times its own."""
_NAMES = [category.name for category in CITYSCAPES]
_PERSON, _RIDER = _NAMES.index("person"), _NAMES.index("rider")

Classes = Callable[[np.ndarray], np.ndarray]
"""From a picture (H, W, 3) uint8 BGR to the probabilities of its classes (K, H, W) float32."""


class SemanticTeacher:
    """The semantic head of a model, fused as for a picture alone, at several sizes, as it is and mirrored."""

    def __init__(self, settings: Settings) -> None:
        self._network = load_network(settings, ("backbone", "pyramid", "fusion", "semantic"))
        self._settings = settings
        self._features = [FeaturesStage(_scaled(settings, scale), self._network) for scale in SCALES]
        self._fuse = FuseStage(settings, self._network)

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """image (H, W, 3) uint8 BGR -> probabilities (K, H, W) float32."""
        rgb = np.ascontiguousarray(image[:, :, ::-1])
        mirrored = np.ascontiguousarray(rgb[:, ::-1])
        total = sum(
            self._look(features, rgb) + self._look(features, mirrored).flip(2) for features in self._features
        )
        assert isinstance(total, Tensor)
        mean: np.ndarray = (total / (2 * len(self._features))).cpu().numpy()
        return mean

    def _look(self, features_of: FeaturesStage, rgb: np.ndarray) -> Tensor:
        features = self._fuse(features_of(frame_alone(rgb)), None, None)
        with precision(self._settings):
            logits = self._network.semantic(features.levels)
        whole = at_network_size(logits, features.network_size)[None]
        at_size = functional.interpolate(whole, features.frame_size, mode="bilinear", align_corners=False)
        return at_size[0].softmax(0)


def label(probabilities: np.ndarray, objects: Sequence[TeacherObject]) -> np.ndarray:
    """Probabilities (K, H, W) and a teacher's objects -> segment ids (H, W) int32.

    Stuff where it is sure, the objects on it. The teacher knows no riders: a person becomes one if the model
    sees most of it as a rider.
    """
    best, sure = probabilities.argmax(0), probabilities.max(0) >= SURE_PIXEL
    ids = np.zeros(best.shape, np.int32)
    for class_index in stuff_ids(CITYSCAPES):
        ids[sure & (best == class_index)] = segment_id(class_index, 0)
    return with_objects(ids, [_maybe_rider(found, best) for found in objects])


def convert(clips: Sequence[Path], out: Path, every: int, classes: Classes, objects: Teacher) -> list[Packed]:
    """One frame of so many of each clip, as the split `train`."""
    names = [clip.stem for clip in clips]
    if twice := next((clip for clip in clips if names.count(clip.stem) > 1), None):
        raise SourceError(f"{twice}: two clips have this name; rename one")
    for clip in clips:  # what cannot be read is found out before anything is written
        if next(frames_of(clip, every), None) is None:
            raise SourceError(f"{clip}: has no frame; give another clip")
    open_split(out / "train")
    pictures = [
        write_picture(out / "train", f"{clip.stem}_{index:06d}", image, label(classes(image), objects(image)))
        for clip in clips
        for index, image in frames_of(clip, every)
    ]
    close_split(out / "train", pictures)
    return pictures


def _scaled(settings: Settings, scale: float) -> Settings:
    own = settings.input
    sides = {key: round(getattr(own, key) * scale) for key in ("short_side_px", "max_long_side_px")}
    return settings.model_copy(update={"input": own.model_copy(update=sides)})


def _maybe_rider(found: TeacherObject, classes: np.ndarray) -> TeacherObject:
    if found.category_id == _PERSON and (classes[found.mask] == _RIDER).mean() > 0.5:
        return replace(found, category_id=_RIDER)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.pseudo", description=__doc__)
    parser.add_argument("--clip", type=Path, required=True, action="append", help="a video; repeatable")
    parser.add_argument("--out", type=Path, required=True, help="where train/ is written")
    parser.add_argument("--every", type=int, default=10, help="take one frame of so many")
    parser.add_argument("--config", default="street", help="the model that says the classes")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every: {options.every} is not a whole number of 1 or more")

    def work() -> None:
        settings = resolve(load_settings(options.config))
        if settings.categories != CITYSCAPES:
            raise SettingsError(
                f"--config {options.config}: is no model of Cityscapes' 19 classes, which the teacher knows"
            )
        torch.set_num_threads(settings.run.threads)
        objects = InstanceTeacher(long_side_px=1280, min_score=DOUBTED)
        pictures = convert(options.clip, options.out, options.every, SemanticTeacher(settings), objects)
        labelled = 1 - sum(p.void_px for p in pictures) / sum(p.size[0] * p.size[1] for p in pictures)
        num_objects = sum(len(picture.objects()) for picture in pictures)
        print(f"{len(pictures)} pictures, {num_objects} objects, {labelled:.0%} of the pixels labelled")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
