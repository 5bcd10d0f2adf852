"""Feature pyramid P2..P6 (Lin et al. 2017), as VPSNet uses it.

1x1 lateral layers, nearest x2 top-down sums, 3x3 output layers, no norm; P6 is P5 at every second
position. Parameter names are those of torchvision's Mask R-CNN. Beyond VPSNet, C5 may see its context first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from models.context import Context

STRIDES = (4, 8, 16, 32, 64)
"""Strides of P2..P6."""


class Pyramid(nn.Module):
    """C2..C5 -> P2..P6, all with the same number of channels."""

    def __init__(self, in_channels: Sequence[int], channels: int, context_channels: int = 0) -> None:
        """`context_channels`: width of the context of C5; 0: without."""
        super().__init__()
        self.context = Context(in_channels[-1], context_channels) if context_channels else nn.Identity()
        self.fpn = FeaturePyramidNetwork(list(in_channels), channels, extra_blocks=LastLevelMaxPool())

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """C2..C5 (B, C_i, H / s, W / s) -> P2..P6 (B, C, H / s, W / s)."""
        whole = (*maps[:-1], self.context(maps[-1]))
        named = OrderedDict((str(position), x) for position, x in enumerate(whole))
        return tuple(self.fpn(named).values())
