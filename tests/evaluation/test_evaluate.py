"""An evaluation of two sets as a whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from configs.errors import SourceError
from evaluation.document import to_document
from evaluation.evaluate import METRICS, Evaluation, Evaluator, evaluate
from evaluation.formats.coco import open_coco
from evaluation.formats.id_png import write_ids
from evaluation.formats.labelled import Labels
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, drawing, segment
from tests.evaluation.formats.sets import DrawnSet, Json, annotation, labels, write_description

HALF = labels("1155", segment(1, ROAD), segment(5, CAR))
THIRD = labels("1115", segment(1, ROAD), segment(5, CAR))
NO_CAR = labels("1111", segment(1, ROAD))
NOTHING = labels("0000")


def result(truth: Sequence[Labels], prediction: Sequence[Labels], *metrics: str) -> Evaluation:
    """Of one video."""
    drawn_truth, drawn_prediction = (DrawnSet(CATEGORIES, {"v": list(s)}) for s in (truth, prediction))
    return evaluate(drawn_truth, drawn_prediction, metrics or METRICS, (1, 2))


def test_the_truth_itself_has_quality_one_in_every_measure() -> None:
    document = to_document(result([HALF, THIRD], [HALF, THIRD]))
    assert document["pq"]["all"]["pq"] == 1.0
    assert [document["vpq"][group] for group in ("all", "things", "stuff")] == [1.0] * 3
    assert [document["stq"][figure] for figure in ("stq", "aq", "sq")] == [1.0] * 3
    assert [document["hota"]["all"]["hota"], document["idf1"]["all"]["idf1"]] == [1.0, 1.0]


def test_each_measure_sees_every_frame_once() -> None:
    evaluation = result([HALF] * 20, [HALF] * 10 + [NO_CAR] * 10)
    assert evaluation.num_frames == 20
    assert evaluation.pq is not None
    assert (evaluation.pq.per_class[CAR].tp, evaluation.pq.per_class[CAR].fn) == (10, 10)
    assert evaluation.vpq is not None
    windows = {n: (q.per_class[CAR].tp, q.per_class[CAR].fn) for n, q in evaluation.vpq.windows.items()}
    assert windows == {1: (10, 10), 2: (9, 10)}  # the tube of the window over the change has IoU 0.5
    assert evaluation.stq is not None
    assert evaluation.stq.total.aq == 0.25  # half of the tube, and half of that


def test_only_what_was_asked_for_is_measured() -> None:
    evaluation = result([HALF], [HALF], "stq")
    assert evaluation.stq is not None
    assert (evaluation.pq, evaluation.vpq, evaluation.identity) == (None, None, None)
    assert list(to_document(evaluation)) == ["stq"]
    assert list(to_document(result([HALF], [HALF], "idf1"))) == ["idf1"]


@pytest.mark.parametrize("metrics", [[], [""], ["pq", "PQ"], ["pq", "mota"]])
def test_an_unknown_measure_is_refused_with_those_there_are(metrics: list[str]) -> None:
    with pytest.raises(SourceError, match="metrics must be some of pq, vpq, stq, hota, idf1, got"):
        Evaluator(CATEGORIES, metrics, (1,))


def test_progress_hears_every_frame_in_order() -> None:
    heard: list[tuple[int, int]] = []
    drawn = DrawnSet(CATEGORIES, {"v": [HALF] * 12})
    evaluate(drawn, drawn, ("pq",), (1,), lambda done, total: heard.append((done, total)))
    assert heard == [(number, 12) for number in range(1, 13)]


def test_videos_are_kept_apart() -> None:
    drawn = DrawnSet(CATEGORIES, {"a": [HALF], "b": [HALF]})
    evaluation = evaluate(drawn, drawn, ("vpq", "stq"), (1, 2))
    assert evaluation.vpq is not None
    assert evaluation.vpq.windows[1].all.num_classes == 2
    assert evaluation.vpq.windows[2].all.num_classes == 0
    assert evaluation.stq is not None
    assert list(evaluation.stq.per_video) == ["a", "b"]


def test_a_truth_that_is_all_void_has_no_figures() -> None:
    document = to_document(result([NOTHING], [HALF]))
    assert document["pq"]["all"] == {"pq": None, "sq": None, "rq": None, "n": 0}
    assert document["stq"]["stq"] is None


def test_an_empty_prediction_is_worth_nothing() -> None:
    document = to_document(result([HALF, HALF], [NOTHING, NOTHING]))
    assert (document["pq"]["all"]["pq"], document["vpq"]["all"], document["stq"]["stq"]) == (0.0, 0.0, 0.0)
    assert document["pq"]["all"]["n"] == 2


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (HALF, labels("115"), r"v/000001\.png: size 3x1 differs from 4x1 of v/000001\.png"),
        (HALF, labels("1155", segment(1, ROAD)), r"v/000001\.png: id 5 of the map is not in the list"),
        (HALF, labels("1111", *HALF[1]), r"v/000001\.png: segment 5 is listed but has no pixel"),
        (labels("1155", segment(5, CAR)), HALF, r"v/000001\.png: id 1 of the map is not in the list"),
        (HALF, labels("11", segment(1, 9)), "size"),
        (HALF, labels("1111", segment(1, 9)), "segment 1 has unknown category 9"),
    ],
)
def test_a_frame_that_cannot_be_compared_ends_it_and_is_named(
    truth: Labels, prediction: Labels, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        result([HALF, truth, HALF], [HALF, prediction, HALF])


def described(folder: Path, annotations: Sequence[Json]) -> Path:
    return write_description(folder / "set.json", annotations, CATEGORIES)


def test_no_order_of_a_description_changes_the_figures(tmp_path: Path) -> None:
    segments = [(1, ROAD), (2, SKY), (5, CAR), (6, PERSON)]
    maps = {"gt": "11112222555566661256", "pred": "11122222555666661256"}
    entries: dict[str, list[Json]] = {"gt": [], "pred": []}
    for video in ("a", "b"):
        for number in range(5):
            for side, pixels in maps.items():
                ids = np.roll(drawing(pixels), number * (1 if side == "gt" or video == "a" else 2))
                write_ids(tmp_path / side / f"{video}_{number}.png", ids)
                entries[side].append(annotation(f"{video}_{number}", *segments))

    def measured() -> Json:
        truth = open_coco(described(tmp_path / "gt", entries["gt"]), tmp_path / "gt")
        path = described(tmp_path / "pred", entries["pred"])
        prediction = open_coco(path, tmp_path / "pred", truth.categories)
        return to_document(evaluate(truth, prediction, ("pq", "vpq", "stq"), (1, 2, 3)))

    before = measured()
    assert 0 < before["vpq"]["all"] < before["pq"]["all"]["pq"] < 1
    for seed in range(5):
        for side, found in entries.items():
            shuffle = random.Random(f"{side} {seed}").shuffle
            shuffle(found)
            for entry in found:
                shuffle(entry["segments_info"])
        after = measured()
        for group in ("all", "things", "stuff"):
            assert after["pq"][group] == pytest.approx(before["pq"][group])
            assert after["vpq"][group] == pytest.approx(before["vpq"][group])
        for video in ("a", "b"):
            of_video = before["stq"]["per_sequence"][video]
            assert after["stq"]["per_sequence"][video] == pytest.approx(of_video)
        assert after["stq"]["stq"] == pytest.approx(before["stq"]["stq"])


def test_things_of_a_video_are_followed_by_their_ids_and_stuff_and_crowds_are_not() -> None:
    kept = labels("1155", segment(1, ROAD), segment(5, CAR))
    renamed = labels("2266", segment(2, ROAD), segment(6, CAR))
    evaluation = result([kept, kept], [kept, renamed], "stq")
    assert evaluation.stq is not None
    assert (evaluation.stq.total.sq, evaluation.stq.total.aq) == (1.0, 0.5)
    crowd = labels("1155", segment(1, ROAD), segment(5, CAR, crowd=True))
    evaluation = result([crowd, kept], [renamed, kept], "stq")
    assert evaluation.stq is not None
    assert evaluation.stq.total.aq == 1.0
