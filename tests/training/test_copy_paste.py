"""Objects put into other pictures: where they land, what they hide, and that the truth follows."""

from __future__ import annotations

import numpy as np
import pytest

from training.copy_paste import Donor, ObjectBank, donors_of
from training.data.packed import PanopticPicture

ROAD, SKY, PERSON, RIDER, CAR, BICYCLE = range(6)
NAMES = ("road", "sky", "person", "rider", "car", "bicycle")
SIZE = (120, 200)
Box = tuple[int, int, int, int]


def _picture(objects: dict[int, tuple[int, Box]], *, horizon: int = 20, shade: int = 50) -> PanopticPicture:
    """Sky above the horizon, road below; objects by number: class and x1, y1, x2, y2."""
    classes = np.full(SIZE, ROAD, np.uint8)
    classes[:horizon] = SKY
    instances = np.zeros(SIZE, np.int32)
    image = np.full((*SIZE, 3), shade, np.uint8)
    for number, (category, (x1, y1, x2, y2)) in objects.items():
        classes[y1:y2, x1:x2], instances[y1:y2, x1:x2] = category, number
        image[y1:y2, x1:x2] = 100 + number
    return PanopticPicture(name="drawn", image=image, class_map=classes, instance_map=instances)


def _bank(picture: PanopticPicture, *donors: Donor, max_objects: int = 1) -> ObjectBank:
    return ObjectBank([picture], donors, NAMES, max_objects)


def _with_one_more(bank: ObjectBank, picture: PanopticPicture, seed: int = 0) -> PanopticPicture:
    """The result of the first seeds that draw at least one object."""
    for number in range(seed, seed + 20):
        pasted = bank.added_to(picture, np.random.default_rng(number))
        if pasted is not picture:
            return pasted
    pytest.fail("no object was put in")


def test_a_pasted_object_keeps_its_height_size_and_class_and_gets_a_new_number() -> None:
    bank = _bank(_picture({3: (CAR, (80, 40, 120, 60))}), Donor(0, 3, CAR))
    pasted = _with_one_more(bank, _picture({7: (PERSON, (0, 100, 10, 110))}))
    rows, columns = np.nonzero(pasted.instance_map == 8)
    assert [int(rows.min()), int(rows.max()), int(np.ptp(columns))] == [40, 59, 39]
    assert set(pasted.class_map[rows, columns].tolist()) == {CAR}
    assert pasted.image[50, int(columns.mean())].tolist() == [103, 103, 103]


def test_what_stands_lower_in_the_picture_hides_what_is_put_in() -> None:
    bank = _bank(_picture({1: (CAR, (80, 40, 120, 80))}), Donor(0, 1, CAR))
    wall_of_persons = {1: (PERSON, (0, 70, 200, 110))}
    pasted = _with_one_more(bank, _picture(wall_of_persons, horizon=20))
    assert (pasted.instance_map[70:110] == 1).all()
    assert (pasted.instance_map[40:70] == 2).any()


def test_what_stands_higher_is_hidden_by_what_is_put_in() -> None:
    bank = _bank(_picture({1: (CAR, (80, 40, 120, 80))}), Donor(0, 1, CAR))
    pasted = _with_one_more(bank, _picture({1: (PERSON, (0, 50, 200, 60))}))
    assert np.count_nonzero(pasted.instance_map == 2) == 40 * 40


def test_without_ground_below_it_nothing_is_put_in() -> None:
    bank = _bank(_picture({1: (CAR, (80, 40, 120, 80))}), Donor(0, 1, CAR), max_objects=3)
    sky = _picture({}, horizon=120)
    assert all(bank.added_to(sky, np.random.default_rng(seed)) is sky for seed in range(20))


def test_a_rider_takes_the_bicycle_along_as_an_object_of_its_own() -> None:
    source = _picture({1: (RIDER, (90, 30, 120, 60)), 2: (BICYCLE, (80, 60, 130, 80))})
    pasted = _with_one_more(_bank(source, Donor(0, 1, RIDER)), _picture({}))
    numbers = np.unique(pasted.instance_map).tolist()
    assert numbers == [0, 1, 2]
    kinds = [set(pasted.class_map[pasted.instance_map == number].tolist()) for number in (1, 2)]
    assert kinds == [{RIDER}, {BICYCLE}]


def test_an_object_that_the_side_of_its_picture_cuts_stays_at_a_side() -> None:
    bank = _bank(_picture({1: (CAR, (0, 40, 40, 80))}), Donor(0, 1, CAR))
    for seed in range(10):
        pasted = _with_one_more(bank, _picture({}), seed)
        assert pasted.instance_map[50, [0, -1]].sum() == 1


def test_rare_classes_are_drawn_more_often() -> None:
    crowd = [Donor(0, 1, CAR)] * 9
    source = _picture({1: (CAR, (60, 40, 100, 80)), 2: (BICYCLE, (120, 40, 160, 80))})
    bank = _bank(source, *crowd, Donor(0, 2, BICYCLE))
    drawn = [bank.added_to(_picture({}), np.random.default_rng(seed)).class_map for seed in range(400)]
    cars, bicycles = (sum(bool((one == kind).any()) for one in drawn) for kind in (CAR, BICYCLE))
    # a class of n objects is drawn as 1 / sqrt(n): 1 to 1 / 3
    assert bicycles / (cars + bicycles) == pytest.approx(3 / 4, abs=0.07)


def test_small_objects_are_no_donors() -> None:
    assert donors_of([[(1, CAR, 499), (2, CAR, 500)], [(5, PERSON, 900)]]) == [
        Donor(0, 2, CAR),
        Donor(1, 5, PERSON),
    ]
