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
from stages.detect import DetectStage
from stages.features import FeaturesStage
from stages.fuse import FuseStage
from stages.messages import Frame, Panoptic
from stages.panoptic import PanopticStage
from stages.track import TrackStage
from training.data.packed import PanopticPicture, truth_of

VOID_CLASS = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureQuality:
    """What `validate` finds."""

    num_pictures: int
    panoptic: PanopticResult
    semantic: SemanticResult
    """Of the panoptic map itself: each pixel has the class of its segment."""


class PictureModel:
    """The model stages for one picture alone: it is fused with itself, as the first frame of a video is."""

    def __init__(self, network: VPSNet, settings: Settings) -> None:
        """`network` as `stages.network.prepare` makes it, with all parts."""
        self._features = FeaturesStage(settings, network)
        self._fuse = FuseStage(settings, network)
        self._detect = DetectStage(settings, network)
        self._track = TrackStage(settings)
        self._panoptic = PanopticStage(settings)

    def __call__(self, image: np.ndarray) -> Panoptic:
        """(H, W, 3) uint8 RGB -> its panoptic map."""
        frame = Frame(index=0, pts=0, time_base=Fraction(1, 25), duration=1, image=image)
        detections = self._detect(self._fuse(self._features(frame), None, None))
        tracks, _ = self._track(detections, None)
        return self._panoptic(detections, tracks)


def validate(
    network: VPSNet,
    settings: Settings,
    pictures: Iterable[PanopticPicture],
    on_picture: Callable[[], None] = lambda: None,
) -> PictureQuality:
    """PQ and mIoU of a prepared network on those pictures, at the settings' input size."""
    model = PictureModel(network, settings)
    quality = PanopticQuality(settings.category_set)
    semantic = SemanticIoU(settings.category_set)
    num_pictures = 0
    for picture in pictures:
        panoptic = model(picture.image)
        quality.add(frame_overlap(*truth_of(picture), *predicted_segments(panoptic)))
        semantic.add(picture.class_map, class_map_of(panoptic))
        num_pictures += 1
        on_picture()
    return PictureQuality(num_pictures=num_pictures, panoptic=quality.result(), semantic=semantic.result())


def class_map_of(panoptic: Panoptic) -> np.ndarray:
    """(H, W) uint8: the class of each pixel's segment, 255 = void."""
    classes = np.array([VOID_CLASS, *(segment.category_id for segment in panoptic.segments)], np.uint8)
    class_map: np.ndarray = classes[panoptic.label_map]
    return class_map
