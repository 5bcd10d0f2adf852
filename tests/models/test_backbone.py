"""Folded norms change the speed of a backbone, not what it sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.backbone import BackboneName, build_backbone, fold_norms


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_a_backbone_without_its_norms_gives_the_same_maps(name: BackboneName) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    image = torch.randn(2, 3, 64, 96)
    backbone.train()(image)  # gives the norms statistics of their own
    with torch.inference_mode():
        expected = backbone.eval()(image)
        fold_norms(backbone)
        folded = backbone(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    for before, after in zip(expected, folded, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)
