"""Every measure equals its reference implementation on small random videos: see reference/make_figures.py."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from evaluation.identity import MEASURES, IdentityQuality
from evaluation.matching import MeanQuality, PanopticResult
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from evaluation.stq import SegmentationTrackingQuality, TrackingQuality
from evaluation.vpq import VideoPanopticQuality
from tests.evaluation.reference.cases import NUM_CASES, WINDOWS, Case, CaseFrame, draw_case

TOLERANCE = 1e-9
"""The references add up in another order; nothing else may differ."""

FIGURES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("reference").joinpath("figures.json").read_text()
)


def measured(case: Case) -> dict[str, Any]:
    """Our figures of a case, in the form of figures.json."""
    pq = PanopticQuality(case.categories)
    vpq = VideoPanopticQuality(case.categories, WINDOWS)
    stq = SegmentationTrackingQuality(case.categories)
    identity = IdentityQuality(case.categories)
    for frame in case.frames:
        overlap = frame_overlap(*frame.truth, *frame.prediction)
        pq.add(overlap)
        for measure in (vpq, stq, identity):
            measure.add(frame.video, overlap)
    tracking = stq.result()
    return {
        "pq": panoptic(pq.result()),
        "vpq": {str(length): panoptic(part) for length, part in vpq.result().windows.items()},
        "stq": {
            "total": numbers(tracking.total),
            "per_video": {video: numbers(part) for video, part in tracking.per_video.items()},
        },
        "identity": {
            str(category): [row[measure] for measure in MEASURES]
            for category, row in identity.result().per_class.items()
        },
    }


def panoptic(result: PanopticResult) -> dict[str, Any]:
    return {
        "per_class": {
            str(q.category.id): [q.tp, q.fp, q.fn, q.iou_sum] for q in result.per_class if q.counts
        },
        "all": mean(result.all),
        "things": mean(result.things),
        "stuff": mean(result.stuff),
    }


def mean(group: MeanQuality) -> list[float] | None:
    return [group.pq, group.sq, group.rq, group.num_classes] if group.num_classes else None


def numbers(quality: TrackingQuality) -> list[float]:
    return [quality.stq, quality.aq, quality.sq]


def flat(value: object, name: str = "") -> dict[str, object]:
    """Leaves by their path, so that a difference is named; JSON's null is NaN."""
    if isinstance(value, dict):
        return {
            path: leaf for key, part in value.items() for path, leaf in flat(part, f"{name}/{key}").items()
        }
    if isinstance(value, list):
        return {
            path: leaf for i, part in enumerate(value) for path, leaf in flat(part, f"{name}/{i}").items()
        }
    return {name: math.nan if value is None else value}


def traits(frame: CaseFrame) -> dict[str, bool]:
    """What may be hard about a frame."""
    (ids, segments), (predicted, predicted_segments) = frame.truth, frame.prediction
    classes, guesses = ({s.category_id for s in part} for part in (segments, predicted_segments))
    crowds = Counter(s.category_id for s in segments if s.is_crowd)
    sizes = {s.id: int((ids == s.id).sum()) for s in segments}
    shared = Counter(zip(ids.flat, predicted.flat, strict=True))
    return {
        "void in truth": 0 in ids,
        "void in prediction": 0 in predicted,
        "void alone": not segments,
        "nothing predicted": not predicted_segments,
        "class missed": bool(classes - guesses),
        "class made up": bool(guesses - classes),
        "two crowds of a class": max(crowds.values(), default=0) > 1,
        "ids of 24 bits": max([*ids.flat, *predicted.flat]) > 1 << 16,
        "area stated too large": any(s.area_px not in (None, sizes[s.id]) for s in segments),
        "half found": any(2 * shared[g, p] == sizes.get(g) for g, p in shared if p),
    }


def changes(case: Case) -> dict[str, bool]:
    """Whether an object of a case changes on the way."""
    values: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for frame in case.frames:
        for s in frame.truth[1]:
            values["truth changes class", frame.video, s.id].add(s.category_id)
            values["crowd comes or goes", frame.video, s.id].add(s.is_crowd)
        for s in frame.prediction[1]:
            values["prediction changes class", frame.video, s.id].add(s.category_id)
    found: dict[str, bool] = {}
    for (name, _, _), seen in values.items():
        found[name] = found.get(name, False) or len(seen) > 1
    return found


def test_each_trait_is_in_three_cases_at_least() -> None:
    cases = [draw_case(seed) for seed in range(NUM_CASES)]
    counts: Counter[str] = Counter()
    for case in cases:
        frames = [traits(frame) for frame in case.frames]
        counts.update({name: any(frame[name] for frame in frames) for name in frames[0]})
        counts.update(changes(case))
    assert {name: count for name, count in counts.items() if count < 3} == {}


@pytest.mark.parametrize("seed", range(NUM_CASES))
def test_figures_equal_those_of_the_reference_implementations(seed: int) -> None:
    case = draw_case(seed)
    assert FIGURES[seed]["digest"] == case.digest, "the case is another one: make the figures again"
    expected = flat(FIGURES[seed]["figures"])
    assert flat(measured(case)) == pytest.approx(expected, abs=TOLERANCE, rel=0, nan_ok=True)
