"""VPSNet's panoptic head: semantic logits and objects become one map.

The logit of an object is the semantic logit of its class inside its box plus its pasted mask logit;
stuff keeps its semantic logits; the largest wins (UPSNet, Xiong et al. 2019, section 3.1).
Legend: `K` classes, `N` objects, `h w` map size. Boxes are in pixels of that map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.semantic import at_stride_4

VOID = -1


@dataclass(frozen=True, slots=True)
class Window:
    """The whole pixels that a box touches, inside the map."""

    rows: slice
    columns: slice

    @classmethod
    def of_each(cls, boxes: Tensor, size: tuple[int, int]) -> list[Window]:
        """Of boxes (N, 4): from floor(x1), floor(y1) to ceil(x2), ceil(y2), clipped to `size` (h, w)."""
        return [
            cls(_touched(y1, y2, size[0]), _touched(x1, x2, size[1])) for x1, y1, x2, y2 in boxes.tolist()
        ]


def _touched(low: float, high: float, length: int) -> slice:
    start = max(math.floor(low), 0)
    return slice(start, max(min(math.ceil(high), length), start))


def paste_mask(mask_logits: Tensor, box: Tensor, window: Window) -> Tensor:
    """Mask logits (M, M) of a box, resized bilinearly onto the pixels of a window of it."""
    ys = torch.arange(window.rows.start, window.rows.stop, device=box.device)
    xs = torch.arange(window.columns.start, window.columns.stop, device=box.device)
    return _pasted(mask_logits[None], box[None], ys, xs)[0]


def _pasted(mask_logits: Tensor, boxes: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Mask logits (N, M, M) of boxes (N, 4) at the pixels of rows ys (h,) and columns xs (w,): (N, h, w).

    A mask's outer edges lie on those of its box; a pixel takes the value at its centre.
    """
    x1, y1, x2, y2 = (side[:, None] for side in boxes.float().unbind(1))
    down = 2 * (ys + 0.5 - y1) / (y2 - y1) - 1
    across = 2 * (xs + 0.5 - x1) / (x2 - x1) - 1
    shape = (len(boxes), len(ys), len(xs))
    grid = torch.stack((across[:, None, :].expand(shape), down[:, :, None].expand(shape)), dim=-1)
    return functional.grid_sample(
        mask_logits.float()[:, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )[:, 0]


def panoptic_logits(
    semantic_logits: Tensor,
    boxes: Tensor,
    classes: Tensor,
    mask_logits: Tensor,
    stuff_ids: Sequence[int],
    thing_ids: Sequence[int],
    *,
    unknown: bool = False,
) -> Tensor:
    """All channels that compete for a pixel, for training: stuff, then objects, then `unknown` if wanted.

    semantic_logits (K, h, w), boxes (N, 4), classes (N,), mask_logits (N, M, M)
    -> (stuff + N [+ 1], h, w). The unknown channel is UPSNet's: the best thing class of the pixel less
    the best object's semantic part.
    """
    ys = torch.arange(semantic_logits.shape[-2], device=boxes.device)
    xs = torch.arange(semantic_logits.shape[-1], device=boxes.device)
    x1, y1, x2, y2 = (side[:, None] for side in boxes.unbind(1))
    rows, columns = (ys >= y1.floor()) & (ys < y2.ceil()), (xs >= x1.floor()) & (xs < x2.ceil())
    inside = rows[:, :, None] & columns[:, None, :]
    semantic_part = semantic_logits[classes] * inside
    mask_part = _pasted(mask_logits, boxes, ys, xs).to(semantic_part.dtype) * inside
    channels = [semantic_logits[list(stuff_ids)], semantic_part + mask_part]
    if unknown:
        best_object = semantic_part.max(0).values if len(boxes) else torch.zeros_like(semantic_logits[0])
        channels.append((semantic_logits[list(thing_ids)].max(0).values - best_object)[None])
    return torch.cat(channels)


def remove_hidden_masks(
    boxes: Tensor, classes: Tensor, mask_logits: Tensor, size: tuple[int, int], overlap_max: float
) -> list[int]:
    """Positions of the objects to keep, given in descending score (VPSNet's mask removal).

    An object goes when its mask is empty, or when more than `overlap_max` of it lies under masks of its
    own class that were kept before it.
    """
    taken: dict[int, Tensor] = {}
    kept: list[int] = []
    windows = Window.of_each(boxes, size)
    for position, (window, category) in enumerate(zip(windows, classes.tolist(), strict=True)):
        mask = paste_mask(mask_logits[position], boxes[position], window) > 0
        if category not in taken:
            taken[category] = torch.zeros(size, dtype=torch.bool, device=boxes.device)
        below = taken[category][window.rows, window.columns]
        area = int(mask.sum())
        if area == 0 or int((mask & below).sum()) > overlap_max * area:
            continue
        below |= mask
        kept.append(position)
    return kept


@dataclass(frozen=True, slots=True)
class PanopticRules:
    """What shapes the map at inference."""

    stuff_ids: tuple[int, ...]
    thing_ids: tuple[int, ...]
    min_stuff_area_px: int = 2048
    min_stuff_iou: float = 0.0
    unknown_class: bool = False


def merge(
    semantic_logits: Tensor, boxes: Tensor, classes: Tensor, mask_logits: Tensor, rules: PanopticRules
) -> Tensor:
    """The panoptic map (h, w) int64: VOID, a stuff class 0..K-1, or K + position of an object.

    semantic_logits (K, h, w); boxes (N, 4), classes (N,), mask_logits (N, M, M) in descending score.
    Works for N = 0. An object that wins no pixel simply does not appear.
    """
    num_classes, height, width = semantic_logits.shape
    best, owner = _best_of(semantic_logits, rules.stuff_ids)
    thing_best, thing_class = _best_of(semantic_logits, rules.thing_ids)
    semantic_class = torch.where(thing_best > best, thing_class, owner)
    if rules.unknown_class:
        owner, best = _let_unknown_compete(semantic_logits, thing_best, boxes, classes, owner, best)
    windows = Window.of_each(boxes, (height, width))
    for position, (window, category) in enumerate(zip(windows, classes.tolist(), strict=True)):
        logit = semantic_logits[category, window.rows, window.columns]
        logit = logit + paste_mask(mask_logits[position], boxes[position], window)
        so_far = best[window.rows, window.columns]
        owner[window.rows, window.columns].masked_fill_(logit > so_far, num_classes + position)
        torch.maximum(so_far, logit, out=so_far)
    owner = _yield_to_stuff(owner, semantic_class, classes, num_classes, rules)
    doubtful = torch.zeros(num_classes, dtype=torch.bool, device=owner.device)
    if rules.min_stuff_iou > 0:
        doubtful = _doubtful_stuff(owner, semantic_logits, rules)
    return _drop_stuff(owner, doubtful, rules.min_stuff_area_px)


def _best_of(semantic_logits: Tensor, ids: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The largest logit of each pixel among some classes (h, w), and the class it belongs to."""
    first = ids[0]
    if tuple(ids) == tuple(range(first, first + len(ids))):  # neighbours, as usual: nothing is copied
        best, winner = semantic_logits[first : first + len(ids)].max(0)
        return best, winner + first
    chosen = torch.as_tensor(ids, device=semantic_logits.device)
    best, winner = semantic_logits.index_select(0, chosen).max(0)
    return best, chosen[winner]


def _let_unknown_compete(
    semantic_logits: Tensor,
    unknown: Tensor,
    boxes: Tensor,
    classes: Tensor,
    owner: Tensor,
    best: Tensor,
) -> tuple[Tensor, Tensor]:
    """The unknown logit less the best object's semantic part wins where it is the largest."""
    size = (unknown.shape[0], unknown.shape[1])
    best_object = torch.full_like(unknown, -torch.inf)
    covered = torch.zeros_like(unknown)
    for window, category in zip(Window.of_each(boxes, size), classes.tolist(), strict=True):
        part = semantic_logits[category, window.rows, window.columns]
        view = best_object[window.rows, window.columns]
        torch.maximum(view, part, out=view)
        covered[window.rows, window.columns] += 1
    # outside a box an object's semantic part is 0, and so takes part in the maximum
    best_object = torch.where(covered < len(boxes), best_object.clamp(min=0.0), best_object)
    unknown = unknown - (best_object if len(boxes) else 0.0)
    wins = unknown > best
    return torch.where(wins, VOID, owner), torch.where(wins, unknown, best)


def _yield_to_stuff(
    owner: Tensor, semantic_class: Tensor, classes: Tensor, num_classes: int, rules: PanopticRules
) -> Tensor:
    """Give an object's pixels to a stuff class that holds at least half of them semantically."""
    num_owners = 1 + num_classes + len(classes)  # 0 = void, 1 + class, then the objects
    pairs = (owner + 1) * num_classes + semantic_class
    votes = torch.bincount(pairs.flatten(), minlength=num_owners * num_classes)
    votes = votes.reshape(num_owners, num_classes)[1 + num_classes :]
    most, majority = votes.max(1)
    stuff = torch.isin(majority, torch.as_tensor(rules.stuff_ids, device=owner.device))
    yields = (most > 0) & (2 * most >= votes.sum(1)) & (majority != classes) & stuff
    if not yields.any():
        return owner
    new_owner = torch.arange(-1, num_owners - 1, device=owner.device)
    new_owner[1 + num_classes :][yields] = majority[yields]
    return new_owner[owner + 1]


def _doubtful_stuff(owner: Tensor, semantic_logits: Tensor, rules: PanopticRules) -> Tensor:
    """(K,) bool: the stuff whose IoU with the truth is expected to be lower than the rules allow.

    If each pixel is of class c with probability p_c, a segment of c shares with the truth, on average, the
    sum of p_c inside it, and both together cover its own pixels and the sum of p_c outside it.
    """
    stuff = torch.as_tensor(rules.stuff_ids, device=owner.device)
    probability = at_stride_4(semantic_logits).softmax(0)[stuff]
    inside = at_stride_4(owner) == stuff[:, None, None]
    shared = (probability * inside).sum((1, 2))
    expected_iou = shared / (inside.sum((1, 2)) + probability.sum((1, 2)) - shared)
    doubtful = torch.zeros(len(semantic_logits), dtype=torch.bool, device=owner.device)
    doubtful[stuff] = expected_iou < rules.min_stuff_iou
    return doubtful


def _drop_stuff(owner: Tensor, doubtful: Tensor, min_area_px: int) -> Tensor:
    """Void in place of the stuff that is doubtful, (K,) bool, or covers fewer pixels."""
    num_classes = len(doubtful)
    position = (owner + 1).clamp(max=num_classes + 1)  # 0 = void, 1 + class, last = any object
    goes = torch.bincount(position.flatten(), minlength=num_classes + 2) < min_area_px
    goes[1:-1] |= doubtful
    goes[0] = goes[-1] = False
    return torch.where(goes[position], VOID, owner)
