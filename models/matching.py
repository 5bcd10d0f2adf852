"""VPSNet's identity assignment: the matching score, and who gets which remembered object.

Legend: `N` detections, `S` memory slots. A slot is a position in memory, never an identity.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

NEW = -1
"""Instead of a slot: the detection is an object not seen before."""


def similarity(embeddings: Tensor, memory: Tensor) -> Tensor:
    """(N, E), (S, E) -> (N, 1 + S) dot products; column 0, "a new object", is zero."""
    return torch.cat((embeddings.new_zeros(embeddings.shape[0], 1), embeddings @ memory.T), dim=1)


def matching_scores(
    similarities: Tensor,
    scores: Tensor,
    boxes: Tensor,
    classes: Tensor,
    memory_boxes: Tensor,
    memory_classes: Tensor,
    *,
    score_weight: float,
    iou_weight: float,
    class_weight: float,
) -> Tensor:
    """How well each detection fits each slot, column 0 = none of them (MaskTrack R-CNN, equation 5).

    similarities (N, 1 + S), scores (N,), boxes (N, 4), classes (N,), memory_boxes (S, 4),
    memory_classes (S,) -> (N, 1 + S). The new-object column counts as the same class and overlaps nothing.
    """
    count = scores.shape[0]
    overlap = torch.cat((boxes.new_zeros(count, 1), box_iou(boxes, memory_boxes)), dim=1)
    same = (classes[:, None] == memory_classes[None, :]).float()
    same = torch.cat((same.new_ones(count, 1), same), dim=1)
    return (
        torch.log_softmax(similarities, dim=1)
        + score_weight * torch.log(scores)[:, None]
        + iou_weight * overlap
        + class_weight * same
    )


def within_reach(boxes: Tensor, memory_boxes: Tensor, reach: float) -> Tensor:
    """(N, 4), (S, 4) -> (N, S) bool: is the detection's centre near where the object was last seen?

    Near is up to `reach` diagonals of the object's own box.
    """
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    last_centres = (memory_boxes[:, :2] + memory_boxes[:, 2:]) / 2
    diagonals = (memory_boxes[:, 2:] - memory_boxes[:, :2]).norm(dim=1)
    near: Tensor = torch.cdist(centres, last_centres) <= reach * diagonals
    return near


def assign_slots(matching: Tensor, *, second_choice: bool) -> list[int]:
    """The slot of each detection, or NEW.

    matching (N, 1 + S). The best pairs of detection and column go first (the first of equals). A
    detection whose slot has gone to another is a new object, as in the paper; with `second_choice` it
    takes its next best column that is still free, and column 0, "a new object", always is.
    """
    count, columns = matching.shape
    slots: dict[int, int] = {}
    taken: set[int] = set()
    for pair in matching.flatten().argsort(descending=True, stable=True).tolist():
        detection, column = divmod(pair, columns)
        slot = column - 1
        if detection in slots or (slot in taken and second_choice):
            continue
        slots[detection] = NEW if slot in taken else slot
        if slot != NEW:
            taken.add(slot)
    return [slots[detection] for detection in range(count)]
