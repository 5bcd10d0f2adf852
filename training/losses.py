"""VPSNet's losses (Kim et al. 2020): semantic, proposals, box, mask, track and panoptic, computed together.

Legend: `B` pictures, `R` sampled regions over all pictures, `P` the positive ones, `K` classes, `n` true
objects of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, roi_align

from models.boxes import encode_boxes
from models.heads import region_levels
from models.panoptic import panoptic_logits
from models.semantic import at_stride_4
from models.vpsnet import VPSNet
from training.data.packing import VOID_CLASS
from training.samples import View

POSITIVE_IOU = 0.5
POSITIVE_FRACTION = 0.25
MASK_SIZE = 28
BOX_BETA = 1.0
_MAX_PANOPTIC_OBJECTS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Factors of the sum; a head with factor 0 gets no gradient."""

    semantic: float = 1.0
    rpn_class: float = 1.0
    rpn_box: float = 1.0
    box_class: float = 1.0
    box: float = 1.0
    mask: float = 1.0
    track: float = 0.5
    panoptic: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """The regions of one picture on which the box head learns."""

    boxes: Tensor
    """(r, 4); the positive ones come first."""
    labels: Tensor
    """(r,) int64: 0 = background, k = thing_ids[k - 1]."""
    matched: Tensor
    """(p,) int64: position of the true object of each positive region."""


def sample_regions(proposals: Tensor, view: View, labels: Tensor, count: int) -> Regions:
    """Draw `count` regions from proposals (P, 4) and the true boxes themselves, a quarter of them positive.

    labels (n,) of the view's objects, 1..T. Regions that lie mostly in a crowd are no background.
    """
    candidates = torch.cat((proposals, view.boxes))
    if len(view.boxes):
        best, match = box_iou(candidates, view.boxes).max(dim=1)
    else:
        best, match = candidates.new_zeros(len(candidates)), labels.new_zeros(len(candidates))
    positive = torch.nonzero(best >= POSITIVE_IOU)[:, 0]
    negative = torch.nonzero((best < POSITIVE_IOU) & ~_in_crowd(candidates, view.crowd_boxes))[:, 0]
    positive = _shuffled(positive)[: int(count * POSITIVE_FRACTION)]
    negative = _shuffled(negative)[: count - len(positive)]
    matched = match[positive]
    region_labels = torch.cat((labels[matched], labels.new_zeros(len(negative))))
    return Regions(candidates[torch.cat((positive, negative))], region_labels, matched)


def _shuffled(positions: Tensor) -> Tensor:
    # drawn on the CPU, so that every device draws the same
    return positions[torch.randperm(len(positions)).to(positions.device)]


def _in_crowd(boxes: Tensor, crowd: Tensor) -> Tensor:
    if not len(crowd):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    corners_low = torch.maximum(boxes[:, None, :2], crowd[None, :, :2])
    corners_high = torch.minimum(boxes[:, None, 2:], crowd[None, :, 2:])
    shared = (corners_high - corners_low).clamp(min=0).prod(dim=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).clamp(min=1e-6)
    return (shared / area[:, None]).max(dim=1).values > 0.5


