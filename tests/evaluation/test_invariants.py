"""What holds of every video, for all measures at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from configs.categories import Category
from evaluation.identity import IdentityQuality, IdentityResult
from evaluation.matching import PanopticResult
from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from evaluation.segments import MAX_ID
from evaluation.stq import SegmentationTrackingQuality, TrackingResult
from evaluation.vpq import VideoPanopticQuality, VideoPanopticResult
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, Labelled, segment

Video = list[tuple[Labelled, Labelled]]
"""Truth and prediction, frame by frame."""

HEIGHT, WIDTH, NUM_IDS = 3, 4, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What all measures say of one video."""

    pq: PanopticResult
    vpq: VideoPanopticResult
    stq: TrackingResult
    identity: IdentityResult

    def numbers(self) -> list[object]:
        """All figures in the order of the categories, without the categories."""
        windows = [self.pq, *self.vpq.windows.values()]
        return [
            [[(q.tp, q.fp, q.fn, q.iou_sum) for q in result.per_class] for result in windows],
            [(r.pq, r.sq, r.rq, r.num_classes) for w in windows for r in (w.all, w.things, w.stuff)],
            (self.stq.total.stq, self.stq.total.aq, self.stq.total.sq, self.stq.per_class_iou),
            [list(row.values()) for row in (self.identity.mean, *self.identity.per_class.values())],
        ]


def measure(video: Video, categories: Sequence[Category] = CATEGORIES) -> Results:
    """All measures, with windows of one and of two frames."""
    pq, vpq = PanopticQuality(categories), VideoPanopticQuality(categories, (1, 2))
    stq, identity = SegmentationTrackingQuality(categories), IdentityQuality(categories)
    for truth, prediction in video:
        overlap = frame_overlap(*truth, *prediction)
        pq.add(overlap)
        for quality in (vpq, stq, identity):
            quality.add("video", overlap)
    return Results(pq=pq.result(), vpq=vpq.result(), stq=stq.result(), identity=identity.result())


def same(left: object, right: object) -> bool:
    """Equal to the twelfth digit: sums may be taken in another order."""
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return left == pytest.approx(right, abs=1e-12, nan_ok=True)


def labelled(
    ids: np.ndarray, classes: Sequence[int], crowds: Sequence[bool] = (False,) * NUM_IDS
) -> Labelled:
    """The map with its segments: class and crowd by id - 1."""
    present = [int(number) for number in np.unique(ids) if number]
    return ids, [segment(number, classes[number - 1], crowd=crowds[number - 1]) for number in present]


MAPS = st.lists(st.integers(0, NUM_IDS), min_size=HEIGHT * WIDTH, max_size=HEIGHT * WIDTH).map(
    lambda pixels: np.array(pixels).reshape(HEIGHT, WIDTH)
)
CLASSES = st.lists(st.sampled_from([ROAD, SKY, CAR, PERSON]), min_size=NUM_IDS, max_size=NUM_IDS)


@st.composite
def videos(draw: st.DrawFn, *, crowds: bool = True, min_frames: int = 1) -> Video:
    """A truth; and a prediction that is the truth with some pixels changed, under classes of its own."""
    truth_classes, flags = draw(CLASSES), draw(st.lists(st.booleans(), min_size=NUM_IDS, max_size=NUM_IDS))
    classes = draw(st.one_of(st.just(truth_classes), CLASSES))
    video: Video = []
    for ids in draw(st.lists(MAPS, min_size=min_frames, max_size=4)):
        predicted = ids.copy()
        for place, number in draw(st.lists(st.tuples(st.integers(0, ids.size - 1), st.integers(0, NUM_IDS)))):
            predicted.flat[place] = number
        truth = labelled(ids, truth_classes, [crowds and flag for flag in flags])
        video.append((truth, labelled(predicted, classes)))
    return video


def renamed(side: Labelled, ids: Sequence[int], category: Callable[[int], int]) -> Labelled:
    """Other ids and categories for the same segments, in the same order."""
    pixels, segments = side
    names = np.array([0, *ids])
    others = [replace(s, id=int(names[s.id]), category_id=category(s.category_id)) for s in segments]
    return names[pixels], others


IDS = st.lists(st.integers(1, MAX_ID), min_size=NUM_IDS, max_size=NUM_IDS, unique=True)
SMALL_IDS = st.permutations(range(1, NUM_IDS + 1))


@settings(deadline=None, max_examples=60)
@given(video=videos(), truth_ids=SMALL_IDS | IDS, ids=SMALL_IDS | IDS)
def test_the_numbers_used_as_ids_do_not_matter(video: Video, truth_ids: list[int], ids: list[int]) -> None:
    other: Video = [
        (renamed(truth, truth_ids, int), renamed(prediction, ids, int)) for truth, prediction in video
    ]
    assert same(measure(other).numbers(), measure(video).numbers())


@settings(deadline=None, max_examples=60)
@given(video=videos(), numbers=st.lists(st.integers(0, 1 << 40), min_size=4, max_size=4, unique=True))
def test_neither_do_the_numbers_used_for_categories(video: Video, numbers: list[int]) -> None:
    numbers.sort()  # identity lists its classes by number
    categories = [replace(category, id=numbers[category.id]) for category in CATEGORIES]
    own = range(1, NUM_IDS + 1)
    other: Video = [
        (renamed(truth, own, numbers.__getitem__), renamed(prediction, own, numbers.__getitem__))
        for truth, prediction in video
    ]
    assert same(measure(other, categories).numbers(), measure(video).numbers())


