"""Strict loading, and files of other makers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchvision

from models.vpsnet import PARTS, Architecture, VPSNet
from models.weights import fill_from_torchvision, load_weights, save_weights

TINY = Architecture(
    num_classes=19,
    thing_ids=tuple(range(11, 19)),
    backbone="mobilenet_v2",
    fpn_channels=32,
    gather_level=1,
    flow_residual_channels=8,
    semantic_channels=(32,),
    semantic_deformable=False,
    anchor_scale=4.0,
    box_channels=32,
    mask_channels=16,
    mask_layers=1,
    track_channels=16,
)


def test_weights_survive_a_file_to_half_precision(tmp_path: Path) -> None:
    network, again = VPSNet(TINY), VPSNet(TINY)
    save_weights(network, tmp_path / "w.safetensors")
    load_weights(again, tmp_path / "w.safetensors")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-3, atol=1e-6, msg=name)


def test_a_stage_loads_only_its_own_parts(tmp_path: Path) -> None:
    save_weights(VPSNet(TINY), tmp_path / "w.safetensors")
    part = VPSNet(TINY, ["semantic"])
    load_weights(part, tmp_path / "w.safetensors")
    assert {name.split(".")[0] for name in part.state_dict()} == {"semantic"}


def test_a_file_for_other_sizes_is_refused_with_both_shapes(tmp_path: Path) -> None:
    save_weights(VPSNet(TINY, ["track"]), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"track.fc1.weight has shape \(16, 1568\).*\(64, 1568\)"):
        load_weights(VPSNet(replace(TINY, track_channels=64), ["track"]), tmp_path / "w.safetensors")


def test_a_file_without_a_part_is_refused(tmp_path: Path) -> None:
    save_weights(VPSNet(TINY, ["track"]), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="has no weights for mask"):
        load_weights(VPSNet(TINY, ["mask"]), tmp_path / "w.safetensors")


def test_a_file_with_too_much_in_a_part_is_refused(tmp_path: Path) -> None:
    save_weights(VPSNet(replace(TINY, mask_layers=2), ["mask"]), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="which the model does not have"):
        load_weights(VPSNet(TINY, ["mask"]), tmp_path / "w.safetensors")


def test_an_unknown_part_is_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'neck'.*backbone, pyramid, fusion"):
        VPSNet(TINY, ["neck"])


PAPER = replace(
    TINY,
    backbone="resnet50",
    fpn_channels=256,
    gather_level=0,
    box_channels=1024,
    mask_channels=256,
    mask_layers=4,
    anchor_scale=8.0,
)


@pytest.mark.slow
def test_mask_rcnn_of_torchvision_fills_everything_it_has(tmp_path: Path) -> None:
    theirs = torchvision.models.detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    torch.save(theirs.state_dict(), tmp_path / "maskrcnn.pth")
    network = VPSNet(PAPER)
    report = fill_from_torchvision(network, tmp_path / "maskrcnn.pth")
    filled = {name.split(".")[0] for name in report.filled}
    assert filled == {"backbone", "pyramid", "proposals", "box", "mask"}
    # COCO's 91 classes do not fit 9
    assert {name.rsplit(".", 1)[0] for name in report.mismatched} == {
        "box.box_predictor.cls_score",
        "box.box_predictor.bbox_pred",
        "mask.mask_predictor.mask_fcn_logits",
    }
    assert {name.split(".")[0] for name in report.missing} == {"fusion", "semantic", "track"}
    assert report.unused == ()
    torch.testing.assert_close(
        network.state_dict()["box.box_head.fc6.weight"], theirs.roi_heads.box_head.fc6.weight
    )


def test_resnet50_of_torchvision_fills_the_backbone_and_says_what_is_missing(tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet50(weights=None).state_dict(), tmp_path / "resnet50.pth")
    report = fill_from_torchvision(VPSNet(PAPER, ["backbone", "pyramid"]), tmp_path / "resnet50.pth")
    assert {name.split(".")[0] for name in report.filled} == {"backbone"}
    assert {name.split(".")[0] for name in report.missing} == {"pyramid"}
    assert report.unused == ("fc.weight", "fc.bias")
    assert "left as they were" in report.summary()
    assert "(pyramid)" in report.summary()


def test_all_parts_together_are_the_whole_network() -> None:
    assert tuple(name for name, _ in VPSNet(TINY).named_children()) == PARTS
