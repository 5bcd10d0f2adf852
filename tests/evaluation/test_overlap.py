"""What two maps of ids share, on drawings; and the ways to count it, which must agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import SourceError
from evaluation.overlap import IdMap, Overlap, frame_overlap, join
from evaluation.pq import PanopticQuality
from evaluation.segments import LabelledSegment
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, Labelled, compare, drawing, segment
from tests.evaluation.reference.cases import draw_case

CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
)

Pairs = dict[tuple[int, int], int]


def pairs(overlap: Overlap) -> Pairs:
    """Pixels by the ids of truth and prediction."""
    truth, prediction = np.append(0, overlap.truth.ids), np.append(0, overlap.prediction.ids)
    places = zip(overlap.truth_at.tolist(), overlap.prediction_at.tolist(), strict=True)
    return {
        (int(truth[g]), int(prediction[p])): pixels
        for (g, p), pixels in zip(places, overlap.shared.tolist(), strict=True)
    }


def everything(overlap: Overlap) -> list[object]:
    """All fields as lists."""
    sides = [overlap.truth, overlap.prediction]
    return [
        *((s.ids.tolist(), s.categories.tolist(), s.crowd.tolist(), s.areas.tolist()) for s in sides),
        (overlap.truth_at.tolist(), overlap.prediction_at.tolist(), overlap.shared.tolist()),
    ]


def alone(ids: np.ndarray) -> Labelled:
    """Every id of the map is a car."""
    return ids, [segment(int(number), CAR) for number in np.unique(ids) if number]


def test_each_pair_that_shares_a_pixel_is_counted_once() -> None:
    overlap = frame_overlap(
        drawing("1122", "0122"),
        [segment(2, CAR), segment(1, ROAD)],
        drawing("5550", "0660"),
        [segment(5, ROAD), segment(6, CAR)],
    )
    assert pairs(overlap) == {(1, 5): 2, (2, 5): 1, (2, 0): 2, (0, 0): 1, (1, 6): 1, (2, 6): 1}
    assert (overlap.truth.ids.tolist(), overlap.truth.areas.tolist()) == ([2, 1], [4, 3])
    assert (overlap.prediction.areas.tolist(), overlap.prediction.categories.tolist()) == (
        [3, 2],
        [ROAD, CAR],
    )


def test_the_truth_may_state_its_areas_and_the_prediction_may_not() -> None:
    stated = [segment(1, CAR, area_px=9)]
    overlap = compare("11", stated, "11", stated)
    assert (overlap.truth.areas.tolist(), overlap.prediction.areas.tolist()) == ([9], [2])


def test_a_map_of_void_alone_needs_no_segment() -> None:
    overlap = compare("00", [], "00", [])
    assert pairs(overlap) == {(0, 0): 2}
    assert len(overlap.truth.ids) == len(overlap.prediction.ids) == 0


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("seed", range(4))
def test_arrays_and_tensors_give_the_same_overlap(seed: int, device: str) -> None:
    for frame in draw_case(seed).frames:
        (truth, truth_segments), (predicted, predicted_segments) = frame.truth, frame.prediction
        on_device = [torch.from_numpy(ids).to(device) for ids in (truth, predicted)]
        expected = everything(frame_overlap(truth, truth_segments, predicted, predicted_segments))
        sides: list[tuple[IdMap, IdMap]] = [
            (on_device[0], on_device[1]),
            (on_device[0], predicted),
            (truth, on_device[1]),
        ]
        for gt_ids, pred_ids in sides:
            assert everything(frame_overlap(gt_ids, truth_segments, pred_ids, predicted_segments)) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64])
def test_the_kind_of_integer_does_not_matter(dtype: type[np.integer]) -> None:
    truth, predicted = drawing("1220").astype(dtype), drawing("1233").astype(dtype)
    assert pairs(frame_overlap(*alone(truth), *alone(predicted))) == {
        (1, 1): 1,
        (2, 2): 1,
        (2, 3): 1,
        (0, 3): 1,
    }


def test_neither_does_the_order_of_the_pixels_in_memory() -> None:
    truth, predicted = drawing("112", "022"), drawing("333", "044")
    expected = pairs(frame_overlap(*alone(truth), *alone(predicted)))
    by_column = frame_overlap(*alone(np.asfortranarray(truth)), *alone(predicted))
    mirrored = frame_overlap(*alone(truth[::-1, ::-1]), *alone(predicted[::-1, ::-1]))
    assert pairs(by_column) == pairs(mirrored) == expected


def test_more_pairs_than_pixels_are_counted_like_few() -> None:
    truth = np.repeat(np.arange(1, 601), 2)[None]
    predicted = np.roll(truth, 1)  # 600 x 600 pairs: too many to have a counter each
    few_pixels = pairs(frame_overlap(*alone(truth), *alone(truth)))
    assert few_pixels == {(i, i): 2 for i in range(1, 601)}
    apart = pairs(frame_overlap(*alone(truth), *alone(predicted)))
    assert apart == {(i, p): 1 for i in range(1, 601) for p in (i, i - 1 or 600)}
    times = 100  # 120000 pixels: a counter each
    many = pairs(frame_overlap(*alone(np.tile(truth, (times, 1))), *alone(np.tile(predicted, (times, 1)))))
    assert many == {pair: times * pixels for pair, pixels in apart.items()}


def test_a_large_map_is_counted_to_its_last_pixel() -> None:
    truth = np.ones((257, 511), np.uint8)
    predicted = truth.copy()
    predicted[-1, -1] = 2
    assert pairs(frame_overlap(*alone(truth), *alone(predicted))) == {(1, 1): 257 * 511 - 1, (1, 2): 1}


def test_more_segments_than_sixteen_bits_are_told_apart() -> None:
    ids = np.arange(1, 70001).reshape(250, 280)
    quality = PanopticQuality(CATEGORIES)
    quality.add(frame_overlap(*alone(ids), *alone(ids)))
    assert quality.result().per_class[CAR].tp == 70000


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize(
    ("predicted", "numbers", "message"),
    [
        ([[1, 2]], [1], "guess: id 2 of the map is not in the list"),
        ([[1, -2]], [1], "guess: id -2 of the map is not in the list"),
        ([[1, 2]], [1, 3], "guess: id 2 of the map is not in the list"),
        ([[1, 1]], [1, 2], "guess: segment 2 is listed but has no pixel"),
        ([[1, 1]], [1, 1], "guess: ids of segments must be different numbers of 1..16777215"),
        ([[1, 0]], [1, 0], "guess: ids of segments must be different numbers of 1..16777215"),
        ([[1, 1 << 24]], [1, 1 << 24], "guess: ids of segments must be different numbers of 1..16777215"),
        ([[1.0, 1.0]], [1], "guess: a map of ids must"),
        ([[1, 1], [1, 1]], [1], "guess: size 2x2 differs from 2x1 of label"),
    ],
)
def test_a_map_and_a_list_that_disagree_are_named(
    predicted: list[list[int]], numbers: list[int], message: str, tensors: bool
) -> None:
    good, bad = np.array([[1, 1]]), np.array(predicted)
    gt_ids, pred_ids = (torch.from_numpy(good), torch.from_numpy(bad)) if tensors else (good, bad)
    segments = [segment(number, CAR) for number in numbers]
    with pytest.raises(SourceError, match=message):
        frame_overlap(gt_ids, [segment(1, CAR)], pred_ids, segments, gt_name="label", pred_name="guess")


def test_in_a_window_segments_of_one_id_become_a_tube() -> None:
    car, road = [segment(2, CAR)], [segment(1, ROAD)]
    window = join(
        [
            compare("2220", car, "5566", [segment(6, CAR), segment(5, ROAD)]),
            compare("1122", road + car, "5555", [segment(5, ROAD)]),
        ]
    )
    assert pairs(window) == {(2, 5): 4, (2, 6): 1, (0, 6): 1, (1, 5): 2}
    assert (window.truth.ids.tolist(), window.truth.areas.tolist()) == ([2, 1], [5, 2])
    assert (window.prediction.ids.tolist(), window.prediction.areas.tolist()) == ([6, 5], [2, 6])


def test_the_first_frame_that_shows_a_tube_tells_its_class_and_whether_it_is_a_crowd() -> None:
    window = join(
        [
            compare("0", [], "0", []),
            compare("1", [segment(1, CAR, crowd=True)], "1", [segment(1, PERSON)]),
            compare("1", [segment(1, PERSON)], "1", [segment(1, CAR)]),
        ]
    )
    assert (window.truth.categories.tolist(), window.truth.crowd.tolist()) == ([CAR], [True])
    assert window.prediction.categories.tolist() == [PERSON]


def test_areas_that_the_truth_states_add_up() -> None:
    stated = compare("11", [segment(1, CAR, area_px=5)], "11", [segment(1, CAR)])
    counted = compare("11", [segment(1, CAR)], "11", [segment(1, CAR)])
    assert join([stated, counted]).truth.areas.tolist() == [7]


def test_a_window_of_one_frame_is_that_frame() -> None:
    overlap = compare("1122", [segment(1, CAR), segment(2, ROAD)], "0022", [segment(2, ROAD)])
    assert everything(join([overlap])) == everything(overlap)


@st.composite
def two_videos(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Truth and prediction of 1 to 4 frames of 2 x 3 pixels."""
    frames = st.lists(st.integers(0, 4), min_size=6, max_size=6).map(lambda row: np.array(row).reshape(2, 3))
    length = draw(st.integers(1, 4))
    both = st.lists(frames, min_size=length, max_size=length)
    return draw(both), draw(both)


