"""Video panoptic quality on videos of one row of pixels, drawn by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from configs.errors import SourceError
from evaluation.matching import ClassQuality
from evaluation.overlap import Overlap
from evaluation.vpq import (
    CITYSCAPES_VPS_WINDOWS,
    VIPSEG_WINDOWS,
    VideoPanopticQuality,
    VideoPanopticResult,
)
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, compare, segment

ONE, TWO = [segment(1, CAR)], [segment(2, CAR)]
CROWD = [segment(1, CAR, crowd=True)]


def quality(*videos: Sequence[Overlap], windows: Sequence[int]) -> VideoPanopticResult:
    measure = VideoPanopticQuality(CATEGORIES, windows)
    for number, frames in enumerate(videos):
        for overlap in frames:
            measure.add(f"video {number}", overlap)
    return measure.result()


def whole(*frames: Overlap, category: int = CAR) -> ClassQuality:
    """A class in the one window that holds the whole video."""
    return quality(frames, windows=[len(frames)]).windows[len(frames)].per_class[category]


def counts(part: ClassQuality) -> tuple[int, int, int]:
    return part.tp, part.fp, part.fn


def test_the_windows_of_the_data_sets_are_those_of_their_papers() -> None:
    assert CITYSCAPES_VPS_WINDOWS == (1, 2, 3, 4)
    assert VIPSEG_WINDOWS == (1, 2, 4, 6)


def test_a_tube_is_matched_by_its_pixels_of_all_frames() -> None:
    car = whole(compare("1111", ONE, "7777", [segment(7, CAR)]), compare("1100", ONE, "0000", []))
    assert (counts(car), car.iou_sum) == ((1, 0, 0), 4 / 6)


def test_a_tube_with_an_iou_of_exactly_a_half_is_no_match() -> None:
    seen, lost = compare("11", ONE, "11", ONE), compare("11", ONE, "00", [])
    assert counts(whole(seen, lost)) == (0, 1, 1)


def test_frames_of_which_each_would_match_need_one_id_to_match_together() -> None:
    kept, renamed = compare("11", ONE, "11", ONE), compare("11", ONE, "22", TWO)
    result = quality([kept, renamed], windows=[1, 2])
    assert counts(result.windows[1].per_class[CAR]) == (2, 0, 0)
    assert counts(result.windows[2].per_class[CAR]) == (0, 2, 1)


def test_windows_slide_by_one_frame() -> None:
    frame = compare("11", ONE, "11", ONE)
    result = quality([frame] * 4, windows=[1, 2, 3, 4])
    assert [result.windows[length].per_class[CAR].tp for length in (1, 2, 3, 4)] == [4, 3, 2, 1]


def test_an_error_is_counted_in_each_window_that_holds_it() -> None:
    good, miss = compare("11", ONE, "11", ONE), compare("11", ONE, "00", [])
    car = quality([good, good, miss, good], windows=[2]).windows[2].per_class[CAR]
    assert counts(car) == (1, 2, 2)  # frames 1-2 match; 2-3 and 3-4 are one half right


def test_windows_do_not_reach_into_the_next_video() -> None:
    frame = compare("11", ONE, "11", ONE)
    result = quality([frame] * 2, [frame] * 2, windows=[2, 3])
    assert result.windows[2].per_class[CAR].tp == 2
    assert result.windows[3].per_class[CAR].tp == 0


def test_a_video_shorter_than_the_window_has_none() -> None:
    frame, miss = compare("11", ONE, "11", ONE), compare("11", ONE, "00", [])
    result = quality([miss], [frame, frame], windows=[1, 2])
    assert result.windows[1].all.pq == pytest.approx(0.8)
    assert counts(result.windows[2].per_class[CAR]) == (1, 0, 0)


def test_a_window_that_fits_no_video_leaves_no_mean() -> None:
    frame = compare("11", ONE, "11", ONE)
    result = quality([frame], windows=[1, 2])
    assert (result.windows[1].all.pq, result.windows[2].all.num_classes) == (1.0, 0)
    assert math.isnan(result.all)


def test_the_quality_is_the_mean_of_its_windows() -> None:
    car_and_road = [segment(1, CAR), segment(3, ROAD)]
    kept = compare("1133", car_and_road, "1133", car_and_road)
    renamed = compare("1133", car_and_road, "2233", [segment(2, CAR), segment(3, ROAD)])
    result = quality([kept, renamed], windows=[2, 1])
    assert list(result.windows) == [1, 2]
    assert (result.all, result.things, result.stuff) == (0.75, 0.5, 1.0)


def test_the_class_of_a_true_tube_is_that_of_its_first_frame() -> None:
    first, then = compare("1", ONE, "7", [segment(7, CAR)]), [segment(1, PERSON)]
    changed = compare("1", then, "7", [segment(7, CAR)])
    assert counts(whole(first, changed)) == (1, 0, 0)
    assert counts(whole(changed, first)) == (0, 1, 0)
    assert counts(whole(changed, first, category=PERSON)) == (0, 0, 1)


def test_the_class_of_a_predicted_tube_is_that_of_its_first_frame() -> None:
    right, wrong = compare("1", ONE, "1", ONE), compare("1", ONE, "1", [segment(1, PERSON)])
    assert counts(whole(right, wrong)) == (1, 0, 0)
    assert counts(whole(wrong, right)) == (0, 0, 1)
    assert counts(whole(wrong, right, category=PERSON)) == (0, 1, 0)


def test_the_first_frame_is_that_of_the_window_and_not_of_the_video() -> None:
    wrong, right = compare("1", ONE, "1", [segment(1, PERSON)]), compare("1", ONE, "1", ONE)
    car = quality([wrong, right, right], windows=[2]).windows[2].per_class[CAR]
    assert counts(car) == (1, 0, 1)


def test_whether_a_tube_is_a_crowd_is_told_by_its_first_frame() -> None:
    crowd, single = compare("1", CROWD, "0", []), compare("1", ONE, "0", [])
    assert counts(whole(crowd, single)) == (0, 0, 0)
    assert counts(whole(single, crowd)) == (0, 0, 1)


def test_a_crowd_of_the_first_frame_excuses_in_all_frames() -> None:
    crowd, single = compare("11", CROWD, "00", []), compare("11", ONE, "55", [segment(5, CAR)])
    assert counts(whole(crowd, single)) == (0, 0, 0)
    assert counts(whole(single, crowd)) == (0, 1, 1)  # 2 / 4 of a car


def test_only_the_last_crowd_of_a_class_excuses_and_the_last_is_the_one_that_appears_last() -> None:
    early, late = segment(1, CAR, crowd=True), segment(2, CAR, crowd=True)
    on_late = [compare("10", [early], "00", []), compare("12", [late, early], "05", [segment(5, CAR)])]
    on_early = [compare("10", [early], "00", []), compare("12", [late, early], "50", [segment(5, CAR)])]
    assert (whole(*on_late).fp, whole(*on_early).fp) == (0, 1)


def test_void_excuses_by_the_pixels_of_all_frames() -> None:
    on_void = compare("000", [], "777", [segment(7, CAR)])
    on_road = compare("333", [segment(3, ROAD)], "077", [segment(7, CAR)])
    assert whole(on_void, on_road).fp == 0
    assert whole(on_void, on_road, on_road).fp == 1


def test_predicted_pixels_on_void_do_not_lower_the_iou_of_a_tube() -> None:
    inside, beyond = compare("1110", ONE, "1100", ONE), compare("1000", ONE, "1111", ONE)
    assert whole(inside, beyond).iou_sum == 0.75


def test_areas_that_the_truth_states_are_used() -> None:
    stated = compare("11", [segment(1, CAR, area_px=6)], "11", ONE)
    assert counts(whole(stated, compare("11", ONE, "11", ONE))) == (0, 1, 1)  # 4 / (6 + 2)


def test_a_video_that_comes_back_is_refused() -> None:
    frame, measure = compare("1", ONE, "1", ONE), VideoPanopticQuality(CATEGORIES, [1])
    measure.add("a", frame)
    measure.add("b", frame)
    with pytest.raises(SourceError, match="video a: its frames must come together"):
        measure.add("a", frame)


@pytest.mark.parametrize("windows", [[], [0], [2, -1]])
def test_windows_without_a_frame_are_refused(windows: list[int]) -> None:
    with pytest.raises(SourceError, match="windows must be numbers of frames, at least 1 each"):
        VideoPanopticQuality(CATEGORIES, windows)


def test_a_category_that_is_not_in_the_list_is_named() -> None:
    with pytest.raises(SourceError, match="prediction: segment 1 has unknown category 9"):
        quality([compare("1", ONE, "1", [segment(1, 9)])], windows=[1])
