"""From road, car and bus to car, tree, box and road: which row of which layer ends where."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.carry_over import CarryReport, carry_over
from models.vpsnet import VPSNet
from tests.models.test_weights import TINY

OLD_NAMES, NEW_NAMES = ("road", "car", "bus"), ("car", "tree", "box", "road")
ROAD, CAR = 0, 1
SEMANTIC = "semantic.score.weight"
CLASSIFIER = "box.box_predictor.cls_score.bias"
CODES = "box.box_predictor.bbox_pred.bias"
MASKS = "mask.mask_predictor.mask_fcn_logits.bias"


def old_network() -> VPSNet:
    """Biases by label (background, car, bus): classifier 10, 11, 12; masks 0, 2, 6; codes 0 to 11."""
    torch.manual_seed(0)
    network = VPSNet(replace(TINY, num_classes=3, thing_ids=(1, 2)))
    state = network.state_dict()
    state[CLASSIFIER].copy_(torch.tensor([10.0, 11.0, 12.0]))
    state[MASKS].copy_(torch.tensor([0.0, 2.0, 6.0]))
    state[CODES].copy_(torch.arange(12.0))
    return network


def new_network() -> VPSNet:
    """Car and box are its things: labels 1 and 2."""
    torch.manual_seed(1)
    return VPSNet(replace(TINY, num_classes=4, thing_ids=(0, 2)))


def carried() -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], CarryReport]:
    """State of the old network, of the new one before and after, and the report."""
    old, new = old_network(), new_network()
    before = copy.deepcopy(new.state_dict())
    report = carry_over(old, OLD_NAMES, new, NEW_NAMES)
    return old.state_dict(), before, new.state_dict(), report


def test_the_semantic_row_follows_the_name() -> None:
    old, before, after, _ = carried()
    assert torch.equal(after[SEMANTIC][0], old[SEMANTIC][CAR])
    assert torch.equal(after[SEMANTIC][3], old[SEMANTIC][ROAD])
    assert torch.equal(after[SEMANTIC][1:3], before[SEMANTIC][1:3])


def test_the_classifier_keeps_background_and_car_and_leaves_the_box_at_random() -> None:
    _, before, after, _ = carried()
    assert after[CLASSIFIER].tolist() == [10.0, 11.0, before[CLASSIFIER][2].item()]


def test_a_new_thing_is_outlined_like_the_mean_of_the_old_ones() -> None:
    _, _, after, _ = carried()
    assert after[MASKS].tolist() == [0.0, 2.0, 4.0]
    assert after[CODES].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9]


def test_everything_else_is_as_it_was() -> None:
    old, _, after, report = carried()
    per_class = {name.rpartition(".")[0] for name in (SEMANTIC, CLASSIFIER, CODES, MASKS)}
    others = [name for name in old if name.rpartition(".")[0] not in per_class]
    assert all(torch.equal(after[name], old[name]) for name in others)
    assert (report.num_whole, report.num_tensors) == (len(others), len(others) + 8)


def test_the_same_classes_are_the_same_network_to_the_last_bit() -> None:
    old, again = old_network(), old_network()
    torch.nn.init.zeros_(again.semantic.score.weight)
    report = carry_over(old, OLD_NAMES, again, OLD_NAMES)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in old.state_dict().items())
    assert (
        report.summary() == f"{report.num_tensors} of {report.num_tensors} tensors; all classes carried over"
    )


def test_a_name_that_was_stuff_and_is_a_thing_is_new_to_the_heads_of_objects() -> None:
    old, new = old_network(), new_network()
    carry_over(old, OLD_NAMES, new, ("car", "tree", "road", "box"))
    assert new.state_dict()[MASKS].tolist() == [0.0, 2.0, 4.0]
    assert torch.equal(new.state_dict()[SEMANTIC][2], old.state_dict()[SEMANTIC][ROAD])


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (NEW_NAMES, "classes car, road carried over; tree, box new"),
        (("a", "b", "c", "d"), "no class carried over; a, b, c, d new"),
    ],
)
def test_the_line_says_which_classes_are_new(names: tuple[str, ...], line: str) -> None:
    assert carry_over(old_network(), OLD_NAMES, new_network(), names).summary().endswith(f" tensors; {line}")
