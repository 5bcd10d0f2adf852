"""UPSNet's semantic head, as VPSNet uses it: one stack of 3x3 layers shared by P2..P5, then a 1x1.

Legend: `B` pictures, `C` channels, `K` classes; `s4` = stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import deform_conv2d


def at_stride_4(pixels: Tensor) -> Tensor:
    """(..., h, w) -> (..., h / 4, w / 4): of each 4x4 cell of the logits the pixel nearest its centre."""
    return pixels[..., 2::4, 2::4]


class DeformableConv(nn.Module):
    """3x3 deformable convolution, version 1: learned offsets, no modulation, no bias (Dai et al. 2017)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        nn.init.kaiming_uniform_(self.weight, a=1.0)
        self.offset = nn.Conv2d(in_channels, 18, 3, padding=1)
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w)."""
        offsets = self.offset(x)
        with torch.autocast(x.device.type, enabled=False):
            sampled: Tensor = deform_conv2d(x.float(), offsets.float(), self.weight.float(), padding=1)
        return sampled


class SemanticHead(nn.Module):
    """P2..P5 -> class logits at stride 4."""

    def __init__(
        self, in_channels: int, layer_channels: Sequence[int], num_classes: int, deformable: bool
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = in_channels
        for channels in layer_channels:
            if deformable:
                layers.append(DeformableConv(width, channels))
            else:
                layers.append(nn.Conv2d(width, channels, 3, padding=1, bias=False))
            layers += [nn.GroupNorm(32, channels), nn.ReLU()]
            width = channels
        self.layers = nn.Sequential(*layers)
        self.score = nn.Conv2d(4 * width, num_classes, 1)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P2..P5 (further levels are ignored) -> (B, K, H / 4, W / 4), float32."""
        size = levels[0].shape[-2:]
        # the 1x1 layer over the concatenated levels, taken apart: it commutes with bilinear resizing,
        # so each level is scored at its own size and only K channels are enlarged
        parts = self.score.weight.chunk(4, dim=1)
        scores = [functional.conv2d(self.layers(x), part) for x, part in zip(levels[:4], parts, strict=True)]
        total = sum(
            functional.interpolate(x.float(), size, mode="bilinear", align_corners=False) for x in scores
        )
        assert isinstance(total, Tensor)
        assert self.score.bias is not None
        return total + self.score.bias.float()[:, None, None]
