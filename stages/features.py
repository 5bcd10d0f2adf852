"""features: one frame -> its feature pyramid. A pure function of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from configs.schema import Settings
from models.vpsnet import SIZE_MULTIPLE, VPSNet
from stages.messages import Features, Frame, Size
from stages.network import load_network, precision
from stages.preprocess import network_size, padded_size, resized


class FeaturesStage:
    """Backbone and pyramid."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network or load_network(settings, ("backbone", "pyramid"))

    def __call__(self, frame: Frame) -> Features:
        """The unfused pyramid P2..P6 of a frame, float32."""
        return self.batch([frame])[0]

    @torch.inference_mode()
    def batch(self, frames: Sequence[Frame]) -> list[Features]:
        """Those of several frames of one size."""
        size, device = network_size(frames[0].size, self._settings.input), self._settings.run.device
        images = torch.cat([network_input(frame.image, size, device) for frame in frames])
        with precision(self._settings):
            levels = [level.float() for level in self._network.extract(images)]
        return [
            Features(
                index=frame.index,
                levels=tuple(_alone(level, position) for level in levels),
                network_size=size,
                frame_size=frame.size,
                gap_s=frame.gap.duration_s if frame.gap is not None else 0.0,
            )
            for position, frame in enumerate(frames)
        ]


def _alone(level: Tensor, position: int) -> Tensor:
    """That of one picture, which does not keep the others in memory."""
    return level if len(level) == 1 else level[position : position + 1].clone()


def network_input(image: np.ndarray, size: Size, device: str) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H_net, W_net) float32, 0..255: resized to `size` (h, w), then padded."""
    height, width = padded_size(size, SIZE_MULTIPLE)
    picture = torch.from_numpy(resized(image, size)).to(device)
    batch = picture.permute(2, 0, 1)[None].float()
    # replicate, not zero: a black border would look like the edge of an object
    return functional.pad(batch, (0, width - size[1], 0, height - size[0]), mode="replicate")
