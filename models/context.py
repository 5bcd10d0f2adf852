"""What lies around: each position of the coarsest map learns of its surroundings and the whole picture.

In the manner of ASPP (Chen et al. 2017), narrow and by depth, as a residual of the map. Not part of VPSNet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_DILATIONS = (1, 2, 4, 8)


class Context(nn.Module):
    """C5 -> C5; at first, before it is trained, without any effect."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.norm = nn.GroupNorm(32, channels)
        self.around = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=d, dilation=d, groups=channels) for d in _DILATIONS
        )
        self.expand = nn.Conv2d((2 + len(_DILATIONS)) * channels, in_channels, 1)
        nn.init.zeros_(self.expand.weight)
        assert self.expand.bias is not None
        nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        own = functional.relu(self.norm(self.reduce(x)))
        whole = own.mean(dim=(2, 3), keepdim=True).expand_as(own)
        seen = torch.cat((own, *(functional.relu(layer(own)) for layer in self.around), whole), dim=1)
        result: Tensor = x + self.expand(seen)
        return result
