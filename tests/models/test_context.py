"""The context of the coarsest map: without effect at first, then of far reach."""

from __future__ import annotations

import torch

from models.context import Context
from models.pyramid import Pyramid


def test_before_training_it_changes_nothing() -> None:
    x = torch.randn(2, 40, 7, 9)
    assert torch.equal(Context(40, 32)(x), x)
    maps = [torch.randn(1, channels, 64 // scale, 64 // scale) for channels, scale in ((8, 1), (40, 2))]
    torch.manual_seed(1)
    plain = Pyramid([8, 40], 16)
    wide = Pyramid([8, 40], 16, context_channels=32)
    wide.load_state_dict(plain.state_dict(), strict=False)
    for one, other in zip(plain(maps), wide(maps), strict=True):
        assert torch.equal(one, other)


def _reach(part: torch.nn.Module) -> tuple[int, int]:
    """How many rows and columns away a part still notices a change."""
    x = torch.randn(1, 32, 25, 49)
    changed = x.clone()
    changed[0, :, 12, 24] += 5.0
    rows, columns = torch.nonzero((part(changed) - part(x)).abs().amax(dim=(0, 1))).unbind(1)
    return int((rows - 12).abs().max()), int((columns - 24).abs().max())


def test_each_layer_reaches_farther_than_the_one_before() -> None:
    assert [_reach(layer) for layer in Context(40, 32).around] == [(1, 1), (2, 2), (4, 4), (8, 8)]


def test_every_position_learns_of_the_whole_picture() -> None:
    context = Context(40, 32)
    torch.nn.init.normal_(context.expand.weight)
    context.add_module("norm", torch.nn.Identity())  # the norm is over the whole picture, too
    x = torch.randn(1, 40, 25, 49)
    changed = x.clone()
    changed[0, :, 24, 48] += 5.0
    assert (context(changed) - context(x)).abs().amax(dim=1).min() > 0