@settings(deadline=None, max_examples=60)
@given(video=videos(crowds=False))
def test_nor_does_the_order_of_the_segments_where_there_is_no_crowd(video: Video) -> None:
    other: Video = [((a, segments[::-1]), (b, others[::-1])) for (a, segments), (b, others) in video]
    found, expected = measure(other), measure(video)
    assert same(found.numbers()[:3], expected.numbers()[:3])
    for category, row in found.identity.per_class.items():  # HOTA has several best matches to choose from
        assert row["IDF1"] == expected.identity.per_class[category]["IDF1"]


@settings(deadline=None, max_examples=60)
@given(video=videos(crowds=False))
def test_the_truth_itself_has_quality_one(video: Video) -> None:
    found = measure([(truth, truth) for truth, _ in video])
    shown = {s.category_id for (_, segments), _ in video for s in segments}
    things = shown & {CAR, PERSON}
    assert same(found.pq.all.pq, 1.0 if shown else math.nan)
    assert same(found.vpq.windows[1].all.pq, 1.0 if shown else math.nan)
    assert same(found.vpq.all, 1.0 if shown and len(video) > 1 else math.nan)
    assert same(found.stq.total.sq, 1.0 if shown else math.nan)
    assert same(found.stq.total.aq, 1.0 if things else 0.0)
    for name in ("IDF1", "HOTA", "LocA"):
        assert same(found.identity.mean[name], 1.0 if things else math.nan)


@settings(deadline=None, max_examples=60)
@given(video=videos())
def test_every_quality_is_a_fraction(video: Video) -> None:
    found = measure(video)
    groups = [r for w in (found.pq, *found.vpq.windows.values()) for r in (w.all, w.things, w.stuff)]
    values = [value for r in groups for value in (r.pq, r.sq, r.rq)]
    values += [found.stq.total.stq, found.stq.total.aq, found.stq.total.sq, *found.stq.per_class_iou]
    values += [value for row in found.identity.per_class.values() for value in row.values()]
    assert all(math.isnan(value) or 0.0 <= value <= 1.0 + 1e-12 for value in values)


@settings(deadline=None, max_examples=60)
@given(video=videos())
def test_windows_of_one_frame_are_panoptic_quality(video: Video) -> None:
    found = measure(video)
    assert found.vpq.windows[1].per_class == found.pq.per_class


@settings(deadline=None, max_examples=100)
@given(video=videos(), frame=st.integers(0, 3), category=st.sampled_from([ROAD, SKY, CAR, PERSON]))
def test_a_false_alarm_never_raises_the_quality(video: Video, frame: int, category: int) -> None:
    assume(frame < len(video))
    truth, (predicted, segments) = video[frame]
    free = predicted == 0
    assume(free.any())
    ids = np.where(free, NUM_IDS + 1, predicted)
    other = list(video)
    other[frame] = (truth, (ids, [*segments, segment(NUM_IDS + 1, category)]))
    before, after = measure(video), measure(other)
    for old, new in zip(before.vpq.windows.values(), after.vpq.windows.values(), strict=True):
        was, now = old.per_class[category], new.per_class[category]
        assume(now.tp == was.tp)  # else it hit an object
        assert now.fn == was.fn
        assert now.fp >= was.fp
        assert now.pq < was.pq or now.fp == was.fp or was.pq == 0.0
        assert math.isnan(old.all.pq) or new.all.pq <= old.all.pq + 1e-12


@st.composite
def two_cars(draw: st.DrawFn) -> list[np.ndarray]:
    """Two to five frames, each of which shows the ids 1 and 2."""
    frames = draw(st.lists(MAPS, min_size=2, max_size=5))
    for ids in frames:
        ids[0, 0], ids[0, 1] = 1, 2
    return frames


@settings(deadline=None, max_examples=60)
@given(frames=two_cars(), data=st.data())
def test_two_ids_that_are_swapped_half_way_cost_all_measures_of_identity_and_no_other(
    frames: list[np.ndarray], data: st.DataObject
) -> None:
    change = data.draw(st.integers(1, len(frames) - 1))
    classes = [CAR, CAR, PERSON, ROAD]
    swap = np.array([0, 2, 1, 3, 4])
    kept: Video = [(labelled(ids, classes), labelled(ids, classes)) for ids in frames]
    swapped: Video = [
        (labelled(ids, classes), labelled(ids if t < change else swap[ids], classes))
        for t, ids in enumerate(frames)
    ]
    before, after = measure(kept), measure(swapped)
    assert after.pq.per_class == before.pq.per_class
    assert after.stq.total.sq == before.stq.total.sq == 1.0
    assert after.vpq.windows[2].per_class[CAR].pq < before.vpq.windows[2].per_class[CAR].pq
    assert after.stq.total.aq < before.stq.total.aq
    assert after.stq.total.stq < before.stq.total.stq
    for name in ("IDF1", "HOTA", "AssA"):
        assert after.identity.per_class[CAR][name] < before.identity.per_class[CAR][name]
