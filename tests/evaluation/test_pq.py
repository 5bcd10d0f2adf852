"""Panoptic quality on maps drawn by hand, and against a recount pixel by pixel."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import SourceError
from evaluation.matching import PanopticResult
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from evaluation.segments import LabelledSegment
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, Labelled, drawing, segment


def quality(
    truth: np.ndarray,
    truth_segments: list[LabelledSegment],
    predicted: np.ndarray,
    predicted_segments: list[LabelledSegment],
) -> PanopticResult:
    measure = PanopticQuality(CATEGORIES)
    measure.add(frame_overlap(truth, truth_segments, predicted, predicted_segments))
    return measure.result()


def test_the_truth_itself_has_quality_one() -> None:
    truth = drawing("2222", "2332", "1331", "1111")
    segments = [segment(1, ROAD), segment(2, SKY), segment(3, CAR)]
    result = quality(truth, segments, truth, segments)
    assert (result.all.pq, result.things.pq, result.stuff.pq) == (1.0, 1.0, 1.0)
    assert (result.all.num_classes, result.things.num_classes, result.stuff.num_classes) == (3, 1, 2)


def test_three_quarters_of_a_car_match_with_that_iou() -> None:
    result = quality(drawing("1111"), [segment(1, CAR)], drawing("7770"), [segment(7, CAR)])
    car = result.per_class[CAR]
    assert (car.tp, car.fp, car.fn, car.iou_sum) == (1, 0, 0, 0.75)
    assert (car.pq, car.sq, car.rq) == (0.75, 0.75, 1.0)


def test_an_iou_of_exactly_a_half_is_no_match() -> None:
    result = quality(drawing("1111"), [segment(1, CAR)], drawing("7700"), [segment(7, CAR)])
    car = result.per_class[CAR]
    assert (car.tp, car.fp, car.fn, car.pq) == (0, 1, 1, 0.0)


def test_the_right_place_with_the_wrong_class_is_a_miss_and_a_false_alarm() -> None:
    result = quality(drawing("11"), [segment(1, CAR)], drawing("11"), [segment(1, PERSON)])
    assert (result.per_class[CAR].fn, result.per_class[PERSON].fp) == (1, 1)
    assert (result.things.pq, result.things.num_classes) == (0.0, 2)


def test_predicted_pixels_on_void_do_not_lower_the_iou() -> None:
    result = quality(drawing("1110"), [segment(1, CAR)], drawing("1111"), [segment(1, CAR)])
    assert result.per_class[CAR].iou_sum == 1.0


def test_a_prediction_mostly_on_void_is_no_false_alarm() -> None:
    truth, road = drawing("1000"), [segment(1, ROAD)]
    mostly = quality(truth, road, drawing("1555"), [segment(1, ROAD), segment(5, CAR)])
    assert mostly.per_class[CAR].fp == 0
    half = quality(drawing("1100"), road, drawing("1550"), [segment(1, ROAD), segment(5, CAR)])
    assert half.per_class[CAR].fp == 1


def test_a_crowd_is_never_missed_and_excuses_predictions_of_its_own_class() -> None:
    truth, crowd = drawing("1111"), [segment(1, CAR, crowd=True)]
    nothing = quality(truth, crowd, drawing("0000"), [])
    assert nothing.per_class[CAR].fn == 0
    cars = quality(truth, crowd, drawing("5566"), [segment(5, CAR), segment(6, CAR)])
    assert (cars.per_class[CAR].tp, cars.per_class[CAR].fp) == (0, 0)
    persons = quality(truth, crowd, drawing("5566"), [segment(5, PERSON), segment(6, PERSON)])
    assert persons.per_class[PERSON].fp == 2


def test_void_and_crowd_together_excuse_a_prediction() -> None:
    truth = drawing("0122")
    segments = [segment(1, CAR, crowd=True), segment(2, ROAD)]
    result = quality(truth, segments, drawing("5550"), [segment(5, CAR)])
    assert result.per_class[CAR].fp == 0


def test_only_the_last_crowd_of_a_class_excuses_as_in_the_reference() -> None:
    truth = drawing("1122")
    segments = [segment(1, CAR, crowd=True), segment(2, CAR, crowd=True)]
    first = quality(truth, segments, drawing("5500"), [segment(5, CAR)])
    last = quality(truth, segments, drawing("0055"), [segment(5, CAR)])
    assert (first.per_class[CAR].fp, last.per_class[CAR].fp) == (1, 0)


def test_the_area_that_the_truth_states_is_the_one_used() -> None:
    truth = [segment(1, CAR, area_px=8)]
    result = quality(drawing("1111"), truth, drawing("7777"), [segment(7, CAR)])
    assert (result.per_class[CAR].tp, result.per_class[CAR].fn) == (0, 1)  # 4 / (8 + 4 - 4)


def test_a_stated_area_that_makes_an_iou_above_one_is_refused() -> None:
    truth, predicted = [segment(1, CAR, area_px=1)], [segment(7, CAR)]
    with pytest.raises(SourceError, match="stated area of segment 1 of the truth is smaller"):
        quality(drawing("11"), truth, drawing("77"), predicted)


def test_the_area_of_a_prediction_is_always_counted() -> None:
    predicted = [segment(7, CAR, area_px=99)]
    result = quality(drawing("1111"), [segment(1, CAR)], drawing("7777"), predicted)
    assert result.per_class[CAR].iou_sum == 1.0


def test_void_that_is_predicted_is_part_of_the_truth_that_is_missing() -> None:
    result = quality(drawing("11111"), [segment(1, CAR)], drawing("11100"), [segment(1, CAR)])
    assert result.per_class[CAR].iou_sum == 0.6


def test_a_class_that_nobody_shows_is_in_no_mean() -> None:
    cars = [segment(1, CAR)]
    result = quality(drawing("11"), cars, drawing("11"), cars)
    assert (result.things.pq, result.things.num_classes) == (1.0, 1)
    assert (result.per_class[PERSON].pq, result.per_class[PERSON].counts) == (0.0, False)


def test_a_class_of_which_everything_is_excused_is_in_no_mean() -> None:
    crowd, person = segment(1, CAR, crowd=True), segment(2, PERSON)
    result = quality(drawing("1122"), [crowd, person], drawing("5522"), [segment(5, CAR), person])
    assert (result.all.pq, result.all.num_classes) == (1.0, 1)


def test_two_true_cars_in_one_predicted_car_are_not_added_up() -> None:
    cars = [segment(1, CAR), segment(2, CAR)]
    car = quality(drawing("1122"), cars, drawing("7777"), [segment(7, CAR)]).per_class[CAR]
    assert (car.tp, car.fp, car.fn) == (0, 1, 2)


def test_an_empty_prediction_misses_everything() -> None:
    truth, segments = drawing("1122"), [segment(1, ROAD), segment(2, CAR)]
    result = quality(truth, segments, drawing("0000"), [])
    assert [part.fn for part in result.per_class] == [1, 0, 1, 0]
    assert (result.all.pq, result.all.num_classes) == (0.0, 2)


def test_a_group_without_any_class_has_no_mean() -> None:
    road = [segment(1, ROAD)]
    result = quality(drawing("11"), road, drawing("11"), road)
    assert math.isnan(result.things.pq)
    assert (result.things.num_classes, result.all.pq) == (0, 1.0)


def test_a_class_that_only_the_prediction_shows_is_in_the_mean() -> None:
    road = [segment(1, ROAD)]
    predicted = [segment(1, ROAD), segment(2, SKY)]
    result = quality(drawing("1111"), road, drawing("1112"), predicted)
    assert (result.stuff.pq, result.stuff.num_classes) == (0.375, 2)


def test_counts_add_up_over_pictures_before_the_quality_is_taken() -> None:
    measure = PanopticQuality(CATEGORIES)
    car = [segment(1, CAR)]
    measure.add(frame_overlap(drawing("1111"), car, drawing("1111"), car))
    measure.add(frame_overlap(drawing("1111"), car, drawing("0000"), []))
    assert measure.result().per_class[CAR].pq == pytest.approx(2 / 3)


def test_ids_of_all_24_bits_are_told_apart() -> None:
    ids = np.array([[1, 256, 65536, 16777215]])
    segments = [segment(int(number), CAR) for number in ids[0]]
    assert quality(ids, segments, ids, segments).per_class[CAR].tp == 4


def test_a_map_and_a_list_that_disagree_are_refused_by_name() -> None:
    good, segments = drawing("11"), [segment(1, CAR)]
    with pytest.raises(SourceError, match="prediction: id 2 of the map is not in the list"):
        quality(good, segments, drawing("12"), segments)
    with pytest.raises(SourceError, match="prediction: id 1 of the map is not in the list"):
        quality(good, segments, drawing("13"), [segment(3, CAR)])
    with pytest.raises(SourceError, match="truth: segment 4 is listed but has no pixel"):
        quality(good, [*segments, segment(4, CAR)], good, segments)
    with pytest.raises(SourceError, match="segment 1 has unknown category 9"):
        quality(good, segments, good, [segment(1, 9)])
    with pytest.raises(SourceError, match="size 1x1 differs from 2x1"):
        quality(good, segments, drawing("1"), segments)
    with pytest.raises(SourceError, match="different numbers"):
        quality(good, segments * 2, good, segments)


@st.composite
def labelled_maps(draw: st.DrawFn, *, crowds: bool) -> Labelled:
    """A small map in which each id present is a segment of some class."""
    digits = draw(st.lists(st.integers(0, 5), min_size=24, max_size=24))
    ids = np.array(digits, np.int32).reshape(4, 6)
    segments = []
    for number in draw(st.permutations([int(n) for n in np.unique(ids) if n])):
        category = draw(st.integers(0, 3))
        crowd = crowds and category in (CAR, PERSON) and draw(st.booleans())
        segments.append(segment(number, category, crowd=crowd))
    return ids, segments


def recount(truth: Labelled, predicted: Labelled) -> Counter[tuple[str, int]]:
    """tp, fp, fn and summed IoU (in 1/10^9) of each class, pixel by pixel over sets."""
    (truth_ids, truth_segments), (predicted_ids, predicted_segments) = truth, predicted
    void = pixels(truth_ids, 0)
    counts: Counter[tuple[str, int]] = Counter()
    matched_truth, matched_prediction = set(), set()
    for g in truth_segments:
        for p in predicted_segments:
            if g.is_crowd or g.category_id != p.category_id:
                continue
            a, b = pixels(truth_ids, g.id), pixels(predicted_ids, p.id)
            iou = len(a & b) / len((a | b) - (b & void))
            if iou > 0.5:
                matched_truth.add(g.id)
                matched_prediction.add(p.id)
                counts["tp", g.category_id] += 1
                counts["iou", g.category_id] += round(iou * 10**9)
    for g in truth_segments:
        if not g.is_crowd and g.id not in matched_truth:
            counts["fn", g.category_id] += 1
    for p in predicted_segments:
        crowds = [g.id for g in truth_segments if g.is_crowd and g.category_id == p.category_id]
        excuse = void | (pixels(truth_ids, crowds[-1]) if crowds else set())
        b = pixels(predicted_ids, p.id)
        if p.id not in matched_prediction and len(b & excuse) / len(b) <= 0.5:
            counts["fp", p.category_id] += 1
    return counts


def pixels(ids: np.ndarray, number: int) -> set[tuple[int, int]]:
    return {(y, x) for y in range(ids.shape[0]) for x in range(ids.shape[1]) if ids[y, x] == number}


@settings(deadline=None, max_examples=200)
@given(truth=labelled_maps(crowds=True), predicted=labelled_maps(crowds=False))
def test_counts_equal_a_recount_pixel_by_pixel(truth: Labelled, predicted: Labelled) -> None:
    expected = recount(truth, predicted)
    for part in quality(*truth, *predicted).per_class:
        index = part.category.id
        assert (part.tp, part.fp, part.fn) == tuple(expected[key, index] for key in ("tp", "fp", "fn"))
        assert part.iou_sum == pytest.approx(expected["iou", index] / 10**9, abs=1e-7)


@settings(deadline=None, max_examples=100)
@given(truth=labelled_maps(crowds=False), predicted=labelled_maps(crowds=False))
def test_quality_is_a_fraction_and_the_product_of_its_factors(truth: Labelled, predicted: Labelled) -> None:
    for part in quality(*truth, *predicted).per_class:
        assert 0.0 <= part.pq <= 1.0
        assert part.pq == pytest.approx(part.sq * part.rq)


@settings(deadline=None, max_examples=100)
@given(truth=labelled_maps(crowds=False), offset=st.integers(1, 10**6), predicted=labelled_maps(crowds=False))
def test_quality_does_not_depend_on_the_numbers_used_as_ids(
    truth: Labelled, offset: int, predicted: Labelled
) -> None:
    ids, segments = predicted
    renamed = np.where(ids > 0, ids * 7 + offset, 0)
    others = [segment(s.id * 7 + offset, s.category_id) for s in reversed(segments)]
    assert quality(*truth, renamed, others).per_class == quality(*truth, ids, segments).per_class
