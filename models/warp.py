"""Warping by backward flow, and the correlation of two maps.

Legend: `B` pictures, `C` channels, `h w` map size, `D` largest displacement.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """Pull `features` along a backward flow: out(x) = features(x + flow(x)).

    features (B, C, h, w); flow (B, 2, h, w), x then y, in pixels of that map. Bilinear, zeros outside.
    VPSNet section 1.3; `align_corners=True`, so that a flow of zero is the identity.
    """
    height, width = features.shape[-2:]
    ys = torch.linspace(-1.0, 1.0, height, device=flow.device)
    xs = torch.linspace(-1.0, 1.0, width, device=flow.device)
    grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
    grid = torch.stack(
        (
            grid_x + flow[:, 0].float() * (2.0 / max(width - 1, 1)),
            grid_y + flow[:, 1].float() * (2.0 / max(height - 1, 1)),
        ),
        dim=-1,
    )
    pulled = functional.grid_sample(
        features.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return pulled.to(features.dtype)


def resize_flow(flow: Tensor, size: tuple[int, int], scale: float) -> Tensor:
    """(B, 2, h, w) to `size` (bilinear), displacements multiplied by `scale` (new pixels per old)."""
    return functional.interpolate(flow, size, mode="bilinear", align_corners=False) * scale


def correlation(target: Tensor, reference: Tensor, max_displacement: int = 4) -> Tensor:
    """Cost volume: channel (dy + D) * (2 D + 1) + (dx + D) holds mean_c target(x) * reference(x + d).

    Both (B, C, h, w) -> (B, (2 D + 1)^2, h, w); zeros outside. FlowNet2's correlation with kernel 1
    and stride 1. One matrix product per row shift, of which only the diagonal band is kept.
    """
    batch, channels, height, width = target.shape
    reach = 2 * max_displacement + 1
    padded = functional.pad(reference, [max_displacement] * 4).permute(0, 2, 1, 3)  # (B, h + 2D, C, w + 2D)
    rows = target.permute(0, 2, 3, 1)  # (B, h, w, C)
    columns = torch.arange(width, device=target.device)[:, None] + torch.arange(reach, device=target.device)
    band = columns.expand(batch, height, width, reach)
    volume = [torch.matmul(rows, padded[:, shift : shift + height]).gather(3, band) for shift in range(reach)]
    return torch.cat(volume, dim=3).permute(0, 3, 1, 2) / channels
