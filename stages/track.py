"""track: detections of t and the memory after t-1 -> identities, and the memory after t."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from configs.schema import Settings
from models.matching import NEW, assign_slots, matching_scores, similarity, within_reach
from stages.messages import Detections, Reunion, Size, TrackMemory, Tracks

_EDGE_PX = 2.0
"""Network pixels between a box and an edge of the picture that it is said to touch."""


class TrackStage:
    """VPSNet's matching; the memory is an argument and a result, never an attribute."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.track

    def __call__(self, detections: Detections, memory: TrackMemory | None) -> tuple[Tracks, TrackMemory]:
        """`memory` is None before the first frame of a stream."""
        if memory is None:
            memory = _empty_memory(detections)
        before, memory = memory, self._across_gap(memory, detections)
        memory = self._without_stale(memory, detections.index, detections.network_size)
        slots = np.array(self._assigned(detections, memory), dtype=np.int64)
        new = slots == NEW
        track_ids = np.empty(len(slots), np.int64)
        track_ids[~new] = memory.track_ids[slots[~new]]
        track_ids[new] = memory.next_track_id + np.arange(int(new.sum()))
        classes = detections.classes.cpu().numpy().copy()
        classes[~new] = memory.classes[slots[~new]]
        tracks = Tracks(
            index=detections.index,
            track_ids=track_ids,
            classes=classes,
            reunion=_reunion(before, track_ids) if detections.gap_s else None,
        )
        return tracks, _updated(memory, slots, tracks, detections)

    def _assigned(self, detections: Detections, memory: TrackMemory) -> list[int]:
        scores = self._scores(detections, memory)
        if self._settings.reach:
            near = within_reach(detections.boxes.cpu(), torch.from_numpy(memory.boxes), self._settings.reach)
            near |= torch.from_numpy(memory.last_seen < memory.gap_index)
            scores[:, 1:][~near] = -torch.inf
        return assign_slots(scores, second_choice=self._settings.second_choice)

    def _scores(self, detections: Detections, memory: TrackMemory) -> torch.Tensor:
        # on the CPU, whatever the device: a few hundred numbers, and the same result everywhere
        return matching_scores(
            similarity(detections.embeddings.cpu(), torch.from_numpy(memory.embeddings)),
            detections.scores.cpu(),
            detections.boxes.cpu(),
            detections.classes.cpu(),
            torch.from_numpy(memory.boxes),
            torch.from_numpy(memory.classes),
            score_weight=self._settings.score_weight,
            iou_weight=self._settings.iou_weight,
            class_weight=self._settings.class_weight,
        )

    def _across_gap(self, memory: TrackMemory, detections: Detections) -> TrackMemory:
        """What of the memory may be found again after the time that is missing before the frame."""
        if not detections.gap_s:
            return memory
        if detections.gap_s > self._settings.gap_ttl_s:
            memory = _selected(memory, np.zeros(len(memory.last_seen), bool))
        return dataclasses.replace(memory, gap_index=detections.index)

    def _without_stale(self, memory: TrackMemory, index: int, size: Size) -> TrackMemory:
        unseen = index - memory.last_seen
        keep = np.ones(len(unseen), bool)
        if self._settings.ttl_frames:
            keep &= unseen <= self._settings.ttl_frames
        if self._settings.edge_ttl_frames:
            keep &= (unseen <= self._settings.edge_ttl_frames) | ~_at_the_edge(memory.boxes, size)
        return memory if keep.all() else _selected(memory, keep)


def _reunion(before: TrackMemory, track_ids: np.ndarray) -> Reunion:
    """`before`: the memory after the last frame before the gap."""
    seen_last = before.track_ids[before.last_seen == before.index]
    return Reunion(
        num_before=len(seen_last),
        num_found_again=int(np.isin(track_ids, seen_last).sum()),
        num_new=int((track_ids >= before.next_track_id).sum()),
    )


def _empty_memory(detections: Detections) -> TrackMemory:
    return TrackMemory(
        index=detections.index - 1,
        next_track_id=1,
        track_ids=np.zeros(0, np.int64),
        classes=np.zeros(0, np.int64),
        boxes=np.zeros((0, 4), np.float32),
        embeddings=np.zeros((0, detections.embeddings.shape[1]), np.float32),
        last_seen=np.zeros(0, np.int64),
    )


def _at_the_edge(boxes: np.ndarray, size: Size) -> np.ndarray:
    """boxes (S, 4) -> (S,) bool: do they end at an edge of the picture (h, w)?"""
    height, width = size
    room = np.concatenate((boxes[:, :2], np.array([width, height], np.float32) - boxes[:, 2:]), axis=1)
    at_edge: np.ndarray = room.min(axis=1) < _EDGE_PX
    return at_edge


def _selected(memory: TrackMemory, keep: np.ndarray) -> TrackMemory:
    return TrackMemory(
        index=memory.index,
        next_track_id=memory.next_track_id,
        track_ids=memory.track_ids[keep],
        classes=memory.classes[keep],
        boxes=memory.boxes[keep],
        embeddings=memory.embeddings[keep],
        last_seen=memory.last_seen[keep],
        gap_index=memory.gap_index,
    )


def _updated(memory: TrackMemory, slots: np.ndarray, tracks: Tracks, detections: Detections) -> TrackMemory:
    """The memory with what this frame showed: matched slots renewed, new objects appended."""
    new = slots == NEW
    boxes, embeddings = detections.boxes.cpu().numpy(), detections.embeddings.cpu().numpy()
    kept_boxes, kept_embeddings = memory.boxes.copy(), memory.embeddings.copy()
    last_seen = memory.last_seen.copy()
    kept_boxes[slots[~new]] = boxes[~new]
    kept_embeddings[slots[~new]] = embeddings[~new]
    last_seen[slots[~new]] = detections.index
    return TrackMemory(
        index=detections.index,
        next_track_id=memory.next_track_id + int(new.sum()),
        track_ids=np.concatenate((memory.track_ids, tracks.track_ids[new])),
        classes=np.concatenate((memory.classes, tracks.classes[new])),
        boxes=np.concatenate((kept_boxes, boxes[new])),
        embeddings=np.concatenate((kept_embeddings, embeddings[new])),
        last_seen=np.concatenate((last_seen, np.full(int(new.sum()), detections.index))),
        gap_index=memory.gap_index,
    )
