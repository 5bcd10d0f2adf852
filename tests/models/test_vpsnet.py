"""The whole network at the paper's sizes: shapes from the picture to every head."""

from __future__ import annotations

import pytest
import torch

from configs.loading import load_settings
from models.heads import region_levels
from models.vpsnet import VPSNet
from stages.network import architecture_of


@pytest.mark.slow
def test_the_papers_network_has_the_papers_shapes() -> None:
    architecture = architecture_of(load_settings("vpsnet-r50", []))
    torch.manual_seed(0)
    network = VPSNet(architecture).eval()
    with torch.inference_mode():
        levels = network.extract(torch.rand(1, 3, 128, 256) * 255)
        assert [tuple(x.shape[1:]) for x in levels] == [
            (256, 32, 64),
            (256, 16, 32),
            (256, 8, 16),
            (256, 4, 8),
            (256, 2, 4),
        ]
        fused = network.fusion(levels, levels, torch.zeros(1, 2, 64, 128), 2)
        assert [x.shape for x in fused] == [x.shape for x in levels]
        assert network.semantic(fused).shape == (1, 19, 32, 64)
        proposals, _ = network.proposals(fused, (128, 256), [(128, 256)])
        readable = region_levels(fused)
        assert [(x.dtype, x.is_contiguous()) for x in readable] == [(torch.float32, True)] * 4
        logits, codes = network.box(readable, proposals, (128, 256))
        assert logits.shape == (len(proposals[0]), 9)
        assert codes.shape == (len(proposals[0]), 36)
        few = [proposals[0][:3]]
        assert network.mask(readable, few, torch.tensor([1, 3, 8]), (128, 256)).shape == (3, 28, 28)
        assert network.track(readable, few, (128, 256)).shape == (3, 1024)


def test_the_papers_network_has_the_papers_layers() -> None:
    names = dict(
        VPSNet(architecture_of(load_settings("vpsnet-r50", [])), ["fusion", "track"]).named_parameters()
    )
    # 256 channels, 81 of correlation and 2 of flow
    assert tuple(names["fusion.flow_refinement.layers.0.weight"].shape) == (64, 339, 3, 3)
    assert tuple(names["fusion.attention.fuse.weight"].shape) == (256, 512, 1, 1)
    assert tuple(names["track.fc1.weight"].shape) == (1024, 12544)
