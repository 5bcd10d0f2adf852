"""Quality of a network on labelled pictures: PQ and mIoU, through the same stages that a run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from configs.schema import Settings
from evaluation.matching import PanopticResult
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from evaluation.segments import predicted_segments
from evaluation.semantic import SemanticIoU, SemanticResult
from models.vpsnet import VPSNet
from stages.messages import Frame, Panoptic
from stages.whole_model import WholeModel
from training.data.packed import PanopticPicture, truth_of
from training.data.packing import VOID_CLASS


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureQuality:
    """What `validate` finds."""

    num_pictures: int
    panoptic: PanopticResult
    semantic: SemanticResult
    """Of the panoptic map itself: each pixel has the class of its segment."""


def validate(
    network: VPSNet,
    settings: Settings,
    pictures: Iterable[PanopticPicture],
    on_picture: Callable[[], None] = lambda: None,
) -> PictureQuality:
    """PQ and mIoU of a prepared network on those pictures, at the settings' input size."""
    model, categories = WholeModel(settings, network), settings.categories
    quality, semantic = PanopticQuality(categories), SemanticIoU(categories)
    num_pictures = 0
    for picture in pictures:
        panoptic, _ = model(frame_alone(picture.image), None)
        quality.add(frame_overlap(*truth_of(picture, categories), *predicted_segments(panoptic, categories)))
        semantic.add(picture.class_map, class_map_of(panoptic))
        num_pictures += 1
        on_picture()
    return PictureQuality(num_pictures=num_pictures, panoptic=quality.result(), semantic=semantic.result())


def frame_alone(image: np.ndarray) -> Frame:
    """A picture (H, W, 3) uint8 RGB as the only frame of a video."""
    return Frame(index=0, pts=0, time_base=Fraction(1, 25), duration=1, image=image)


def class_map_of(panoptic: Panoptic) -> np.ndarray:
    """(H, W) uint8: the class of each pixel's segment, 255 = void."""
    classes = np.array([VOID_CLASS, *(segment.class_index for segment in panoptic.segments)], np.uint8)
    class_map: np.ndarray = classes[panoptic.label_map]
    return class_map