class Losses:
    """All losses of a batch. Calling it runs the network."""

    def __init__(
        self, network: VPSNet, weights: LossWeights, regions_per_picture: int, class_weights: Tensor
    ) -> None:
        """`class_weights` (K,): how much a pixel of each class counts in the semantic loss."""
        self._network = network
        self._weights = weights
        self._regions = regions_per_picture
        things = network.architecture.thing_ids
        label_of = torch.zeros(network.architecture.num_classes, dtype=torch.int64)
        label_of[list(things)] = torch.arange(1, len(things) + 1)
        device = next(network.parameters()).device
        self._label_of = label_of.to(device)
        self._class_weights = class_weights.to(device)

    def __call__(
        self,
        current: Sequence[View],
        previous: Sequence[View] | None,
        flow: Tensor | None,
        flow_stride: int,
        *,
        objects: bool = True,
    ) -> dict[str, Tensor]:
        """Weighted losses by name. With `previous` views and flow (B, 2, h_f, w_f) the pyramid is fused.

        Without `objects` those of the semantic head alone.
        """
        images = torch.stack([view.image for view in current]).float()
        size = (images.shape[-2], images.shape[-1])
        levels = self._network.extract(images)
        reference: tuple[Tensor, ...] | None = None
        if previous is not None:
            assert flow is not None
            reference = self._network.extract(torch.stack([view.image for view in previous]).float())
            levels = self._network.fusion(levels, reference, flow, flow_stride)
        semantic = self._network.semantic(levels)
        truth = at_stride_4(torch.stack([view.semantic for view in current])).long()
        losses = {"semantic": semantic_loss(semantic, truth, self._class_weights)}
        if objects:
            losses |= self._object_losses(levels, reference, semantic, current, previous, size)
        factors = self._weights
        return {name: value * getattr(factors, name) for name, value in losses.items()}

    def _object_losses(
        self,
        levels: tuple[Tensor, ...],
        reference: tuple[Tensor, ...] | None,
        semantic: Tensor,
        current: Sequence[View],
        previous: Sequence[View] | None,
        size: tuple[int, int],
    ) -> dict[str, Tensor]:
        network = self._network
        labels = [self._label_of[view.classes] for view in current]
        targets = [{"boxes": view.boxes} for view in current]
        proposals, rpn = network.proposals(levels, size, [size] * len(current), targets)
        regions = [
            sample_regions(boxes.detach(), view, label, self._regions)
            for boxes, view, label in zip(proposals, current, labels, strict=True)
        ]
        readable = region_levels(levels)
        logits, codes = network.box(readable, [region.boxes for region in regions], size)
        losses = {"rpn_class": rpn["loss_objectness"], "rpn_box": rpn["loss_rpn_box_reg"]}
        losses |= _box_losses(logits, codes, regions, current)
        positives = [region.boxes[: len(region.matched)] for region in regions]
        losses["mask"] = self._mask_loss(readable, positives, regions, current, size)
        losses["panoptic"] = self._panoptic_loss(readable, semantic, current, labels, size)
        if previous is not None and reference is not None:
            embeddings = network.track(readable, positives, size)
            memory = network.track(region_levels(reference), [view.boxes for view in previous], size)
            losses["track"] = track_loss(embeddings, memory, regions, current, previous)
        return losses

    def _mask_loss(
        self,
        levels: tuple[Tensor, ...],
        positives: Sequence[Tensor],
        regions: Sequence[Regions],
        current: Sequence[View],
        size: tuple[int, int],
    ) -> Tensor:
        labels = torch.cat([region.labels[: len(region.matched)] for region in regions])
        logits = self._network.mask(levels, positives, labels, size)
        if not len(logits):
            return levels[0].sum() * 0.0
        truth = [
            roi_align(
                view.masks[:, None].float(),
                torch.cat((region.matched[:, None].to(boxes.dtype), boxes), dim=1),
                (MASK_SIZE, MASK_SIZE),
            )[:, 0]
            for view, region, boxes in zip(current, regions, positives, strict=True)
            if len(boxes)
        ]
        return functional.binary_cross_entropy_with_logits(logits, torch.cat(truth))

    def _panoptic_loss(
        self,
        levels: tuple[Tensor, ...],
        semantic: Tensor,
        current: Sequence[View],
        labels: Sequence[Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        architecture = self._network.architecture
        everything = [torch.arange(len(view.boxes), device=view.boxes.device) for view in current]
        picks = [_shuffled(positions)[:_MAX_PANOPTIC_OBJECTS] for positions in everything]
        boxes = [view.boxes[pick] for view, pick in zip(current, picks, strict=True)]
        chosen = torch.cat([label[pick] for label, pick in zip(labels, picks, strict=True)])
        masks = self._network.mask(levels, boxes, chosen, size).split([len(pick) for pick in picks])
        total = semantic.new_zeros(())
        for position, (view, pick) in enumerate(zip(current, picks, strict=True)):
            logits = panoptic_logits(
                semantic[position],
                view.boxes[pick] / 4,
                view.classes[pick],
                masks[position],
                architecture.stuff_ids,
                architecture.thing_ids,
            )
            target = panoptic_target(view, pick, architecture.stuff_ids)
            total = total + functional.cross_entropy(
                logits[None], target[None], ignore_index=VOID_CLASS, reduction="sum"
            ) / (target != VOID_CLASS).sum().clamp(min=1)
        return total / len(current)


def balanced_weights(shares: Tensor, exponent: float) -> Tensor:
    """Class weights (K,) from the classes' shares of all pixels: a pixel counts share ** -exponent.

    Scaled so that a pixel counts 1 on average; a class without pixels counts 1. Exponent 0: all 1.
    """
    present = shares > 0
    weights = torch.where(present, shares.clamp(min=1e-12) ** -exponent, torch.ones_like(shares))
    mean = (weights * shares)[present].sum() / shares.sum()
    return torch.where(present, weights / mean, torch.ones_like(shares)).float()


def semantic_loss(logits: Tensor, target: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy of logits (B, K, h, w) with the target (B, h, w), void left out.

    class_weights (K,): the mean is a weighted one.
    """
    return functional.cross_entropy(logits, target, class_weights, ignore_index=VOID_CLASS)


def panoptic_target(view: View, pick: Tensor, stuff_ids: Sequence[int]) -> Tensor:
    """(h / 4, w / 4) int64: position of the stuff class, or len(stuff) + position in `pick`; else 255."""
    position_of = torch.full((256,), VOID_CLASS, dtype=torch.int64, device=pick.device)
    position_of[list(stuff_ids)] = torch.arange(len(stuff_ids), device=pick.device)
    number_of = torch.full((len(view.boxes) + 1,), VOID_CLASS, dtype=torch.int64, device=pick.device)
    number_of[pick + 1] = len(stuff_ids) + torch.arange(len(pick), device=pick.device)
    number = number_of[at_stride_4(view.object_map).long()]
    stuff = position_of[at_stride_4(view.semantic).long()]
    target = torch.where(number == VOID_CLASS, stuff, number)
    return target


def _box_losses(
    logits: Tensor, codes: Tensor, regions: Sequence[Regions], current: Sequence[View]
) -> dict[str, Tensor]:
    labels = torch.cat([region.labels for region in regions])
    truth = [
        encode_boxes(view.boxes[region.matched], region.boxes[: len(region.matched)])
        for region, view in zip(regions, current, strict=True)
    ]
    rows = torch.nonzero(labels > 0)[:, 0]
    own = codes.reshape(len(codes), -1, 4)[rows, labels[rows]]
    box = functional.smooth_l1_loss(own, torch.cat(truth), beta=BOX_BETA, reduction="sum")
    return {"box_class": functional.cross_entropy(logits, labels), "box": box / max(len(labels), 1)}


def track_loss(
    embeddings: Tensor,
    memory: Tensor,
    regions: Sequence[Regions],
    current: Sequence[View],
    previous: Sequence[View],
) -> Tensor:
    """Cross-entropy of each positive region against the previous view's objects, column 0 = a new object.

    embeddings (P, E) of the positive regions and memory (sum of n, E), both picture after picture.
    """
    total = embeddings.sum() * 0.0 + memory.sum() * 0.0
    own = torch.split(embeddings, [len(region.matched) for region in regions])
    seen = torch.split(memory, [len(view.boxes) for view in previous])
    for mine, theirs, region, now, before in zip(own, seen, regions, current, previous, strict=True):
        if not len(mine):
            continue
        scores = torch.cat((mine.new_zeros(len(mine), 1), mine @ theirs.T), dim=1)
        same = now.instances[region.matched][:, None] == before.instances[None, :]
        # argmax over the columns of `scores`: the new-object column answers where no other does
        target = torch.cat((~same.any(1, keepdim=True), same), dim=1).float().argmax(1)
        total = total + functional.cross_entropy(scores, target)
    return total / len(current)
