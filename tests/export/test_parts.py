"""What is written another way so that it can be exported: the same numbers."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import ExportError
from configs.loading import load_settings
from export.check import TOLERANCE, difference, in_order, run_file
from export.onnx_file import adaptive_max_pool2d, write_onnx
from export.parts import features_part, propose
from export.sample import fitted
from models.vpsnet import VPSNet
from stages.network import architecture_of, prepare


@pytest.fixture(scope="module")
def network() -> VPSNet:
    settings = load_settings("tiny", ["run.device=cpu", "model.precision=fp32"])
    torch.manual_seed(0)
    return prepare(VPSNet(architecture_of(settings)), settings)


@pytest.mark.parametrize("size", [(96, 160), (256, 384)])
def test_proposals_are_those_of_the_head(network: VPSNet, size: tuple[int, int]) -> None:
    picture_size = size[0], size[1] - 10
    network = copy.deepcopy(network)
    # random weights are as sure of one place as of the next: apart, so that the order is no matter of chance
    network.proposals.rpn.head.cls_logits.weight.data *= 100
    with torch.inference_mode():
        levels = network.extract(torch.rand(1, 3, *size) * 255)
        own = propose(network.proposals, levels, size, picture_size)
        (wanted,), _ = network.proposals(levels, size, [picture_size])
    assert len(own) == 50
    assert torch.equal(own, wanted)
    assert own[:, 2].max() <= size[1] - 10


@pytest.mark.parametrize("size", [(6, 10), (2, 3), (3, 7), (12, 20)])
def test_pooling_taken_apart_is_adaptive_pooling(size: tuple[int, int]) -> None:
    x = torch.rand(1, 4, 12, 20)
    assert torch.equal(adaptive_max_pool2d(x, size)[0], torch.nn.functional.adaptive_max_pool2d(x, size))


def test_a_file_computes_what_its_part_does(network: VPSNet, tmp_path: Path) -> None:
    part, image = features_part(network), torch.rand(1, 3, 64, 96) * 255
    write_onnx(part, [image], {}, tmp_path / "features.onnx")
    outputs = run_file(tmp_path / "features.onnx", part, [image])
    with torch.inference_mode():
        levels = network.extract(image)
    assert [tuple(output.shape[1:]) for output in outputs] == [
        (32, 16, 24),
        (32, 8, 12),
        (32, 4, 6),
        (32, 2, 3),
        (32, 1, 2),
    ]
    for output, level in zip(outputs, levels, strict=True):
        assert difference("features", "level", output, level).of_range < TOLERANCE


def test_a_difference_is_told_in_numbers_and_as_part_of_the_range() -> None:
    found = difference("part", "output", torch.tensor([0.0, 4.5]), torch.tensor([0.0, 5.0]))
    assert (found.largest, found.of_range) == (0.5, 0.1)
    assert difference("part", "output", torch.zeros(0, 4), torch.zeros(0, 4)).of_range == 0


def test_another_class_is_a_difference_of_the_whole_range() -> None:
    assert difference("part", "classes", torch.tensor([13, 11]), torch.tensor([13, 12])).of_range == 1


def test_objects_that_changed_places_are_compared_with_themselves() -> None:
    one, other = [1.0, 1, 9, 9], [50.0, 50, 60, 70]
    outputs = [torch.zeros(1), torch.tensor([other, one]), torch.tensor([0.7, 0.8])]
    expected = [torch.zeros(1), torch.tensor([one, other]), torch.tensor([0.8, 0.7])]
    assert in_order(outputs, expected)[2].tolist() == pytest.approx([0.8, 0.7])


def test_another_number_of_objects_is_an_error() -> None:
    with pytest.raises(ExportError, match="finds 1 objects, torch 2"):
        in_order([torch.zeros(1), torch.zeros(1, 4)], [torch.zeros(1), torch.zeros(2, 4)])


def test_a_picture_is_cut_to_the_aspect_from_the_upper_left() -> None:
    image = np.zeros((40, 200, 3), np.uint8)
    image[:, :80] = 7
    assert fitted(image, (20, 40)).shape == (20, 40, 3)
    assert (fitted(image, (20, 40)) == 7).all()
