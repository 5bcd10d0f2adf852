from __future__ import annotations

import numpy as np
import pytest

from configs.categories import CITYSCAPES
from stages.draw import draw, label_place, segment_colour
from stages.messages import Frame, Panoptic, Segment
from stages.palette import paint, track_colour
from tests.panoptics import make_frame, make_panoptic, road, thing

ROAD, SKY = (128, 64, 128), (70, 130, 180)


def overlay(frame: Frame, panoptic: Panoptic, opacity: float = 0.5, labels: bool = False) -> np.ndarray:
    return draw(frame, panoptic, CITYSCAPES, opacity=opacity, labels=labels)


def test_stuff_is_blended_with_the_colour_of_its_category() -> None:
    frame = make_frame(np.full((4, 6, 3), 100, np.uint8))
    picture = overlay(frame, make_panoptic(np.ones((4, 6), np.uint8), [road()]))
    assert (picture == [114, 82, 114]).all(), "halfway between 100 and (128, 64, 128)"


def test_void_shows_the_frame_as_it_is() -> None:
    label_map = np.zeros((4, 6), np.uint8)
    label_map[2:] = 1
    picture = overlay(make_frame(np.full((4, 6, 3), 100, np.uint8)), make_panoptic(label_map, [road()]))
    assert (picture[:2] == 100).all()
    assert (picture[2] == ROAD).all(), "the contour of stuff is in its full colour"
    assert (picture[3] == [114, 82, 114]).all()


def test_an_object_has_a_white_contour() -> None:
    label_map = np.ones((6, 6), np.uint8)
    label_map[2:5, 2:5] = 2
    frame = make_frame(np.full((6, 6, 3), 100, np.uint8))
    picture = overlay(frame, make_panoptic(label_map, [road(), thing(12)]))
    assert (picture[2, 2:5] == 255).all(), "its upper side"
    assert (picture[5, 2:5] == 255).all(), "just below it"
    inside = np.array(track_colour(12), float) / 2 + 50
    assert np.abs(picture[3, 3] - inside).max() <= 1


def test_the_frame_that_was_received_is_not_written_to() -> None:
    frame = make_frame(np.full((40, 60, 3), 100, np.uint8))
    frame.image.setflags(write=False)
    overlay(frame, make_panoptic(np.ones((40, 60), np.uint8), [thing(1, area_px=2400)]), labels=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_painting_gives_every_label_its_colour(dtype: type[np.uint8 | np.uint16]) -> None:
    label_map: np.ndarray = np.array([[0, 1], [2, 1]], dtype)
    painted = paint(label_map, [(0, 0, 0), ROAD, SKY])
    assert painted.tolist() == [[[0, 0, 0], list(ROAD)], [list(SKY), list(ROAD)]]


def test_painting_knows_more_than_255_labels() -> None:
    colours = [(index % 256, index // 256, 7) for index in range(700)]
    painted = paint(np.array([[699, 256, 255]], np.uint16), colours)
    assert painted.tolist() == [[[187, 2, 7], [0, 1, 7], [255, 0, 7]]]


def test_an_identity_keeps_its_colour() -> None:
    assert track_colour(12) == track_colour(12)
    assert segment_colour(thing(12), CITYSCAPES) == track_colour(12)
    assert segment_colour(road(), CITYSCAPES) == ROAD


def test_neighbouring_identities_and_stuff_differ_plainly() -> None:
    colours = np.array([track_colour(track_id) for track_id in range(1, 200)], float)
    for step in (1, 2, 3, 4):
        assert np.linalg.norm(colours[step:] - colours[:-step], axis=1).min() > 60
    stuff = np.array([category.color for category in CITYSCAPES if not category.is_thing], float)
    distances = np.linalg.norm(colours[:, None] - stuff, axis=2).min(axis=1)
    assert np.median(distances) > 60


@pytest.mark.parametrize("bbox_px", [(0, 0, 9, 9), (95, 75, 5, 5), (-3, 70, 5, 5), (0, 0, 100, 80)])
def test_a_label_never_leaves_the_picture(bbox_px: tuple[int, int, int, int]) -> None:
    top, left = label_place(thing(1, bbox_px=bbox_px), (12, 40), (80, 100))
    assert 0 <= top <= 80 - 12
    assert 0 <= left <= 100 - 40


def test_a_label_wider_than_the_picture_is_cut() -> None:
    frame = make_frame(np.full((20, 16, 3), 100, np.uint8))
    panoptic = make_panoptic(np.ones((20, 16), np.uint8), [thing(123456, area_px=320)])
    assert overlay(frame, panoptic, labels=True).shape == (20, 16, 3)


def test_a_label_is_written_above_its_object() -> None:
    label_map = np.ones((200, 200), np.uint8)
    label_map[100:140, 80:140] = 2
    frame = make_frame(np.full((200, 200, 3), 100, np.uint8))
    car = thing(12, area_px=2400, bbox_px=(80, 100, 60, 40))
    panoptic = make_panoptic(label_map, [road(), car])
    changed = (overlay(frame, panoptic, labels=True) != overlay(frame, panoptic)).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 80 < rows.min() < rows.max() < 100
    assert 60 < columns.min() < columns.max() < 160


def test_segments_of_a_tuple_may_be_empty() -> None:
    frame = make_frame(np.full((4, 6, 3), 100, np.uint8))
    nothing: list[Segment] = []
    assert (overlay(frame, make_panoptic(np.zeros((4, 6), np.uint8), nothing), labels=True) == 100).all()
