"""VPSNet's matching score and assignment, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from models.matching import NEW, assign_slots, matching_scores, similarity, within_reach

CAR, PERSON = 13, 11
WEIGHTS = {"score_weight": 1.0, "iou_weight": 2.0, "class_weight": 10.0}


def test_similarity_is_a_plain_dot_product_beside_a_column_of_zeros() -> None:
    detections = torch.tensor([[1.0, 2.0]])
    memory = torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    assert similarity(detections, memory).tolist() == [[0.0, 3.0, 10.0]]


def test_matching_score_of_a_worked_example() -> None:
    """One car, score 0.8; slot 0: a car overlapping by a third; slot 1: a person elsewhere."""
    scores = matching_scores(
        torch.tensor([[0.0, 1.0, 2.0]]),
        torch.tensor([0.8]),
        torch.tensor([[0.0, 0.0, 10.0, 10.0]]),
        torch.tensor([CAR]),
        torch.tensor([[5.0, 0.0, 15.0, 10.0], [50.0, 50.0, 60.0, 60.0]]),
        torch.tensor([CAR, PERSON]),
        **WEIGHTS,
    )
    norm = math.log(1 + math.e + math.e**2)
    expected = [
        0 - norm + math.log(0.8) + 10,  # new: the class term counts, nothing overlaps
        1 - norm + math.log(0.8) + 2 / 3 + 10,  # IoU 50 / 150
        2 - norm + math.log(0.8),
    ]
    assert scores[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_reach_is_counted_in_diagonals_of_the_remembered_box() -> None:
    memory = torch.tensor([[0.0, 0, 3, 4], [0, 0, 30, 40]])  # diagonals 5 and 50
    boxes = torch.tensor([[4.0, 3, 7, 7], [5, 4, 8, 8]])  # 5 and 6.4 from the first centre
    assert within_reach(boxes, memory, 1.0).tolist() == [[True, True], [False, True]]
    assert within_reach(boxes, memory[:0], 1.0).shape == (2, 0)


def test_each_detection_takes_its_best_slot() -> None:
    assert assign_slots(torch.tensor([[0.0, 5.0, 1.0], [0.0, 1.0, 5.0]]), second_choice=False) == [0, 1]


def test_a_detection_that_fits_no_slot_is_new() -> None:
    assert assign_slots(torch.tensor([[5.0, 1.0]]), second_choice=False) == [NEW]


def test_the_loser_of_a_slot_is_new_and_gets_no_second_choice() -> None:
    # both want slot 0; the first would have liked slot 1 next
    assert assign_slots(torch.tensor([[0.0, 5.0, 4.0], [0.0, 6.0, 1.0]]), second_choice=False) == [NEW, 0]


def test_with_a_second_choice_the_loser_takes_its_next_best_slot() -> None:
    assert assign_slots(torch.tensor([[0.0, 5.0, 4.0], [0.0, 6.0, 1.0]]), second_choice=True) == [1, 0]


def test_with_a_second_choice_the_loser_is_new_where_that_fits_better() -> None:
    assert assign_slots(torch.tensor([[0.0, 5.0, -4.0], [0.0, 6.0, 1.0]]), second_choice=True) == [NEW, 0]


def test_two_new_objects_do_not_compete() -> None:
    assert assign_slots(torch.tensor([[5.0, 1.0], [6.0, 1.0]]), second_choice=True) == [NEW, NEW]


def test_a_later_and_worse_claim_does_not_displace_the_owner() -> None:
    assert assign_slots(torch.tensor([[0.0, 6.0], [0.0, 5.0]]), second_choice=False) == [0, NEW]


def test_of_equal_claims_the_first_wins() -> None:
    assert assign_slots(torch.tensor([[0.0, 6.0], [0.0, 6.0]]), second_choice=False) == [0, NEW]


def test_no_detections_need_no_slots() -> None:
    assert assign_slots(torch.zeros(0, 3), second_choice=False) == []


def test_everything_is_new_to_an_empty_memory() -> None:
    empty = similarity(torch.randn(2, 4), torch.zeros(0, 4))
    boxes, no_boxes = torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]]), torch.zeros(0, 4)
    classes, none = torch.tensor([CAR, CAR]), torch.zeros(0, dtype=torch.int64)
    scores = matching_scores(empty, torch.tensor([0.9, 0.8]), boxes, classes, no_boxes, none, **WEIGHTS)
    assert assign_slots(scores, second_choice=False) == [NEW, NEW]
