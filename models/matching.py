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


def assign_slots(matching: Tensor) -> list[int]:
    """The slot of each detection, or NEW.

    matching (N, 1 + S). Each detection asks for its best column; of those that ask for the same slot
    the best gets it (the first of equals), and the others are new objects: no second choice.
    """
    if matching.shape[0] == 0:
        return []
    best, columns = matching.max(dim=1)
    owners: dict[int, int] = {}
    for detection, (value, column) in enumerate(zip(best.tolist(), columns.tolist(), strict=True)):
        slot = column - 1
        if slot != NEW and (slot not in owners or value > best[owners[slot]].item()):
            owners[slot] = detection
    slots = [NEW] * matching.shape[0]
    for slot, detection in owners.items():
        slots[detection] = slot
    return slots
