"""Pooling for training gives the values and the gradient of torchvision's RoIAlign."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from models.heads import RegionPooler
from models.region_sampling import SAMPLES_PER_BIN, pool_regions

SIZE = (128, 192)
CANONICAL_PX = 56.0


def _levels(generator: torch.Generator) -> list[torch.Tensor]:
    return [
        torch.randn(2, 5, SIZE[0] // stride, SIZE[1] // stride, generator=generator, requires_grad=True)
        for stride in (4, 8, 16, 32)
    ]


def _boxes(generator: torch.Generator, count: int) -> torch.Tensor:
    """Of all sizes, over the picture's border as well, some without width."""
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([210.0, 140.0]) - 15
    sides = torch.rand(count, 2, generator=generator) ** 3 * 190
    sides[::7, 0] = 0
    return torch.cat((corner, corner + sides), dim=1)


@pytest.mark.parametrize("output_size", [7, 14])
def test_values_and_gradient_are_those_of_torchvision(output_size: int) -> None:
    generator = torch.Generator().manual_seed(3)
    levels, boxes = _levels(generator), [_boxes(generator, 80), _boxes(generator, 43)]
    reference = MultiScaleRoIAlign(
        ["0", "1", "2", "3"], output_size, SAMPLES_PER_BIN, canonical_scale=round(CANONICAL_PX)
    )
    named = OrderedDict((str(position), level) for position, level in enumerate(levels))
    theirs = reference(named, boxes, [SIZE, SIZE])
    ours = pool_regions(levels, boxes, output_size, CANONICAL_PX)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-5)
    weights = torch.randn(theirs.shape, generator=generator)
    for mine, reference_gradient in zip(
        torch.autograd.grad(ours, levels, weights), torch.autograd.grad(theirs, levels, weights), strict=True
    ):
        torch.testing.assert_close(mine, reference_gradient, atol=2e-4, rtol=1e-4)


def test_no_region_gives_no_rows_and_no_gradient() -> None:
    levels = _levels(torch.Generator().manual_seed(0))
    pooled = pool_regions(levels, [torch.zeros(0, 4), torch.zeros(0, 4)], 7, CANONICAL_PX)
    assert pooled.shape == (0, 5, 7, 7)
    assert all(not gradient.any() for gradient in torch.autograd.grad(pooled.sum(), levels))


def test_the_heads_pool_the_same_with_and_without_a_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    levels, boxes = _levels(generator), [_boxes(generator, 9), _boxes(generator, 4)]
    pooler = RegionPooler(7, CANONICAL_PX)
    learning = pooler(levels, boxes, SIZE)
    assert learning.requires_grad
    at_inference = pooler([level.detach() for level in levels], boxes, SIZE)
    torch.testing.assert_close(learning.detach(), at_inference, atol=2e-5, rtol=1e-5)
