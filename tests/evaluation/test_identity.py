"""IDF1 and HOTA on videos of one row of pixels, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from configs.errors import SourceError
from evaluation.identity import MEASURES, IdentityQuality, IdentityResult
from evaluation.overlap import Overlap
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, compare, segment

ONE, TWO = [segment(1, CAR)], [segment(2, CAR)]


def quality(*videos: Sequence[Overlap]) -> IdentityResult:
    measure = IdentityQuality(CATEGORIES)
    for number, frames in enumerate(videos):
        for overlap in frames:
            measure.add(f"video {number}", overlap)
    return measure.result()


def cars(*frames: Overlap) -> dict[str, float]:
    return quality(frames).per_class[CAR]


def test_the_truth_itself_has_quality_one() -> None:
    frame = compare("1122", [*ONE, segment(2, PERSON)], "1122", [*ONE, segment(2, PERSON)])
    result = quality([frame, frame])
    assert result.mean == pytest.approx(dict.fromkeys(MEASURES, 1.0))
    assert list(result.per_class) == [CAR, PERSON]


def test_a_car_that_changes_id_half_way_is_found_by_half() -> None:
    kept, renamed = compare("11", ONE, "11", ONE), compare("11", ONE, "22", TWO)
    found = cars(kept, kept, renamed, renamed)
    assert (found["IDF1"], found["IDP"], found["IDR"]) == (0.5, 0.5, 0.5)
    assert (found["DetA"], found["AssA"], found["LocA"]) == pytest.approx((1.0, 0.5, 1.0))
    assert found["HOTA"] == pytest.approx(math.sqrt(0.5))


def test_missed_frames_lower_the_recall_and_false_alarms_the_precision() -> None:
    seen, missed = compare("110", ONE, "110", ONE), compare("110", ONE, "000", [])
    wrong = compare("333", [segment(3, ROAD)], "022", TWO)
    assert (cars(seen, missed)["IDR"], cars(seen, missed)["IDP"]) == (0.5, 1.0)
    assert (cars(seen, wrong)["IDR"], cars(seen, wrong)["IDP"]) == (1.0, 0.5)


def test_an_iou_of_exactly_a_half_is_the_same_object() -> None:
    assert cars(compare("1111", ONE, "1100", ONE))["IDF1"] == 1.0
    assert cars(compare("11111", ONE, "11000", ONE))["IDF1"] == 0.0


def test_predicted_pixels_on_void_lower_the_similarity() -> None:
    assert cars(compare("1110", ONE, "1111", ONE))["LocA"] < 1.0


def test_only_objects_of_one_class_match() -> None:
    result = quality([compare("11", ONE, "11", [segment(1, PERSON)])])
    assert {row["IDF1"] for row in result.per_class.values()} == {0.0}
    assert list(result.per_class) == [CAR, PERSON]


def test_the_mean_is_over_the_classes_that_have_an_object() -> None:
    truth = [*ONE, segment(2, PERSON)]
    result = quality([compare("1122", truth, "1100", ONE)])
    assert (result.per_class[CAR]["IDF1"], result.per_class[PERSON]["IDF1"]) == (1.0, 0.0)
    assert result.mean["IDF1"] == 0.5


def test_stuff_is_not_tracked() -> None:
    road = [segment(1, ROAD)]
    result = quality([compare("11", road, "11", road)])
    assert result.per_class == {}
    assert set(result.mean) == set(MEASURES)
    assert all(math.isnan(value) for value in result.mean.values())


def test_a_prediction_mostly_on_void_is_left_out() -> None:
    truth, predicted = [*ONE, segment(3, ROAD)], [*ONE, segment(2, CAR)]
    assert cars(compare("11300", truth, "11222", predicted))["IDP"] == 1.0
    assert cars(compare("11330", truth, "11222", predicted))["IDP"] == 0.5


def test_a_prediction_half_on_void_is_kept() -> None:
    truth, predicted = [*ONE, segment(3, ROAD)], [*ONE, segment(2, CAR)]
    assert cars(compare("1130", truth, "1122", predicted))["IDP"] == 0.5


def test_a_prediction_that_is_matched_is_never_left_out() -> None:
    found = cars(compare("1100", ONE, "1111", ONE))
    assert (found["IDF1"], found["IDP"]) == (1.0, 1.0)


def test_all_crowds_of_its_class_excuse_a_prediction() -> None:
    crowds = [segment(3, CAR, crowd=True), segment(4, CAR, crowd=True)]
    assert cars(compare("1134", [*ONE, *crowds], "1122", [*ONE, *TWO]))["IDP"] == 1.0


def test_a_crowd_of_another_class_does_not() -> None:
    crowd = segment(3, PERSON, crowd=True)
    assert cars(compare("1133", [*ONE, crowd], "1122", [*ONE, *TWO]))["IDP"] == 0.5


def test_a_crowd_is_no_object() -> None:
    crowd = [segment(1, CAR, crowd=True)]
    assert quality([compare("11", crowd, "00", [])]).per_class == {}
    assert quality([compare("11", crowd, "77", [segment(7, CAR)])]).per_class == {}


def test_one_id_in_two_videos_is_two_objects() -> None:
    first, second = compare("11", ONE, "77", [segment(7, CAR)]), compare("11", ONE, "88", [segment(8, CAR)])
    assert quality([first, second]).per_class[CAR]["IDF1"] == 0.5
    assert quality([first], [second]).per_class[CAR]["IDF1"] == 1.0


def test_frames_without_an_object_change_nothing() -> None:
    kept, renamed = compare("11", ONE, "11", ONE), compare("11", ONE, "22", TWO)
    nothing = compare("00", [], "00", [])
    assert cars(nothing, kept, nothing, renamed) == cars(kept, renamed)


def test_a_result_on_the_way_changes_nothing() -> None:
    frames = [compare("11", ONE, "11", ONE), compare("11", ONE, "22", TWO)]
    measure = IdentityQuality(CATEGORIES)
    for video in ("video 0", "video 1"):
        for overlap in frames:
            measure.add(video, overlap)
            measure.result()
    assert measure.result() == quality(frames, frames)


def test_a_video_that_comes_back_is_refused() -> None:
    frame, measure = compare("1", ONE, "1", ONE), IdentityQuality(CATEGORIES)
    measure.add("a", frame)
    measure.add("b", frame)
    with pytest.raises(SourceError, match="video a: its frames must come together"):
        measure.add("a", frame)
