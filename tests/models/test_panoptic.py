"""The panoptic head on maps drawn by hand: classes 0 (stuff), 1 (stuff), 2 and 3 (things)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.panoptic import (
    VOID,
    PanopticRules,
    Window,
    merge,
    panoptic_logits,
    paste_mask,
    remove_hidden_masks,
)

ROAD, SKY, CAR, PERSON = range(4)
RULES = PanopticRules(stuff_ids=(ROAD, SKY), thing_ids=(CAR, PERSON), min_stuff_area_px=0)


def _semantic(**levels: float) -> torch.Tensor:
    """Constant logits (4, 4, 4) by class name."""
    names = ("road", "sky", "car", "person")
    return torch.tensor([levels.get(name, 0.0) for name in names]).reshape(4, 1, 1).expand(4, 4, 4).clone()


def _solid(count: int, logit: float = 4.0) -> torch.Tensor:
    return torch.full((count, 28, 28), logit)


def _boxes(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(boxes).reshape(-1, 4)


def test_an_object_adds_the_semantic_logit_of_its_class_to_its_mask_inside_its_box() -> None:
    logits = panoptic_logits(
        _semantic(road=1.0, car=2.0),
        _boxes((1, 1, 3, 3)),
        torch.tensor([CAR]),
        _solid(1),
        RULES.stuff_ids,
        RULES.thing_ids,
    )
    assert logits.shape == (3, 4, 4)
    assert logits[0].tolist() == [[1.0] * 4] * 4
    assert logits[2].tolist() == [[0, 0, 0, 0], [0, 6, 6, 0], [0, 6, 6, 0], [0, 0, 0, 0]]


def test_the_unknown_channel_is_the_best_thing_less_the_best_object() -> None:
    logits = panoptic_logits(
        _semantic(car=2.0, person=3.0),
        _boxes((0, 0, 2, 4)),
        torch.tensor([CAR]),
        _solid(1),
        RULES.stuff_ids,
        RULES.thing_ids,
        unknown=True,
    )
    assert logits[-1, 0].tolist() == [1.0, 1.0, 3.0, 3.0]


def test_without_objects_only_stuff_competes() -> None:
    semantic = _semantic(road=1.0, car=9.0)
    semantic[SKY, :2] = 5.0
    none = torch.zeros(0, dtype=torch.int64)
    owner = merge(semantic, torch.zeros(0, 4), none, torch.zeros(0, 28, 28), RULES)
    assert owner.tolist() == [[SKY] * 4, [SKY] * 4, [ROAD] * 4, [ROAD] * 4]


def test_the_larger_logit_wins_each_pixel() -> None:
    semantic = _semantic(road=3.0)
    semantic[CAR] = 3.5
    owner = merge(semantic, _boxes((0, 0, 2, 2)), torch.tensor([CAR]), _solid(1), RULES)
    car = 4  # number of classes + position
    assert owner.tolist() == [[car, car, ROAD, ROAD], [car, car, ROAD, ROAD], [ROAD] * 4, [ROAD] * 4]


def test_the_order_of_the_classes_does_not_matter() -> None:
    """The same picture with stuff and things in turn, and with each kind together."""
    torch.manual_seed(0)
    semantic = torch.randn(4, 6, 6) * 3
    boxes, masks = _boxes((0, 0, 3, 3), (2, 2, 6, 6)), torch.randn(2, 28, 28)
    mixed = PanopticRules(stuff_ids=(0, 2), thing_ids=(1, 3), min_stuff_area_px=3, unknown_class=True)
    apart = PanopticRules(stuff_ids=(0, 1), thing_ids=(2, 3), min_stuff_area_px=3, unknown_class=True)
    one = merge(semantic, boxes, torch.tensor([1, 3]), masks, mixed)
    other = merge(semantic[[0, 2, 1, 3]], boxes, torch.tensor([2, 3]), masks, apart)
    renamed = torch.tensor([-1, 0, 2, 1, 3, 4, 5])[other + 1]
    assert len(set(one.flatten().tolist())) > 3
    assert torch.equal(one, renamed)


def test_an_object_that_wins_no_pixel_does_not_shift_the_numbers_of_those_behind_it() -> None:
    """The second car lies under the first, which wins ties; the person keeps position 2."""
    boxes = _boxes((0, 0, 2, 4), (0, 0, 2, 4), (2, 0, 4, 4))
    classes = torch.tensor([CAR, CAR, PERSON])
    owner = merge(_semantic(car=1.0, person=1.0), boxes, classes, _solid(3), RULES)
    assert owner[0].tolist() == [4, 4, 6, 6]


@pytest.mark.parametrize(("x1", "kept"), [(6.0, [0, 1]), (7.0, [0, 1]), (6.9, [0, 1]), (5.0, [0])])
def test_a_mask_goes_when_more_than_three_tenths_lie_under_its_own_class(x1: float, kept: list[int]) -> None:
    # a row of ten pixels under [0, 9): overlap 9 - x1 of 10 (whole pixels)
    boxes = _boxes((0, 0, 9, 1), (x1, 0, x1 + 10, 1))
    classes = torch.tensor([CAR, CAR])
    assert remove_hidden_masks(boxes, classes, _solid(2), (1, 20), 0.3) == kept


def test_a_mask_under_another_class_stays() -> None:
    boxes = _boxes((0, 0, 4, 4), (0, 0, 4, 4))
    assert remove_hidden_masks(boxes, torch.tensor([CAR, PERSON]), _solid(2), (4, 4), 0.3) == [0, 1]


def test_an_empty_mask_goes() -> None:
    assert remove_hidden_masks(_boxes((0, 0, 4, 4)), torch.tensor([CAR]), _solid(1, -1.0), (4, 4), 0.3) == []


def test_small_stuff_becomes_void_and_small_objects_stay() -> None:
    semantic = _semantic(road=1.0)
    semantic[SKY, 0, :2] = 5.0  # two pixels of sky
    semantic[CAR, 3, 3] = 2.0
    rules = PanopticRules(stuff_ids=(ROAD, SKY), thing_ids=(CAR, PERSON), min_stuff_area_px=3)
    owner = merge(semantic, _boxes((3, 3, 4, 4)), torch.tensor([CAR]), _solid(1), rules)
    assert owner[0].tolist() == [VOID, VOID, ROAD, ROAD]
    assert owner[3].tolist() == [ROAD, ROAD, ROAD, 4]


def test_stuff_of_exactly_the_smallest_area_stays() -> None:
    semantic = _semantic(road=1.0)
    semantic[SKY, 0, :3] = 5.0
    rules = PanopticRules(stuff_ids=(ROAD, SKY), thing_ids=(CAR, PERSON), min_stuff_area_px=3)
    none = torch.zeros(0, dtype=torch.int64)
    owner = merge(semantic, torch.zeros(0, 4), none, torch.zeros(0, 28, 28), rules)
    assert owner[0].tolist() == [SKY, SKY, SKY, ROAD]


@pytest.mark.parametrize(
    ("min_stuff_iou", "left", "right"),
    # sky on the left is as likely as road: of its IoU a half can be expected, of the road's two thirds
    [(0.0, SKY, ROAD), (0.45, SKY, ROAD), (0.55, VOID, ROAD), (0.7, VOID, VOID)],
)
def test_stuff_becomes_void_where_little_iou_can_be_expected(
    min_stuff_iou: float, left: int, right: int
) -> None:
    semantic = torch.full((4, 16, 16), -50.0)
    semantic[ROAD] = 0.0
    semantic[SKY, :, :8] = 0.01
    rules = replace(RULES, min_stuff_iou=min_stuff_iou)
    owner = merge(semantic, _boxes(), torch.zeros(0, dtype=torch.int64), _solid(0), rules)
    assert set(owner[:, :8].flatten().tolist()) == {left}
    assert set(owner[:, 8:].flatten().tolist()) == {right}


def test_objects_stay_however_doubtful_their_stuff() -> None:
    semantic = torch.zeros(4, 16, 16)
    semantic[CAR] = 0.01
    rules = replace(RULES, min_stuff_iou=0.9)
    owner = merge(semantic, _boxes((4, 4, 12, 12)), torch.tensor([CAR]), _solid(1), rules)
    assert set(owner.flatten().tolist()) == {VOID, 4}


def test_an_object_that_is_mostly_stuff_to_the_semantic_head_becomes_that_stuff() -> None:
    semantic = _semantic(road=3.0, car=1.0)
    owner = merge(semantic, _boxes((0, 0, 2, 4)), torch.tensor([CAR]), _solid(1, 9.0), RULES)
    assert owner.tolist() == [[ROAD] * 4] * 4


def test_an_object_of_another_thing_class_to_the_semantic_head_keeps_its_own() -> None:
    semantic = _semantic(person=3.0, car=1.0)
    owner = merge(semantic, _boxes((0, 0, 2, 4)), torch.tensor([CAR]), _solid(1, 9.0), RULES)
    assert owner[0].tolist() == [4, 4, ROAD, ROAD]


def test_the_unknown_class_voids_things_that_no_object_explains() -> None:
    rules = PanopticRules((ROAD, SKY), (CAR, PERSON), min_stuff_area_px=0, unknown_class=True)
    semantic = _semantic(road=1.0, car=2.0)
    owner = merge(semantic, _boxes((0, 0, 2, 4)), torch.tensor([CAR]), _solid(1), rules)
    assert owner[0].tolist() == [4, 4, VOID, VOID]


def test_a_mask_of_two_halves_is_pasted_where_its_halves_are() -> None:
    mask = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    box = torch.tensor([0.0, 0.0, 4.0, 4.0])
    pasted = paste_mask(mask, box, Window.of_each(box[None], (4, 4))[0])
    assert (pasted > 0).tolist() == [[True, True, False, False]] * 4


def test_more_objects_than_a_byte_can_count() -> None:
    boxes = torch.tensor([[x, 0.0, x + 1, 1.0] for x in range(300)])
    semantic = torch.zeros(4, 1, 300)
    semantic[CAR] = 1.0
    owner = merge(semantic, boxes, torch.full((300,), CAR), _solid(300), RULES)
    assert owner[0].tolist() == list(range(4, 304))
