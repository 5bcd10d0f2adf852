"""features: one frame -> its feature pyramid. A pure function of the frame."""

from __future__ import annotations

import torch
from torch.nn import functional

from configs.schema import Settings
from models.vpsnet import SIZE_MULTIPLE, VPSNet
from stages.messages import Features, Frame
from stages.network import load_network, precision
from stages.preprocess import network_size, padded_size, resized


class FeaturesStage:
    """Backbone and pyramid."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network or load_network(settings, ("backbone", "pyramid"))

    @torch.inference_mode()
    def __call__(self, frame: Frame) -> Features:
        """The unfused pyramid P2..P6 of a frame, float32."""
        size = network_size(frame.size, self._settings.input)
        height, width = padded_size(size, SIZE_MULTIPLE)
        picture = torch.from_numpy(resized(frame.image, size)).to(self._settings.run.device)
        image = picture.permute(2, 0, 1)[None].float()
        # replicate, not zero: a black border would look like the edge of an object
        image = functional.pad(image, (0, width - size[1], 0, height - size[0]), mode="replicate")
        with precision(self._settings):
            levels = self._network.extract(image)
        return Features(
            index=frame.index,
            levels=tuple(level.float() for level in levels),
            network_size=size,
            frame_size=frame.size,
        )
