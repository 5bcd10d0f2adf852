"""Two real frames, and what the stages of a run make of them: what the files are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from torch import Tensor

from configs.schema import Settings
from models.vpsnet import VPSNet
from stages.detect import DetectStage
from stages.features import FeaturesStage, network_input
from stages.flow import FlowStage
from stages.fuse import FuseStage, flow_over_input
from stages.messages import Detections, Frame, Size
from stages.preprocess import resized

_SHIFT_PX = 6
"""How far the second frame lies beside the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A frame on its way through the stages."""

    image: Tensor
    """(1, 3, H, W) float32, 0..255."""
    levels: tuple[Tensor, ...]
    """P2..P6."""
    previous: tuple[Tensor, ...]
    """P2..P6 of the frame before."""
    flow: Tensor
    """(1, 2, H / stride, W / stride)."""
    fused: tuple[Tensor, ...]
    """P2..P6; those of the frame alone when fusion is off."""
    detections: Detections
    """Of the fused levels."""


def make_sample(image: np.ndarray, size: Size, settings: Settings, network: VPSNet) -> Sample:
    """Run the stages on a picture (H, W, 3) uint8 RGB, cut and resized to `size` (h, w).

    `settings.input` must leave a picture of that size as it is. The frame before is the same picture,
    moved by some pixels.
    """
    frame = _frame(1, fitted(image, size))
    before = _frame(0, np.roll(frame.image, _SHIFT_PX, axis=1))
    extract = FeaturesStage(settings, network)
    features, previous = extract(frame), extract(before)
    flow = FlowStage(settings)(frame, before)
    fused = FuseStage(settings, network)(features, previous, flow)
    return Sample(
        image=network_input(frame.image, size, settings.run.device),
        levels=features.levels,
        previous=previous.levels,
        flow=flow_over_input(features, flow, settings.flow.stride),
        fused=fused.levels,
        detections=DetectStage(settings, network)(fused),
    )


def fitted(image: np.ndarray, size: Size) -> np.ndarray:
    """The upper left part of a picture that has the aspect of `size` (h, w), resized to it."""
    scale = min(image.shape[0] / size[0], image.shape[1] / size[1])
    part = image[: max(round(size[0] * scale), 1), : max(round(size[1] * scale), 1)]
    return resized(np.ascontiguousarray(part), size)


def _frame(index: int, image: np.ndarray) -> Frame:
    return Frame(index=index, pts=index, time_base=Fraction(1, 25), duration=1, image=image)
