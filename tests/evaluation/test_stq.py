"""Segmentation and tracking quality on videos of one row of pixels, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from configs.errors import SourceError
from evaluation.overlap import Overlap
from evaluation.stq import SegmentationTrackingQuality, TrackingQuality, TrackingResult
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, compare, segment

ONE, TWO = [segment(1, CAR)], [segment(2, CAR)]
BOTH = ONE + TWO


def quality(*videos: Sequence[Overlap]) -> TrackingResult:
    measure = SegmentationTrackingQuality(CATEGORIES)
    for number, frames in enumerate(videos):
        for overlap in frames:
            measure.add(f"video {number}", overlap)
    return measure.result()


def total(*frames: Overlap) -> TrackingQuality:
    return quality(frames).total


def test_the_truth_itself_has_quality_one() -> None:
    segments = [segment(1, CAR), segment(2, ROAD)]
    found = total(*[compare("1122", segments, "1122", segments)] * 2)
    assert (found.stq, found.aq, found.sq) == (1.0, 1.0, 1.0)


def test_stq_is_the_geometric_mean_of_its_factors() -> None:
    found = total(compare("11113333", [*ONE, segment(3, ROAD)], "11222220", [*BOTH]))
    assert found.stq == pytest.approx(math.sqrt(found.aq * found.sq))
    assert 0 < found.stq < 1


# Segmentation: the IoU of classes.


def test_sq_is_the_mean_iou_of_the_classes_that_occur() -> None:
    truth, predicted = [segment(1, ROAD), segment(2, SKY)], [segment(5, ROAD), segment(6, SKY)]
    result = quality([compare("1111222", truth, "5556666", predicted)])
    road, sky, car, person = result.per_class_iou
    assert (road, sky) == (3 / 4, 3 / 4)
    assert math.isnan(car)
    assert math.isnan(person)
    assert result.total.sq == 3 / 4


def test_segments_of_one_class_are_one_region() -> None:
    assert total(compare("1122", BOTH, "2111", BOTH)).sq == 1.0


def test_void_in_the_truth_counts_neither_way() -> None:
    truth, predicted = [segment(1, ROAD)], [segment(1, ROAD), segment(2, SKY)]
    result = quality([compare("1100", truth, "1112", predicted)])
    assert result.per_class_iou[ROAD] == 1.0
    assert math.isnan(result.per_class_iou[SKY])
    assert result.total.sq == 1.0


def test_one_labelled_pixel_predicted_void_makes_void_a_class_with_iou_zero() -> None:
    road = [segment(1, ROAD)]
    assert total(compare("1111", road, "1110", road)).sq == pytest.approx((3 / 4 + 0) / 2)


def test_void_that_is_predicted_on_void_is_no_class() -> None:
    road = [segment(1, ROAD)]
    assert total(compare("1100", road, "1100", road)).sq == 1.0


def test_the_pixels_of_a_crowd_count_as_pixels_of_its_class() -> None:
    crowd = [segment(1, CAR, crowd=True)]
    assert quality([compare("11", crowd, "10", ONE)]).per_class_iou[CAR] == 0.5


def test_sq_is_of_the_pixels_of_all_videos_and_no_mean_over_videos() -> None:
    road = [segment(1, ROAD)]
    good, bad = compare("111111", road, "111111", road), compare("11", road, "22", [segment(2, SKY)])
    result = quality([good], [bad])
    assert result.total.sq == pytest.approx((6 / 8 + 0) / 2)
    assert [result.per_video[f"video {n}"].sq for n in (0, 1)] == [1.0, 0.0]


def test_without_a_labelled_pixel_there_is_no_quality() -> None:
    found = total(compare("00", [], "11", ONE))
    assert found.aq == 0.0
    assert math.isnan(found.sq)
    assert math.isnan(found.stq)


# Association: tubes.


def test_each_part_of_a_tube_counts_by_its_share_and_its_iou() -> None:
    found = total(compare("11111", ONE, "11122", BOTH))
    assert found.aq == pytest.approx((3 * 3 / 5 + 2 * 2 / 5) / 5)


def test_the_predicted_class_need_not_be_that_of_the_tube() -> None:
    found = total(compare("11", ONE, "77", [segment(7, PERSON)]))
    assert (found.aq, found.sq) == (1.0, 0.0)


def test_a_prediction_of_stuff_is_no_tube() -> None:
    assert total(compare("11", ONE, "77", [segment(7, ROAD)])).aq == 0.0


def test_the_predicted_class_is_part_of_the_identity() -> None:
    car, person = compare("11", ONE, "77", [segment(7, CAR)]), compare("11", ONE, "77", [segment(7, PERSON)])
    assert total(car, car).aq == 1.0
    assert total(car, person).aq == 0.5  # two tubes of 2 pixels each: 2 * (2 * 2 / 4) / 4


def test_the_true_class_is_part_of_the_identity() -> None:
    car, person = (
        compare("11", ONE, "77", [segment(7, CAR)]),
        compare("11", [segment(1, PERSON)], "77", [segment(7, CAR)]),
    )
    assert total(car, person).aq == 0.5  # two tubes of 2 pixels, each in one of 4: 2 * 2 / 4 / 2


def test_a_tube_spans_the_whole_video() -> None:
    kept, renamed = compare("11", ONE, "11", ONE), compare("11", ONE, "22", TWO)
    assert total(kept, kept, kept, renamed).aq == pytest.approx((6 * 6 / 8 + 2 * 2 / 8) / 8)


def test_predicted_pixels_on_a_crowd_belong_to_no_tube() -> None:
    crowd = segment(2, CAR, crowd=True)
    assert total(compare("1122", [*ONE, crowd], "1111", ONE)).aq == 1.0


def test_nor_do_those_on_a_crowd_of_another_class_of_things() -> None:
    crowd = segment(2, PERSON, crowd=True)
    assert total(compare("1122", [*ONE, crowd], "1111", ONE)).aq == 1.0


@pytest.mark.parametrize("category", [ROAD, SKY])
def test_predicted_pixels_on_stuff_belong_to_their_tube(category: int) -> None:
    assert total(compare("1122", [*ONE, segment(2, category)], "1111", ONE)).aq == 0.5


def test_predicted_pixels_on_void_belong_to_their_tube() -> None:
    assert total(compare("1100", ONE, "1111", ONE)).aq == 0.5


def test_stuff_is_no_crowd() -> None:
    stuff = segment(2, ROAD, crowd=True)
    assert total(compare("1122", [*ONE, stuff], "1111", ONE)).aq == 0.5


def test_a_crowd_is_no_tube() -> None:
    assert total(compare("11", [segment(1, CAR, crowd=True)], "11", ONE)).aq == 0.0
    assert total(compare("1122", [*ONE, segment(2, CAR, crowd=True)], "1100", ONE)).aq == 1.0


def test_a_crowd_is_one_in_the_frames_that_say_so() -> None:
    single, missed = compare("11", ONE, "11", ONE), compare("11", ONE, "00", [])
    missed_crowd = compare("11", [segment(1, CAR, crowd=True)], "00", [])
    assert total(single, missed_crowd).aq == 1.0
    assert total(single, missed).aq == 0.25  # 2 * (2 / 4) / 4


def test_without_a_tube_aq_is_zero_and_so_is_stq() -> None:
    road = [segment(1, ROAD)]
    found = total(compare("11", road, "11", road))
    assert (found.stq, found.aq, found.sq) == (0.0, 0.0, 1.0)


def test_aq_is_a_mean_over_tubes_and_not_over_videos() -> None:
    three = [segment(number, CAR) for number in (1, 2, 3)]
    result = quality([compare("1", ONE, "1", ONE)], [compare("123", three, "000", [])])
    assert result.total.aq == 0.25
    assert [result.per_video[f"video {n}"].aq for n in (0, 1)] == [1.0, 0.0]


def test_one_id_in_two_videos_is_two_tubes() -> None:
    first, second = compare("11", ONE, "77", [segment(7, CAR)]), compare("11", ONE, "88", [segment(8, CAR)])
    assert quality([first], [second]).total.aq == 1.0
    assert quality([first, second]).total.aq == 0.5


def test_the_ids_of_stuff_do_not_matter() -> None:
    one, two = [segment(1, ROAD)], [segment(2, ROAD)]
    found = total(compare("11", one, "11", one), compare("11", one, "22", two))
    assert (found.aq, found.sq) == (0.0, 1.0)


# The accumulator.


def test_a_video_has_the_quality_that_it_has_alone() -> None:
    videos = [
        [compare("1122", BOTH, "1100", ONE), compare("1122", BOTH, "2211", BOTH)],
        [compare("1100", ONE, "1111", ONE)],
    ]
    together = quality(*videos).per_video
    assert list(together.values()) == [total(*frames) for frames in videos]


def test_a_result_on_the_way_changes_nothing() -> None:
    frames = [compare("1122", BOTH, "1100", ONE), compare("1122", BOTH, "2211", BOTH)]
    measure = SegmentationTrackingQuality(CATEGORIES)
    for video in ("a", "b"):
        for overlap in frames:
            measure.add(video, overlap)
            measure.result()
    assert measure.result().total == quality(frames, frames).total


def test_areas_that_the_truth_states_are_not_used() -> None:
    stated = compare("11", [segment(1, CAR, area_px=9)], "11", ONE)
    assert (total(stated).aq, total(stated).sq) == (1.0, 1.0)


def test_a_video_that_comes_back_is_refused() -> None:
    frame, measure = compare("1", ONE, "1", ONE), SegmentationTrackingQuality(CATEGORIES)
    measure.add("a", frame)
    measure.add("b", frame)
    with pytest.raises(SourceError, match="video a: its frames must come together"):
        measure.add("a", frame)


def test_predicted_crowds_of_a_class_are_one_tube() -> None:
    crowds = [segment(1, CAR, crowd=True), segment(2, CAR, crowd=True)]
    assert total(compare("1111", ONE, "1122", crowds)).aq == 1.0
    assert total(compare("1111", ONE, "1122", [segment(1, CAR), segment(2, CAR)])).aq == 0.5
