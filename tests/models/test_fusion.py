"""The fusion neck: shapes, and what it must not depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.fusion import FusionNeck


def _pyramid(seed: int) -> tuple[Tensor, ...]:
    """P2..P6 of a 64x128 input with 32 channels."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(16, 32), (8, 16), (4, 8), (2, 4), (1, 2)]
    return tuple(torch.randn(1, 32, *size, generator=generator) for size in sizes)


def _neck(level: int) -> FusionNeck:
    torch.manual_seed(0)
    return FusionNeck(32, level, residual_channels=8).eval()


NO_FLOW = torch.zeros(1, 2, 32, 64)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_fused_pyramid_has_the_sizes_of_the_target(level: int) -> None:
    target = _pyramid(1)
    fused = _neck(level)(target, _pyramid(2), NO_FLOW, flow_stride=2)
    assert [x.shape for x in fused] == [x.shape for x in target]


def test_the_target_is_kept_and_only_added_to() -> None:
    neck = _neck(1)
    torch.nn.init.zeros_(neck.refine.weight)
    target = _pyramid(1)
    for fused, own in zip(neck(target, _pyramid(2), NO_FLOW, 2), target, strict=True):
        torch.testing.assert_close(fused, own)


def test_a_new_neck_adds_little_and_sees_the_reference() -> None:
    """With features as large as trained ones, whose sum of products would be in the hundreds."""
    neck = _neck(1)
    target, reference = ([3 * x + 1 for x in _pyramid(seed)] for seed in (1, 2))
    for level in reference:
        level.requires_grad_()
    fused = neck(target, reference, NO_FLOW, 2)
    added = torch.stack([(one - own).abs().max() for one, own in zip(fused, target, strict=True)])
    assert 0 < added.max().item() < 0.2
    torch.autograd.backward(added.sum())
    for parameter in (neck.flow_refinement.last.weight, neck.attention.embed_each.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().max().item() > 1e-5
    assert all(level.grad is not None and level.grad.abs().max().item() > 0 for level in reference)


def test_the_reference_matters() -> None:
    neck, target = _neck(1), _pyramid(1)
    one, other = neck(target, _pyramid(2), NO_FLOW, 2), neck(target, _pyramid(3), NO_FLOW, 2)
    assert (one[0] - other[0]).abs().max().item() > 1e-3


def test_flow_is_counted_in_pixels_of_the_input() -> None:
    """A flow of 8 input pixels is one cell of P3: the reference arrives moved by one cell."""
    neck = _neck(1)
    seen: list[Tensor] = []
    neck.flow_refinement.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1]))
    reference = _pyramid(2)
    flow = torch.zeros(1, 2, 32, 64)
    flow[:, 0] = 8.0
    neck(_pyramid(1), reference, NO_FLOW, 2)
    neck(_pyramid(1), reference, flow, 2)
    torch.testing.assert_close(seen[1][..., :-1], seen[0][..., 1:])
