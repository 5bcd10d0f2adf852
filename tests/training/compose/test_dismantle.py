"""What of a still becomes a board, what stays, and what is behind."""

from __future__ import annotations

import numpy as np

from tests.training.compose.stills import (
    BICYCLE,
    BUILDING,
    CAR,
    PERSON,
    POLE,
    RIDER,
    ROAD,
    SIGN,
    drawn_still,
)
from training.compose.dismantle import dismantle


def test_a_car_becomes_a_board_that_stands_where_its_wheels_are() -> None:
    (group,) = dismantle(drawn_still(objects={4: (CAR, (100, 60, 140, 90))})).groups
    assert group.foot == (120.0, 90.0)
    assert group.boards[0].category_id == CAR
    assert np.count_nonzero(group.boards[0].shape) == 40 * 30
    assert group.is_whole


def test_behind_a_car_is_what_lies_on_both_its_sides() -> None:
    stage = dismantle(drawn_still(objects={4: (CAR, (100, 60, 140, 90))})).stage
    assert set(stage.classes[60:70, 100:140].ravel().tolist()) == {BUILDING}
    assert set(stage.classes[70:90, 100:140].ravel().tolist()) == {ROAD}
    assert not stage.numbers.any()


def test_at_the_border_nobody_knows_what_is_behind() -> None:
    stage = dismantle(drawn_still(objects={4: (CAR, (0, 60, 40, 90))})).stage
    assert set(stage.classes[60:90, :40].ravel().tolist()) == {255}


def test_an_object_that_a_nearer_one_hides_or_the_border_cuts_is_not_whole() -> None:
    groups = dismantle(
        drawn_still(
            objects={
                1: (CAR, (100, 60, 140, 90)),
                2: (CAR, (120, 70, 170, 100)),
                3: (CAR, (230, 70, 256, 100)),
            }
        )
    ).groups
    assert [group.is_whole for group in groups] == [False, True, False]


def test_a_rider_and_the_bicycle_are_one_group() -> None:
    still = drawn_still(objects={1: (RIDER, (100, 50, 115, 80)), 2: (BICYCLE, (95, 80, 125, 95))})
    (group,) = dismantle(still).groups
    assert [board.category_id for board in group.boards] == [RIDER, BICYCLE]
    assert group.foot[1] == 95


def test_a_pole_on_the_ground_takes_its_sign_along() -> None:
    still = drawn_still(stuff={POLE: (60, 40, 64, 90), SIGN: (55, 30, 70, 40)})
    (group,) = dismantle(still).groups
    assert [board.category_id for board in group.boards] == [POLE, SIGN]
    assert group.foot == (62.0, 90.0)
    assert not group.is_whole


def test_a_sign_on_a_wall_stays_part_of_the_stage() -> None:
    scene = dismantle(drawn_still(stuff={SIGN: (55, 40, 70, 55)}))
    assert scene.groups == ()
    assert (scene.stage.classes[40:55, 55:70] == SIGN).all()


def test_what_is_far_or_small_stays_an_object_of_the_stage() -> None:
    far, small = (PERSON, (40, 40, 60, 60)), (PERSON, (100, 80, 105, 90))
    scene = dismantle(drawn_still(objects={3: far, 7: small}))
    assert scene.groups == ()
    assert np.unique(scene.stage.numbers).tolist() == [0, 3, 7]


def test_a_crowd_stays_a_crowd() -> None:
    assert dismantle(drawn_still(objects={-1: (PERSON, (40, 60, 90, 90))})).stage.numbers.min() == -1