@settings(deadline=None, max_examples=100)
@given(videos=two_videos())
def test_a_window_shares_what_its_frames_share_side_by_side(
    videos: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    truth, predicted = videos
    window = join([frame_overlap(*alone(t), *alone(p)) for t, p in zip(truth, predicted, strict=True)])
    assert pairs(window) == pairs(
        frame_overlap(*alone(np.concatenate(truth)), *alone(np.concatenate(predicted)))
    )


def test_the_segments_are_not_changed() -> None:
    segments: list[LabelledSegment] = [segment(1, CAR), segment(2, ROAD)]
    ids = drawing("1122")
    frame_overlap(ids, segments, ids, segments)
    assert (ids.tolist(), segments) == ([[1, 1, 2, 2]], [segment(1, CAR), segment(2, ROAD)])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
def test_unsigned_maps_are_counted_beside_tensors(kind: type[np.unsignedinteger]) -> None:
    ids = drawing("1122")
    segments = [segment(1, ROAD), segment(2, CAR)]
    found = frame_overlap(ids.astype(kind), segments, torch.from_numpy(ids), segments)
    assert found.shared.tolist() == [2, 2]


def test_tensors_must_be_maps_of_integers_like_arrays() -> None:
    ids = torch.ones((2, 2), dtype=torch.int32)
    for wrong in (ids[None], ids.bool(), ids.float()):
        with pytest.raises(SourceError, match="truth: a map of ids must be"):
            frame_overlap(wrong, [segment(1, CAR)], wrong, [segment(1, CAR)])
