"""The figures as JSON, whose keys are a promise, and as tables."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from rich.console import Console

from configs.categories import Category
from evaluation.document import tables, to_document
from evaluation.evaluate import METRICS, Evaluation, evaluate
from evaluation.formats.labelled import Labels
from tests.evaluation.drawing import CAR, CATEGORIES, ROAD, segment
from tests.evaluation.formats.sets import DrawnSet, labels

TRUTH = labels("11155", segment(1, ROAD), segment(5, CAR))
PREDICTION = labels("11155", segment(1, ROAD), segment(5, CAR))
GROUP = {"pq", "sq", "rq", "n"}
CLASS = {"pq", "sq", "rq", "tp", "fp", "fn", "iou_sum"}


def evaluated(
    truth: Sequence[Labels] = (TRUTH,),
    prediction: Sequence[Labels] = (PREDICTION,),
    *,
    metrics: Sequence[str] = ("pq", "vpq", "stq"),
    windows: Sequence[int] = (1, 2),
    categories: Sequence[Category] = CATEGORIES,
    video: str = "v",
) -> Evaluation:
    drawn_truth, drawn_prediction = (DrawnSet(categories, {video: list(s)}) for s in (truth, prediction))
    return evaluate(drawn_truth, drawn_prediction, metrics, windows)


def panoptic_keys(part: dict[str, Any]) -> None:
    assert list(part) == ["all", "things", "stuff", "per_class"]
    assert all(set(part[group]) == GROUP for group in ("all", "things", "stuff"))
    assert list(part["per_class"]) == ["0", "1", "2", "3"]
    assert all(set(row) == CLASS for row in part["per_class"].values())


def test_the_keys_are_exactly_those_promised() -> None:
    document = to_document(evaluated())
    assert list(document) == ["pq", "vpq", "stq"]
    panoptic_keys(document["pq"])
    assert list(document["vpq"]) == ["windows", "all", "things", "stuff"]
    assert list(document["vpq"]["windows"]) == ["1", "2"]
    for window in document["vpq"]["windows"].values():
        panoptic_keys(window)
    assert list(document["stq"]) == ["stq", "aq", "sq", "per_class_iou", "per_sequence"]
    assert list(document["stq"]["per_class_iou"]) == ["0", "1", "2", "3"]
    assert document["stq"]["per_sequence"] == {"v": {"stq": 1.0, "aq": 1.0, "sq": 1.0}}


def test_many_windows_are_shown_in_tables_that_fit_80_characters() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    found = evaluated([TRUTH] * 9, [PREDICTION] * 9, metrics=METRICS, windows=range(1, 10))
    for table in tables(found):
        console.print(table)
    text = console.export_text()
    assert all(f"VPQ {length}" in text for length in range(1, 10))
    assert "…" not in text


def test_identity_measures_are_there_when_asked_for() -> None:
    document = to_document(evaluated(metrics=METRICS))
    assert list(document) == ["pq", "vpq", "stq", "hota", "idf1"]
    assert document["hota"]["all"] == {"hota": 1.0, "deta": 1.0, "assa": 1.0, "loca": 1.0}
    assert document["idf1"] == {
        "all": {"idf1": 1.0, "idp": 1.0, "idr": 1.0},
        "per_class": {"2": {"idf1": 1.0, "idp": 1.0, "idr": 1.0}},
    }


def test_a_class_has_its_counts() -> None:
    prediction = labels("11111", segment(1, ROAD))
    document = to_document(evaluated(prediction=[prediction]))
    road, car = document["pq"]["per_class"]["0"], document["pq"]["per_class"]["2"]
    assert road == {"pq": 0.6, "sq": 0.6, "rq": 1.0, "tp": 1, "fp": 0, "fn": 0, "iou_sum": 0.6}
    assert car == {"pq": 0.0, "sq": 0.0, "rq": 0.0, "tp": 0, "fp": 0, "fn": 1, "iou_sum": 0.0}
    assert document["pq"]["all"] == {"pq": 0.3, "sq": 0.3, "rq": 0.5, "n": 2}
    assert document["stq"]["per_class_iou"] == {"0": 0.6, "1": None, "2": 0.0, "3": None}


def test_the_ids_of_categories_are_the_keys_of_classes() -> None:
    categories = (Category(26, "car", True, (0, 0, 0)), Category(7, "road", False, (0, 0, 0)))
    frames = [labels("1155", segment(1, 7), segment(5, 26))]
    document = to_document(evaluated(frames, frames, categories=categories))
    assert list(document["pq"]["per_class"]) == ["26", "7"]
    assert document["stq"]["per_class_iou"] == {"26": 1.0, "7": 1.0}


def test_a_window_longer_than_the_videos_has_no_value_and_so_the_mean_has_none() -> None:
    document = to_document(evaluated(windows=(1, 2)))
    nothing = {"pq": None, "sq": None, "rq": None, "n": 0}
    window = document["vpq"]["windows"]["2"]
    assert [window[group] for group in ("all", "things", "stuff")] == [nothing] * 3
    assert [document["vpq"][group] for group in ("all", "things", "stuff")] == [None] * 3
    assert document["vpq"]["windows"]["1"]["all"]["pq"] == 1.0


def test_the_mean_over_windows_is_a_mean() -> None:
    gone = labels("11111", segment(1, ROAD))
    vpq = to_document(evaluated([TRUTH, TRUTH], [TRUTH, gone], windows=(1, 2)))["vpq"]
    of_windows = [vpq["windows"][length]["things"]["pq"] for length in ("1", "2")]
    assert of_windows == [pytest.approx(2 / 3), 0.0]
    assert vpq["things"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        (TRUTH, PREDICTION),
        (TRUTH, labels("00000")),
        (labels("00000"), PREDICTION),
        (labels("00000"), labels("00000")),
        (labels("11111", segment(1, ROAD)), labels("11111", segment(1, ROAD))),
        (labels("55555", segment(5, CAR)), labels("55555", segment(5, CAR))),
        (labels("55555", segment(5, CAR, crowd=True)), labels("55555", segment(5, CAR))),
        (labels("55555", segment(5, CAR)), labels("11111", segment(1, ROAD))),
    ],
)
def test_every_figure_is_a_number_or_null_and_every_fraction_at_most_one(
    truth: Labels, prediction: Labels
) -> None:
    document = to_document(evaluated([truth], [prediction], metrics=METRICS))
    text = json.dumps(document, allow_nan=False)
    for value in numbers(json.loads(text)):
        assert 0 <= value <= 4


def numbers(document: object) -> Iterator[float]:
    if isinstance(document, dict):
        for value in document.values():
            yield from numbers(value)
    elif document is not None:
        assert isinstance(document, int | float)
        yield document


def printed(evaluation: Evaluation) -> str:
    console = Console(width=160, markup=False, emoji=False)
    with console.capture() as capture:
        for table in tables(evaluation):
            console.print(table)
    return capture.get()


def row(text: str, name: str) -> list[str]:
    """The cells of the first row of that name."""
    (cells, *_) = (line.split() for line in text.splitlines() if line.strip().startswith(name))
    return cells


def test_tables_show_groups_classes_and_videos() -> None:
    text = printed(evaluated(metrics=METRICS))
    assert row(text, "PQ ") == ["PQ", "1.000", "1.000", "1.000", "1.000", "1.000", "2"]
    assert row(text, "VPQ, 1 frame ") == ["VPQ,", "1", "frame", *["1.000"] * 5, "2"]
    assert row(text, "road") == ["road", "1.000", "1.000", "1.000", "1", "0", "0"]
    assert row(text, "v ") == ["v", "1.000", "1.000", "1.000"]
    for name in ("STQ", "AQ", "SQ", "HOTA", "DetA", "AssA", "IDF1", "IDP", "IDR"):
        assert row(text, name)[1] == "1.000"


def test_what_has_no_value_is_a_dash_and_absent_classes_have_no_row() -> None:
    text = printed(evaluated(windows=(1, 2)))
    assert row(text, "VPQ, 2 frames") == ["VPQ,", "2", "frames", *["-"] * 5, "0"]
    assert row(text, "VPQ, mean") == ["VPQ,", "mean", "-", "-", "-"]
    (_, class_by_class) = text.split("class by class")
    assert row(class_by_class, "road") == ["road", "1.000", "-", "1.000"]
    assert "sky" not in text


def test_names_are_shown_as_they_are() -> None:
    categories = (Category(0, "road [/red]", False, (0, 0, 0)), Category(2, ":car: [b]", True, (0, 0, 0)))
    text = printed(evaluated(categories=categories, video="[clip]"))
    for name in ("road [/red]", ":car: [b]", "[clip]"):
        assert name in text
