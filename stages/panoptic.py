"""panoptic: detections and their identities -> one map at the size of the frame. A pure function."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn import functional

from configs.categories import stuff_ids, thing_ids
from configs.errors import StageError
from configs.schema import Settings
from models.panoptic import PanopticRules, merge
from stages.messages import Detections, Panoptic, Segment, Size, Tracks

_MAX_SEGMENT_ID = 2**24 - 1


class PanopticStage:
    """VPSNet's panoptic head, and the numbering of segments.

    A segment's id is track_id * B + class + 1, with track_id 0 for stuff and B the smallest power of two
    above the number of classes: constant over the stream, different for every object and stuff class.
    """

    def __init__(self, settings: Settings) -> None:
        categories = settings.categories
        self._num_classes = len(categories)
        self._id_base = 1 << len(categories).bit_length()
        self._rules = PanopticRules(
            stuff_ids=stuff_ids(categories),
            thing_ids=thing_ids(categories),
            min_stuff_area_px=settings.panoptic.min_stuff_area_px,
            min_stuff_iou=settings.panoptic.min_stuff_iou,
            unknown_class=settings.panoptic.unknown_class,
        )

    @torch.inference_mode()
    def __call__(self, detections: Detections, tracks: Tracks) -> Panoptic:
        """The map is decided at the network's size and enlarged by nearest neighbour."""
        classes = torch.from_numpy(tracks.classes).to(detections.boxes.device)
        semantic = at_network_size(detections.semantic_logits, detections.network_size)
        owner = merge(semantic, detections.boxes, classes, detections.mask_logits, self._rules)
        # one up, so that void is 0; int16 holds all classes and objects, and cv2 resizes it
        labels = _enlarged((owner + 1).to(torch.int16).cpu().numpy(), detections.frame_size)
        return self._numbered(labels, detections, tracks)

    def _numbered(self, labels: np.ndarray, detections: Detections, tracks: Tracks) -> Panoptic:
        """labels (H, W): 0 = void, 1 + class, 1 + K + position of an object."""
        areas, boxes = _extents(labels, self._num_classes + 1 + len(tracks.track_ids))
        present = np.flatnonzero(areas[1:]) + 1
        number_of = np.zeros(len(areas), np.uint8 if len(present) < 256 else np.uint16)
        number_of[present] = np.arange(1, len(present) + 1)
        scores = detections.scores.cpu().numpy()
        segments = tuple(
            self._segment(label - 1, scores, tracks, int(areas[label]), boxes[label])
            for label in present.tolist()
        )
        return Panoptic(
            index=detections.index,
            label_map=number_of[labels],
            segments=segments,
            reunion=tracks.reunion,
        )

    def _segment(
        self, label: int, scores: np.ndarray, tracks: Tracks, area_px: int, bbox_px: tuple[int, int, int, int]
    ) -> Segment:
        is_thing = label >= self._num_classes
        position = label - self._num_classes
        class_index = int(tracks.classes[position]) if is_thing else label
        track_id = int(tracks.track_ids[position]) if is_thing else 0
        segment_id = track_id * self._id_base + class_index + 1
        if segment_id > _MAX_SEGMENT_ID:
            raise StageError(f"track {track_id} has no place in a 24-bit panoptic PNG; start a new stream")
        return Segment(
            segment_id=segment_id,
            class_index=class_index,
            is_thing=is_thing,
            track_id=track_id if is_thing else None,
            score=float(scores[position]) if is_thing else None,
            area_px=area_px,
            bbox_px=bbox_px,
        )


def at_network_size(semantic_logits: torch.Tensor, size: Size) -> torch.Tensor:
    """Logits (1, K, H / 4, W / 4) of the padded input -> (K, h, w) of the picture of `size` (h, w) in it."""
    height, width = size
    full = functional.interpolate(semantic_logits, scale_factor=4, mode="bilinear", align_corners=False)
    return full[0, :, :height, :width]


def _enlarged(labels: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(labels, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def _extents(labels: np.ndarray, count: int) -> tuple[np.ndarray, dict[int, tuple[int, int, int, int]]]:
    """Areas (count,) of the labels 0..count - 1, and the box x, y, width, height of each that is there."""
    height, width = labels.shape
    wide = labels.astype(np.int64)
    per_row = np.bincount((wide + np.arange(height)[:, None] * count).ravel(), minlength=height * count)
    per_column = np.bincount((wide + np.arange(width) * count).ravel(), minlength=width * count)
    per_row, per_column = per_row.reshape(height, count), per_column.reshape(width, count)
    areas = per_row.sum(0)
    boxes = {}
    for label in np.flatnonzero(areas).tolist():
        rows, columns = np.flatnonzero(per_row[:, label]), np.flatnonzero(per_column[:, label])
        x, y = int(columns[0]), int(rows[0])
        boxes[label] = (x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)
    return areas, boxes
