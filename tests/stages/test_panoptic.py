"""From detections and identities to a numbered map at the size of the frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from configs.errors import StageError
from configs.schema import Settings
from stages.messages import Detections, Panoptic, Tracks
from stages.panoptic import PanopticStage

ROAD, SKY, CAR = 0, 10, 13
SETTINGS = Settings.model_validate(
    {"panoptic": {"min_stuff_area_px": 0, "min_stuff_iou": 0, "unknown_class": False}}
)


def _detections(boxes: list[list[float]], frame_size: tuple[int, int]) -> Detections:
    """A 16x32 picture: sky above, road below, and solid cars in the boxes."""
    semantic = torch.zeros(1, 19, 8, 8)  # padded to 32 rows
    semantic[:, SKY, :2] = 5.0
    semantic[:, ROAD, 2:] = 5.0
    semantic[:, CAR] = 5.5
    semantic[:, CAR, :2] = 0.0
    return Detections(
        index=7,
        boxes=torch.tensor(boxes).reshape(-1, 4),
        scores=torch.linspace(0.9, 0.8, len(boxes)),
        classes=torch.full((len(boxes),), CAR),
        mask_logits=torch.full((len(boxes), 28, 28), 3.0),
        embeddings=torch.zeros(len(boxes), 4),
        semantic_logits=semantic,
        network_size=(16, 32),
        frame_size=frame_size,
    )


def _tracks(*track_ids: int) -> Tracks:
    ids = np.array(track_ids, np.int64)
    return Tracks(index=7, track_ids=ids, classes=np.full(len(ids), CAR, np.int64))


def _map(panoptic: Panoptic) -> np.ndarray:
    """(H, W) segment ids."""
    ids = np.array([0, *(segment.segment_id for segment in panoptic.segments)])
    return ids.take(panoptic.label_map)


def test_segments_are_numbered_by_class_and_identity() -> None:
    panoptic = PanopticStage(SETTINGS)(_detections([[4, 10, 12, 14]], (16, 32)), _tracks(5))
    ids = _map(panoptic)
    assert ids[0, 0] == SKY + 1
    assert ids[15, 31] == ROAD + 1
    assert ids[12, 8] == 5 * 32 + CAR + 1
    car = next(segment for segment in panoptic.segments if segment.is_thing)
    assert (car.track_id, car.class_index) == (5, CAR)
    assert car.score == pytest.approx(0.9)
    assert car.bbox_px == (4, 10, 8, 4)
    assert car.area_px == 32


def test_the_map_has_the_size_of_the_frame_and_boxes_follow() -> None:
    panoptic = PanopticStage(SETTINGS)(_detections([[4, 10, 12, 14]], (31, 65)), _tracks(1))
    assert panoptic.label_map.shape == (31, 65)
    assert panoptic.label_map.dtype == np.uint8
    for position, segment in enumerate(panoptic.segments, 1):
        ys, xs = np.nonzero(panoptic.label_map == position)
        x, y, width, height = segment.bbox_px
        assert (x, y, x + width, y + height) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert segment.area_px == len(xs)


def test_a_frame_without_objects_is_all_stuff() -> None:
    panoptic = PanopticStage(SETTINGS)(_detections([], (16, 32)), _tracks())
    assert {segment.class_index for segment in panoptic.segments} == {ROAD, SKY}
    assert (panoptic.label_map > 0).all()


def test_an_object_lost_when_the_map_shrinks_is_not_listed() -> None:
    panoptic = PanopticStage(SETTINGS)(_detections([[4, 10, 5, 11]], (2, 4)), _tracks(1))
    assert not any(segment.is_thing for segment in panoptic.segments)
    assert panoptic.label_map.max() == len(panoptic.segments)


def test_more_objects_than_a_byte_can_count() -> None:
    boxes = [[x, y, x + 1.0, y + 1.0] for y in range(8, 16) for x in range(32)]
    detections = _detections([[float(v) for v in box] for box in boxes], (16, 32))
    panoptic = PanopticStage(SETTINGS)(detections, _tracks(*range(1000, 1256)))
    assert panoptic.label_map.dtype == np.uint16
    assert sum(segment.is_thing for segment in panoptic.segments) == 256
    assert len({segment.segment_id for segment in panoptic.segments}) == len(panoptic.segments)


def test_an_identity_too_large_for_the_picture_format_is_an_error() -> None:
    with pytest.raises(StageError, match="track 600000"):
        PanopticStage(SETTINGS)(_detections([[4, 10, 12, 14]], (16, 32)), _tracks(600000))
