"""RoIAlign as weighted sums over a table of pixels, for training on a CPU.

torchvision's RoIAlign gives the same values, but on a CPU its gradient runs on one core and took a quarter of
a training step. A sum of table rows is what `embedding_bag` computes, and its gradient is quick.

Legend: `B` pictures, `R` regions, `C` channels, `S` bins along a side, `N` samples along a side.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from models.pyramid import STRIDES

SAMPLES_PER_BIN = 2
"""Along each side of a bin."""
_CANONICAL_LEVEL = 2
"""Position of P4 among P2..P5: that of a region with the canonical size (Lin et al. 2017)."""


def pool_regions(
    levels: Sequence[Tensor], boxes: Sequence[Tensor], output_size: int, canonical_px: float
) -> Tensor:
    """P2..P5 (B, C, h, w) float32 and per picture boxes (r, 4) in pixels of the input -> (R, C, S, S).

    The values of torchvision's MultiScaleRoIAlign with `SAMPLES_PER_BIN`. The boxes get no gradient.
    """
    table = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels])
    with torch.no_grad():
        pixels, weights = _samples(levels, boxes, output_size, canonical_px)
    bags = torch.arange(0, pixels.numel(), pixels.shape[-1], device=pixels.device)
    pooled = functional.embedding_bag(
        pixels.flatten(), table, bags, mode="sum", per_sample_weights=weights.flatten()
    )
    return pooled.reshape(-1, output_size, output_size, table.shape[1]).permute(0, 3, 1, 2)


def _samples(
    levels: Sequence[Tensor], boxes: Sequence[Tensor], output_size: int, canonical_px: float
) -> tuple[Tensor, Tensor]:
    """Rows of the table that each bin reads, and their weights, both (R * S * S, 4 * samples)."""
    device = levels[0].device
    all_boxes = torch.cat(list(boxes)).float()
    picture = torch.cat([torch.full((len(own),), n, device=device) for n, own in enumerate(boxes)])
    level = _level_of(all_boxes, len(levels), canonical_px)
    heights, widths = (torch.tensor([x.shape[axis] for x in levels], device=device) for axis in (2, 3))
    rows_before = torch.tensor([0, *(x.shape[0] * x.shape[2] * x.shape[3] for x in levels[:-1])]).cumsum(0)
    height, width = heights[level], widths[level]
    first_row = rows_before.to(device)[level] + picture * height * width

    corners = all_boxes / torch.tensor(STRIDES, device=device)[level, None]
    sides = (corners[:, 2:] - corners[:, :2]).clamp(min=1.0)
    x, weight_x = _along_a_side(corners[:, 0], sides[:, 0], width, output_size)
    y, weight_y = _along_a_side(corners[:, 1], sides[:, 1], height, output_size)
    # (R, S, S, samples in y, samples in x)
    y, weight_y = (part[:, :, None, :, None] for part in (y, weight_y))
    x, weight_x = (part[:, None, :, None, :] for part in (x, weight_x))
    pixels = first_row[:, None, None, None, None] + y * width[:, None, None, None, None] + x
    return pixels.flatten(0, 2).flatten(1), (weight_y * weight_x).flatten(0, 2).flatten(1)


def _level_of(boxes: Tensor, num_levels: int, canonical_px: float) -> Tensor:
    side = ((boxes[:, 2:] - boxes[:, :2]).prod(1)).sqrt()
    level = torch.floor(_CANONICAL_LEVEL + torch.log2(side / canonical_px) + 1e-6)
    return level.clamp(0, num_levels - 1).long()


def _along_a_side(start: Tensor, length: Tensor, size: Tensor, output_size: int) -> tuple[Tensor, Tensor]:
    """The two neighbours of each sample along one side, and their weights: (R, S, 2 * SAMPLES_PER_BIN).

    A sample more than a pixel outside the map counts nothing; weights of a bin sum to 1 otherwise.
    """
    count = output_size * SAMPLES_PER_BIN
    steps = (torch.arange(count, device=start.device) + 0.5) / count
    at = start[:, None] + steps * length[:, None]
    last = (size - 1)[:, None]
    inside = (at >= -1) & (at <= size[:, None])
    at = torch.minimum(at.clamp(min=0), last)
    low = at.floor()
    part = at - low
    neighbours = torch.stack((low, torch.minimum(low + 1, last)), dim=-1).long()
    weights = torch.stack((1 - part, part), dim=-1) * inside[..., None] / SAMPLES_PER_BIN
    shape = (len(start), output_size, 2 * SAMPLES_PER_BIN)
    return neighbours.reshape(shape), weights.reshape(shape)
