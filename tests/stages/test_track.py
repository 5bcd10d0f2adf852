"""Identities through the frames of a stream, with embeddings of two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from configs.schema import Settings
from stages.messages import Detections, Reunion, TrackMemory, Tracks
from stages.track import TrackStage

CAR, PERSON = 13, 11
RED, BLUE = (9.0, 0.0), (0.0, 9.0)
"""Appearances: the dot product of two of one kind is 81, of different kinds 0."""

Seen = tuple[float, tuple[float, float], int]
"""Left edge of a 10x10 box, appearance, class."""


def _detections(index: int, seen: Sequence[Seen]) -> Detections:
    count = len(seen)
    return Detections(
        index=index,
        boxes=torch.tensor([[x, 0.0, x + 10, 10.0] for x, _, _ in seen]).reshape(-1, 4),
        scores=torch.linspace(0.9, 0.7, count),
        classes=torch.tensor([kind for _, _, kind in seen], dtype=torch.int64),
        mask_logits=torch.zeros(count, 28, 28),
        embeddings=torch.tensor([look for _, look, _ in seen]).reshape(-1, 2),
        semantic_logits=torch.zeros(1, 19, 8, 32),
        network_size=(32, 128),
        frame_size=(32, 128),
    )


def _run(frames: Sequence[Sequence[Seen]], **settings: int) -> tuple[list[Tracks], TrackMemory]:
    stage = TrackStage(Settings.model_validate({"track": settings}))
    memory, tracks = None, []
    for index, seen in enumerate(frames):
        found, memory = stage(_detections(index, seen), memory)
        tracks.append(found)
    assert memory is not None
    return tracks, memory


def _ids(tracks: list[Tracks]) -> list[list[int]]:
    return [found.track_ids.tolist() for found in tracks]


def test_objects_of_the_first_frame_are_numbered_from_one() -> None:
    tracks, _ = _run([[(0, RED, CAR), (50, BLUE, CAR)]])
    assert _ids(tracks) == [[1, 2]]


def test_identities_follow_appearance_when_two_cars_change_places() -> None:
    tracks, _ = _run([[(0, RED, CAR), (50, BLUE, CAR)], [(0, BLUE, CAR), (50, RED, CAR)]], reach=0)
    assert _ids(tracks) == [[1, 2], [2, 1]]


def test_place_decides_between_objects_that_look_alike() -> None:
    tracks, _ = _run([[(0, RED, CAR), (50, RED, CAR)], [(52, RED, CAR), (1, RED, CAR)]])
    assert _ids(tracks) == [[1, 2], [2, 1]]


@pytest.mark.parametrize(("reach", "identity"), [(1, 2), (0, 1)])
def test_who_comes_far_from_where_another_left_is_a_new_object(reach: int, identity: int) -> None:
    tracks, _ = _run([[(0, RED, CAR)], [(15, RED, CAR)]], reach=reach)  # a box of 10x10: diagonal 14.1
    assert _ids(tracks) == [[1], [identity]]


def test_an_identity_survives_frames_in_which_its_object_is_hidden() -> None:
    tracks, _ = _run([[(0, RED, CAR)], [], [], [(4, RED, CAR)]])
    assert _ids(tracks) == [[1], [], [], [1]]


def test_the_loser_of_a_contest_is_a_new_object() -> None:
    tracks, _ = _run([[(0, RED, CAR)], [(0, RED, CAR), (2, RED, CAR)]])
    assert _ids(tracks) == [[1], [1, 2]]


@pytest.mark.parametrize(("second_choice", "ids"), [(True, [1, 2]), (False, [1, 3])])
def test_the_loser_may_take_the_object_it_fits_next_best(second_choice: bool, ids: list[int]) -> None:
    """The right car looks like the left one for a moment."""
    frames = [[(0, RED, CAR), (8, (8.0, 4.0), CAR)], [(0, RED, CAR), (8, (9.0, 1.0), CAR)]]
    tracks, _ = _run(frames, second_choice=second_choice)
    assert _ids(tracks) == [[1, 2], ids]


def test_an_object_forgotten_after_its_time_comes_back_with_a_new_identity() -> None:
    tracks, memory = _run([[(0, RED, CAR)], [], [], [(0, RED, CAR)]], ttl_frames=2)
    assert _ids(tracks) == [[1], [], [], [2]]
    assert memory.track_ids.tolist() == [2]


def test_an_object_seen_within_its_time_is_remembered() -> None:
    tracks, _ = _run([[(0, RED, CAR)], [], [(0, RED, CAR)]], ttl_frames=2)
    assert _ids(tracks) == [[1], [], [1]]


@pytest.mark.parametrize(
    ("box", "leaves"),
    [
        ((0.0, 10.0, 10.0, 20.0), True),
        ((20.0, 1.0, 30.0, 12.0), True),
        ((91.0, 10.0, 100.0, 20.0), True),
        ((20.0, 18.0, 30.0, 29.5), True),
        ((2.0, 2.0, 98.0, 28.0), False),
    ],
)
def test_an_object_that_was_at_an_edge_is_forgotten_sooner(
    box: tuple[float, float, float, float], leaves: bool
) -> None:
    """The picture of 30x100 fills a part of the network's input, 32x128."""
    stage = TrackStage(Settings.model_validate({"track": {"edge_ttl_frames": 1, "ttl_frames": 0}}))
    memory, ids = None, []
    for index in (0, 1, 2):
        seen = replace(_detections(index, [(0, RED, CAR)][: index != 1]), network_size=(30, 100))
        found = replace(seen, boxes=torch.tensor([box])[: index != 1])
        tracks, memory = stage(found, memory)
        ids.append(tracks.track_ids.tolist())
    assert ids == [[1], [], [2 if leaves else 1]]


