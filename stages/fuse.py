"""fuse: features of t, unfused features of t-1, flow -> fused features of t. A pure function of the three."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from configs.schema import Settings
from models.vpsnet import VPSNet
from stages.messages import Features, Flow
from stages.network import load_network, precision


class FuseStage:
    """VPSNet's fusion neck; passes the features on when fusion is off."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network
        if settings.model.fuse and network is None:
            self._network = load_network(settings, ("fusion",))

    @torch.inference_mode()
    def __call__(self, features: Features, previous: Features | None, flow: Flow | None) -> Features:
        """The first frame is fused with itself, without flow."""
        if not self._settings.model.fuse:
            return features
        assert self._network is not None
        reference = previous or features
        stride = self._settings.flow.stride
        field = flow_over_input(features, flow, stride)
        with precision(self._settings):
            levels = self._network.fusion(features.levels, reference.levels, field, stride)
        return Features(
            index=features.index,
            levels=tuple(level.float() for level in levels),
            network_size=features.network_size,
            frame_size=features.frame_size,
        )


def flow_over_input(features: Features, flow: Flow | None, stride: int) -> Tensor:
    """The flow (1, 2, H_net / stride, W_net / stride) over the padded input: nothing moves in the padding."""
    finest = features.levels[0]
    height, width = finest.shape[-2] * 4 // stride, finest.shape[-1] * 4 // stride
    if flow is None:
        return finest.new_zeros((1, 2, height, width))
    field = torch.from_numpy(flow.field).to(finest.device).permute(2, 0, 1)[None]
    return functional.pad(field, (0, width - field.shape[-1], 0, height - field.shape[-2]))
