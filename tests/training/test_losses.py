"""The losses, each on a case whose value can be told in advance."""

from __future__ import annotations

import math

import pytest
import torch

from models.semantic import at_stride_4
from training.losses import (
    Regions,
    balanced_weights,
    panoptic_target,
    sample_regions,
    semantic_loss,
    track_loss,
)
from training.samples import View

ROAD, SKY, CAR = 0, 1, 2


def _view(boxes: list[list[float]], instances: list[int], crowd: list[list[float]] | None = None) -> View:
    """16x16: sky above, road below, solid cars in the boxes; the last row is void."""
    semantic = torch.full((16, 16), ROAD, dtype=torch.uint8)
    semantic[:8] = SKY
    semantic[15] = 255
    object_map = torch.zeros(16, 16, dtype=torch.int16)
    for number, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        object_map[int(y1) : int(y2), int(x1) : int(x2)] = number
    semantic[object_map > 0] = CAR
    return View(
        image=torch.zeros(3, 16, 16, dtype=torch.uint8),
        semantic=semantic,
        boxes=torch.tensor(boxes).reshape(-1, 4),
        classes=torch.full((len(boxes),), CAR),
        instances=torch.tensor(instances, dtype=torch.int64),
        object_map=object_map,
        crowd_boxes=torch.tensor(crowd or []).reshape(-1, 4),
    )


def test_semantic_loss_of_a_sure_and_right_answer_is_zero_and_void_does_not_count() -> None:
    view = _view([], [])
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, SKY, :2] = 50.0
    logits[:, ROAD, 2:] = 50.0
    loss = semantic_loss(logits, at_stride_4(view.semantic[None]).long(), torch.ones(3))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_semantic_loss_of_no_opinion_is_the_log_of_the_number_of_classes() -> None:
    loss = semantic_loss(
        torch.zeros(1, 3, 4, 4), at_stride_4(_view([], []).semantic[None]).long(), torch.ones(3)
    )
    assert loss.item() == pytest.approx(math.log(3))


def test_a_pixel_of_a_rare_class_counts_more_and_one_on_average() -> None:
    weights = balanced_weights(torch.tensor([0.8, 0.2, 0.0]), exponent=0.5)
    assert (weights[1] / weights[0]).item() == pytest.approx(2.0)
    assert (0.8 * weights[0] + 0.2 * weights[1]).item() == pytest.approx(1.0)
    assert weights[2].item() == 1.0


def test_the_semantic_loss_follows_the_class_weights() -> None:
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, SKY, :2] = 50.0  # right above, nothing known below
    even, road_matters = (
        semantic_loss(logits, at_stride_4(_view([], []).semantic[None]).long(), weights).item()
        for weights in (torch.ones(3), torch.tensor([3.0, 1.0, 1.0]))
    )
    assert road_matters > even > 0


def test_the_panoptic_target_numbers_objects_after_the_stuff() -> None:
    view = _view([[0, 8, 8, 16], [8, 0, 16, 4]], [7, 9])
    target = panoptic_target(view, torch.tensor([1, 0]), stuff_ids=(ROAD, SKY))
    # position 1 is sky, 0 road; objects come in the order of the pick, from 2
    assert target.tolist() == [[1, 1, 2, 2], [1, 1, 1, 1], [3, 3, 0, 0], [3, 3, 0, 0]]


def test_things_that_were_not_picked_are_left_out_of_the_target() -> None:
    view = _view([[0, 8, 8, 16]], [7])
    assert panoptic_target(view, torch.zeros(0, dtype=torch.int64), (ROAD, SKY))[2, 0].item() == 255


def test_regions_are_a_quarter_positive_at_most_and_positives_come_first() -> None:
    view = _view([[0, 0, 8, 8]], [1])
    near = torch.tensor([[0.0, 0, 8, 7]]).expand(20, 4)
    far = torch.tensor([[8.0, 8, 16, 16]]).expand(20, 4)
    regions = sample_regions(torch.cat((near, far)), view, torch.tensor([1]), count=16)
    assert regions.labels.tolist() == [1] * 4 + [0] * 12
    assert regions.matched.tolist() == [0] * 4


def test_the_true_boxes_themselves_are_regions() -> None:
    view = _view([[0, 0, 8, 8]], [1])
    regions = sample_regions(torch.zeros(0, 4), view, torch.tensor([1]), count=16)
    assert regions.boxes.tolist() == [[0, 0, 8, 8]]


def test_a_region_in_a_crowd_is_no_background() -> None:
    view = _view([], [], crowd=[[0, 0, 10, 10]])
    proposals = torch.tensor([[1.0, 1, 5, 5], [12, 12, 16, 16]])
    regions = sample_regions(proposals, view, torch.zeros(0, dtype=torch.int64), count=16)
    assert regions.boxes.tolist() == [[12, 12, 16, 16]]


def test_track_loss_is_small_when_each_region_points_at_its_own_object() -> None:
    now = _view([[0, 0, 8, 8], [8, 8, 16, 16]], [5, 6])
    before = _view([[8, 8, 16, 16], [0, 0, 8, 8]], [6, 5])
    regions = [Regions(now.boxes, torch.tensor([1, 1]), torch.tensor([0, 1]))]
    mine = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
    right, wrong = mine.flip(0), mine
    assert track_loss(mine, right, regions, [now], [before]).item() == pytest.approx(0.0, abs=1e-6)
    assert track_loss(mine, wrong, regions, [now], [before]).item() == pytest.approx(81.0, abs=1e-3)


def test_an_object_that_was_not_there_before_points_at_the_new_column() -> None:
    now, before = _view([[0, 0, 8, 8]], [5]), _view([[8, 8, 16, 16]], [6])
    regions = [Regions(now.boxes, torch.tensor([1]), torch.tensor([0]))]
    unlike, like = torch.tensor([[-9.0]]), torch.tensor([[9.0]])
    one = torch.tensor([[1.0]])
    assert track_loss(one, unlike, regions, [now], [before]).item() < 1e-3
    assert track_loss(one, like, regions, [now], [before]).item() > 8.9


def test_without_objects_before_every_region_is_new() -> None:
    now, before = _view([[0, 0, 8, 8]], [5]), _view([], [])
    regions = [Regions(now.boxes, torch.tensor([1]), torch.tensor([0]))]
    assert track_loss(torch.ones(1, 2), torch.zeros(0, 2), regions, [now], [before]).item() == 0.0
