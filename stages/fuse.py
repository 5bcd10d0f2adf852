"""fuse: features of t, unfused features of t-1, flow -> fused features of t. A pure function of the three."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from configs.schema import Settings
from models.vpsnet import VPSNet
from stages.messages import Features, Flow
from stages.network import load_network, precision, stacked


class FuseStage:
    """VPSNet's fusion neck; passes the features on when fusion is off."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network
        if settings.model.fuse and network is None:
            self._network = load_network(settings, ("fusion",))

    def __call__(self, features: Features, previous: Features | None, flow: Flow | None) -> Features:
        """The first frame is fused with itself, without flow."""
        return self.batch([features], [previous], [flow])[0]

    @torch.inference_mode()
    def batch(
        self,
        features: Sequence[Features],
        previous: Sequence[Features | None],
        flows: Sequence[Flow | None],
    ) -> list[Features]:
        """Several frames of one size, each with the one before it."""
        if not self._settings.model.fuse:
            return list(features)
        assert self._network is not None
        references = [before or current for current, before in zip(features, previous, strict=True)]
        stride = self._settings.flow.stride
        fields = [flow_over_input(*pair, stride) for pair in zip(features, flows, strict=True)]
        with precision(self._settings):
            levels = self._network.fusion(stacked(features), stacked(references), torch.cat(fields), stride)
        return [
            dataclasses.replace(
                current, levels=tuple(level[position : position + 1].float() for level in levels)
            )
            for position, current in enumerate(features)
        ]


def flow_over_input(features: Features, flow: Flow | None, stride: int) -> Tensor:
    """The flow (1, 2, H_net / stride, W_net / stride) over the padded input: nothing moves in the padding."""
    finest = features.levels[0]
    height, width = finest.shape[-2] * 4 // stride, finest.shape[-1] * 4 // stride
    if flow is None:
        return finest.new_zeros((1, 2, height, width))
    field = torch.from_numpy(flow.field).to(finest.device).permute(2, 0, 1)[None]
    return functional.pad(field, (0, width - field.shape[-1], 0, height - field.shape[-2]))
