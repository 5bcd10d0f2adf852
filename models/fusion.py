"""VPSNet's fusion neck: gather, align, attend, refine, scatter (Kim et al. 2020, section 4.1).

Legend: `B` pictures, `C` channels of the pyramid, `h w` size of the gather level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.warp import correlation, resize_flow, warp

CORRELATION_REACH = 4
_SLOPE = 0.1


class FlowRefinement(nn.Module):
    """A small network that predicts what the flow is still wrong by, from both maps' correlation."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        volume = (2 * CORRELATION_REACH + 1) ** 2
        self.last = nn.Conv2d(max(width // 2, 1), 2, 3, padding=1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels + volume + 2, width, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, max(width // 2, 1), 3, padding=1),
            nn.LeakyReLU(_SLOPE),
        )

    def forward(self, target: Tensor, warped: Tensor, flow: Tensor) -> Tensor:
        """(B, C, h, w) twice and flow (B, 2, h, w) -> residual flow (B, 2, h, w)."""
        volume = correlation(target, warped, CORRELATION_REACH)
        residual: Tensor = self.last(self.layers(torch.cat((target, volume, flow), dim=1)))
        return residual


class SpaceTimeAttention(nn.Module):
    """Temporal then spatial attention over the target and the aligned reference (EDVR's, one level).

    The product of target and reference is a mean over the channels, not the paper's sum.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embed_each = nn.Conv2d(channels, channels, 3, padding=1)
        self.embed_target = nn.Conv2d(channels, channels, 3, padding=1)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)
        self.squeeze = nn.Conv2d(2 * channels, channels, 1)
        self.after_pool = nn.Conv2d(2 * channels, channels, 1)
        self.at_half = nn.Conv2d(channels, channels, 3, padding=1)
        self.at_full = nn.Conv2d(channels, channels, 3, padding=1)
        self.offset = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(channels, channels, 1)
        )

    def forward(self, target: Tensor, aligned: Tensor) -> Tensor:
        """(B, C, h, w) twice, h and w even -> (B, C, h, w)."""
        anchor = self.embed_target(target)
        weights = [(self.embed_each(x) * anchor).mean(1, keepdim=True) for x in (target, aligned)]
        stacked = torch.cat((target * weights[0].sigmoid(), aligned * weights[1].sigmoid()), dim=1)
        fused = functional.leaky_relu(self.fuse(stacked), _SLOPE)
        attention = self._spatial(stacked)
        attended: Tensor = fused * torch.sigmoid(attention) * 2 + self.offset(attention)
        return attended

    def _spatial(self, stacked: Tensor) -> Tensor:
        x = functional.leaky_relu(self.squeeze(stacked), _SLOPE)
        pooled = torch.cat((functional.max_pool2d(x, 3, 2, 1), functional.avg_pool2d(x, 3, 2, 1)), dim=1)
        x = functional.leaky_relu(self.after_pool(pooled), _SLOPE)
        x = functional.leaky_relu(self.at_half(x), _SLOPE)
        x = functional.interpolate(x, stacked.shape[-2:], mode="bilinear", align_corners=False)
        attention: Tensor = self.at_full(x)
        return attention


class FusionNeck(nn.Module):
    """Adds to every level of the target's pyramid what the aligned reference knows."""

    def __init__(self, channels: int, gather_level: int, residual_channels: int) -> None:
        super().__init__()
        self.gather_level = gather_level
        self.flow_refinement = FlowRefinement(channels, residual_channels)
        self.attention = SpaceTimeAttention(channels)
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        # The paper's way alone gave a neck that never saw the reference: a residual flow drawn at random
        # moves it out of the picture, from where no gradient comes, and a product of hundreds is all or
        # nothing. So it begins where it does no harm: the flow as it is, even attention, little added.
        attention = self.attention
        for conv, std in (
            (self.flow_refinement.last, 0.0),
            (attention.embed_each, 0.01),
            (attention.embed_target, 0.01),
            (self.refine, 0.001),
        ):
            nn.init.normal_(conv.weight, std=std)

    def forward(
        self, target: Sequence[Tensor], reference: Sequence[Tensor], flow: Tensor, flow_stride: int
    ) -> tuple[Tensor, ...]:
        """Pyramids P2..P6 of the frame and (unfused) of the one before -> the fused pyramid.

        flow (B, 2, h_f, w_f) points from the frame to the one before, in pixels of the network's
        input, one cell per `flow_stride` of them.
        """
        gathered = self._gather(target)
        level_stride = 4 * 2**self.gather_level
        initial = resize_flow(flow, (gathered.shape[-2], gathered.shape[-1]), 1.0 / level_stride)
        aligned = self._align(gathered, self._gather(reference), initial)
        refined = functional.relu(self.refine(self.attention(gathered, aligned)))
        return self._scatter(refined, target)

    def _gather(self, levels: Sequence[Tensor]) -> Tensor:
        height, width = levels[self.gather_level].shape[-2:]
        total, *others = (_resample(x, (height, width)) for x in levels)
        # added one by one: a stack of all levels costs a quarter of the neck's time on a CPU
        for other in others:
            total = total + other
        return total / len(levels)

    def _align(self, target: Tensor, reference: Tensor, flow: Tensor) -> Tensor:
        warped = warp(reference, flow)
        # warped a second time, as in the paper's code: the two flows are not added
        return warp(warped, self.flow_refinement(target, warped, flow))

    @staticmethod
    def _scatter(refined: Tensor, target: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(x + _resample(refined, (x.shape[-2], x.shape[-1])) for x in target)


def _resample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """To another level's size: maximum when it is coarser, nearest when it is finer."""
    if size[0] <= x.shape[-2]:
        return functional.adaptive_max_pool2d(x, size)
    return functional.interpolate(x, size, mode="nearest")
