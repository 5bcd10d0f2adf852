"""Which frame of a prediction belongs to which of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from configs.errors import SourceError
from evaluation.formats.coco import CocoSet
from evaluation.formats.labelled import LabelledFrame, LabelledSet
from evaluation.pairing import pair_frames
from tests.evaluation.drawing import CATEGORIES

Names = tuple[str, str, str]
"""Video, image id and file name."""


def named(source: str, frames: Sequence[Names]) -> LabelledSet:
    return CocoSet(
        Path(source),
        CATEGORIES,
        [
            LabelledFrame(video=video, image_id=image_id, file_name=name, path=Path(source) / name)
            for video, image_id, name in frames
        ],
    )


def pairs(truth: Sequence[Names], prediction: Sequence[Names]) -> list[tuple[str, str]]:
    """Paths of the maps that are paired."""
    found = pair_frames(named("gt", truth), named("pred", prediction))
    return [(gt.path.as_posix(), pred.path.as_posix()) for gt, pred in found]


def numbered(*numbers: int, first_id: int = 0) -> list[Names]:
    return [("v", str(first_id + number), f"{number:02d}.png") for number in numbers]


SAME = [("gt/01.png", "pred/01.png"), ("gt/02.png", "pred/02.png"), ("gt/03.png", "pred/03.png")]


def test_frames_pair_by_image_id_whatever_their_order() -> None:
    assert pairs(numbered(1, 2, 3), numbered(3, 1, 2)) == SAME


def test_frames_pair_by_image_id_whatever_their_files_are_called() -> None:
    prediction = [("w", "2", "b.png"), ("w", "1", "c.png")]
    assert pairs(numbered(1, 2), prediction) == [("gt/01.png", "pred/c.png"), ("gt/02.png", "pred/b.png")]


def test_frames_whose_ids_begin_at_another_number_pair_by_file_name() -> None:
    assert pairs(numbered(1, 2, 3), numbered(3, 2, 1, first_id=1)) == SAME


def test_frames_pair_by_the_name_of_the_map_without_its_folder_if_nothing_else_agrees() -> None:
    prediction = [("v", "x", "out/02.png"), ("v", "y", "out/01.png")]
    assert pairs(numbered(1, 2), prediction) == [
        ("gt/01.png", "pred/out/01.png"),
        ("gt/02.png", "pred/out/02.png"),
    ]


def test_ids_that_count_anew_in_each_video_pair_within_the_video() -> None:
    truth = [("a", "a/0", "a/0.png"), ("b", "b/0", "b/0.png")]
    prediction = [("b", "0", "b_0.png"), ("a", "a/0", "a_0.png")]
    assert pairs(truth, prediction) == [("gt/a/0.png", "pred/a_0.png"), ("gt/b/0.png", "pred/b_0.png")]


def test_the_frames_of_the_truth_come_video_by_video_in_order() -> None:
    truth = [("b", "1", "b/10.png"), ("a", "2", "a/1.png"), ("b", "3", "b/9.png")]
    assert [gt for gt, _ in pairs(truth, truth)] == ["gt/b/9.png", "gt/b/10.png", "gt/a/1.png"]


def test_the_same_ids_with_the_file_names_of_other_frames_are_refused() -> None:
    prediction = [("v", "1", "02.png"), ("v", "2", "01.png")]
    with pytest.raises(SourceError, match=r"pred: image \d is 0\d\.png, but 0\d\.png in the truth"):
        pairs(numbered(1, 2), prediction)


def test_a_missing_frame_is_named() -> None:
    with pytest.raises(SourceError, match=r"^pred: lacks 1 frame \(2: 02\.png\) of the truth; "):
        pairs(numbered(1, 2, 3), numbered(1, 3))


def test_a_surplus_frame_is_named() -> None:
    with pytest.raises(SourceError, match=r"^pred: has 1 frame \(3: 03\.png\) that the truth has not; "):
        pairs(numbered(1, 2), numbered(1, 2, 3))


def test_missing_and_surplus_frames_are_named_together() -> None:
    message = r"lacks 1 frame \(1: 01\.png\) of the truth and has 2 frames \(4: 04\.png, 5: 05\.png\)"
    with pytest.raises(SourceError, match=message):
        pairs(numbered(1, 2), numbered(4, 2, 5))


def test_of_many_missing_frames_five_are_named() -> None:
    with pytest.raises(SourceError, match=r"lacks 9 frames \(1: 01\.png, .*, 5: 05\.png, \.\.\.\) of"):
        pairs(numbered(*range(10)), numbered(0))


def test_a_prediction_without_frames_lacks_them_all() -> None:
    with pytest.raises(SourceError, match=r"lacks 2 frames \(1: 01\.png, 2: 02\.png\)"):
        pairs(numbered(1, 2), [])


def test_a_truth_without_frames_is_refused() -> None:
    for prediction in ([], numbered(1)):
        with pytest.raises(SourceError, match=r"^gt: has no annotation"):
            pairs([], prediction)


def test_the_name_that_most_frames_share_tells_which_are_missing() -> None:
    prediction = [("v", str(number + 2), f"{number:02d}.png") for number in (1, 2, 4)]
    with pytest.raises(
        SourceError, match=r"lacks 1 frame \(03\.png\) of the truth and has 1 frame \(04\.png\)"
    ):
        pairs(numbered(1, 2, 3), prediction)


def test_files_in_folders_of_the_same_names_that_are_swapped_are_refused() -> None:
    names = ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    truth = [(name[0], str(number), name) for number, name in enumerate(names)]
    swapped = [(name[0], str(number), name) for number, name in zip((1, 0, 2, 3), names, strict=True)]
    assert len(pairs(truth, truth)) == 4
    with pytest.raises(SourceError, match=r"image 0 is a/1\.png, but a/0\.png in the truth"):
        pairs(truth, swapped)
