"""Boxes: coding against a reference box, and what is kept of scored boxes.

A box is x1, y1, x2, y2 with width = x2 - x1. Legend: `N R` boxes, `T` thing classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image, nms

CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Inverse standard deviations of the four codes (Fast R-CNN; VPSNet's .1, .1, .2, .2)."""
_MAX_LOG_SCALE = math.log(1000.0 / 16)  # a box never grows by more than this, whatever the network says


def encode_boxes(boxes: Tensor, references: Tensor) -> Tensor:
    """Codes (N, 4) of `boxes` relative to `references`, both (N, 4): dx, dy, dw, dh, weighted."""
    size = references[:, 2:] - references[:, :2]
    center = (references[:, 2:] + references[:, :2]) / 2
    box_size = boxes[:, 2:] - boxes[:, :2]
    box_center = (boxes[:, 2:] + boxes[:, :2]) / 2
    codes = torch.cat(((box_center - center) / size, torch.log(box_size / size)), dim=1)
    return codes * codes.new_tensor(CODE_WEIGHTS)


def decode_boxes(codes: Tensor, references: Tensor) -> Tensor:
    """The inverse of `encode_boxes`: codes (N, 4), references (N, 4) -> boxes (N, 4)."""
    codes = codes.float() / codes.new_tensor(CODE_WEIGHTS, dtype=torch.float32)
    size = references[:, 2:] - references[:, :2]
    center = (references[:, 2:] + references[:, :2]) / 2 + codes[:, :2] * size
    half = size * torch.exp(codes[:, 2:].clamp(max=_MAX_LOG_SCALE)) / 2
    return torch.cat((center - half, center + half), dim=1)


def select_objects(
    class_logits: Tensor,
    codes: Tensor,
    proposals: Tensor,
    size: tuple[int, int],
    *,
    score_threshold: float,
    nms_iou: float,
    max_objects: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The objects worth keeping of one picture (VPSNet's inference, section 1.9 of its facts).

    class_logits (R, 1 + T), column 0 = background; codes (R, (1 + T) * 4), class-specific; proposals
    (R, 4); size (h, w) of the picture. All (proposal, class) pairs above the threshold, suppressed
    whatever their class. Returns boxes (N, 4), scores (N,) descending, labels (N,) in 1..T.
    """
    probabilities = torch.softmax(class_logits.float(), dim=1)
    rows, labels = torch.nonzero(probabilities[:, 1:] > score_threshold, as_tuple=True)
    labels = labels + 1
    scores = probabilities[rows, labels]
    picked = codes.reshape(codes.shape[0], -1, 4)[rows, labels]
    boxes = clip_boxes_to_image(decode_boxes(picked, proposals[rows]), size)
    large = ((boxes[:, 2:] - boxes[:, :2]) >= 1.0).all(dim=1)
    boxes, scores, labels = boxes[large], scores[large], labels[large]
    kept = nms(boxes, scores, nms_iou)[:max_objects]
    return boxes[kept], scores[kept], labels[kept]