def test_the_first_class_is_kept_for_life() -> None:
    tracks, _ = _run([[(0, RED, CAR)], [(0, RED, PERSON)]])
    # 81 of appearance outweighs the 10 of the class, so it is the same object
    assert _ids(tracks) == [[1], [1]]
    assert tracks[1].classes.tolist() == [CAR]


def test_identities_go_beyond_a_byte() -> None:
    frames = [[(float(20 * k), (3.0 * index, -3.0 * k), CAR) for k in range(3)] for index in range(100)]
    tracks, memory = _run([[], *frames], ttl_frames=1)
    assert len(set(tracks[-1].track_ids.tolist())) == 3
    assert memory.next_track_id > max(tracks[-1].track_ids.tolist())


def test_the_memory_given_is_not_changed() -> None:
    stage = TrackStage(Settings())
    _, before = stage(_detections(0, [(0, RED, CAR)]), None)
    copy = [before.boxes.copy(), before.embeddings.copy(), before.last_seen.copy()]
    stage(_detections(1, [(5, RED, CAR), (70, BLUE, CAR)]), before)
    assert (before.boxes == copy[0]).all()
    assert (before.embeddings == copy[1]).all()
    assert (before.last_seen == copy[2]).all()


@pytest.mark.parametrize(
    ("gap_s", "identity"),
    [(0.0, 2), (8.0, 1), (31.0, 2)],  # no gap; one within gap_ttl_s, 30; one beyond it
)
def test_behind_a_gap_an_object_is_found_again_wherever_it_is(gap_s: float, identity: int) -> None:
    stage = TrackStage(Settings())
    _, memory = stage(_detections(0, [(20, RED, CAR)]), None)
    tracks, memory = stage(replace(_detections(1, [(80, RED, CAR)]), gap_s=gap_s), memory)
    assert tracks.track_ids.tolist() == [identity]


def test_what_was_found_again_behind_a_gap_has_to_stay_near_from_then_on() -> None:
    stage = TrackStage(Settings())
    _, memory = stage(_detections(0, [(20, RED, CAR), (90, BLUE, CAR)]), None)
    _, memory = stage(replace(_detections(1, [(60, RED, CAR)]), gap_s=5.0), memory)
    tracks, memory = stage(_detections(2, [(20, RED, CAR), (30, BLUE, CAR)]), memory)
    assert tracks.track_ids.tolist() == [3, 2]  # the blue one was not seen since the gap


@pytest.mark.parametrize(("gap_s", "num_found_again"), [(5.0, 1), (31.0, 0)])
def test_the_first_frame_behind_a_gap_tells_which_objects_were_found_again(
    gap_s: float, num_found_again: int
) -> None:
    stage = TrackStage(Settings())
    _, memory = stage(_detections(0, [(50, BLUE, PERSON)]), None)
    before, memory = stage(_detections(1, [(20, RED, CAR), (90, BLUE, CAR)]), memory)
    tracks, memory = stage(replace(_detections(2, [(60, RED, CAR)]), gap_s=gap_s), memory)
    after, _ = stage(_detections(3, [(60, RED, CAR)]), memory)
    assert (before.reunion, after.reunion) == (None, None)
    assert tracks.reunion == Reunion(
        num_before=2, num_found_again=num_found_again, num_new=1 - num_found_again
    )
