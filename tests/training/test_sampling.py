"""Which pictures a step sees."""

from __future__ import annotations

import numpy as np
import pytest

from training.sampling import StepSampler, repeat_factors

ROAD, CAR, TRAIN = 0, 13, 16


def test_a_class_in_one_of_a_hundred_pictures_is_drawn_twice_as_often() -> None:
    classes = [frozenset({ROAD, TRAIN})] + [frozenset({ROAD})] * 99
    factors = repeat_factors(classes, threshold=0.04)
    assert factors[0] == pytest.approx(2.0)
    assert factors[1:].tolist() == [1.0] * 99


def test_a_picture_follows_its_rarest_class() -> None:
    classes = [frozenset({CAR, TRAIN})] + [frozenset({CAR})] * 3 + [frozenset[int]()] * 12
    # car: 4 of 16, train: 1 of 16
    assert repeat_factors(classes, threshold=1.0)[:2].tolist() == pytest.approx([4.0, 2.0])


def test_steps_are_drawn_the_same_after_a_resume() -> None:
    whole = list(StepSampler(np.ones(50), 4, first_step=0, steps=10, seed=7))
    rest = list(StepSampler(np.ones(50), 4, first_step=6, steps=10, seed=7))
    assert whole[6:] == rest
    assert len(whole) == 10


def test_no_two_samples_share_a_seed() -> None:
    draws = [draw for step in StepSampler(np.ones(5), 4, first_step=0, steps=10, seed=0) for draw in step]
    assert len({draw.seed for draw in draws}) == 40


def test_heavier_pictures_are_drawn_more_often() -> None:
    weights = np.array([1.0, 3.0])
    draws = [
        draw.picture for step in StepSampler(weights, 8, first_step=0, steps=200, seed=0) for draw in step
    ]
    assert np.mean(draws) == pytest.approx(0.75, abs=0.03)
