"""The per-frame network cut into parts that take and give tensors alone, so that each can be a file.

    features     picture -> P2..P6
    fusion       P2..P6 of t and (unfused) of t-1, flow -> fused P2..P6
    detection    fused P2..P6 -> semantic logits, objects

The cuts are where the pipeline has them: the unfused pyramid is needed again for the next frame, and flow
comes from outside. All sizes but the number of objects are fixed, those of anchors and levels included.
Legend: `N` objects, `K` classes, `E` embedding, `H W` network input (multiples of 32).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import clip_boxes_to_image, nms, remove_small_boxes

from configs.schema import DetectSettings
from models.boxes import select_objects
from models.heads import ProposalHead, Size, region_levels
from models.vpsnet import VPSNet

LEVELS = ("p2", "p3", "p4", "p5", "p6")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A part of the network with the names that its file gives to what goes in and comes out."""

    name: str
    module: nn.Module
    """Takes the inputs one by one and returns a tuple of the outputs."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    per_object: frozenset[str] = frozenset()
    """Those outputs whose first axis counts objects."""


def features_part(network: VPSNet) -> Part:
    """RGB (1, 3, H, W), 0..255 -> P2..P6; the normalisation is inside."""
    return Part(name="features", module=_Features(network), inputs=("image",), outputs=LEVELS)


def fusion_part(network: VPSNet, flow_stride: int) -> Part:
    """P2..P6, P2..P6 of the frame before, flow (1, 2, H / stride, W / stride) -> fused P2..P6."""
    return Part(
        name="fusion",
        module=_Fusion(network, flow_stride),
        inputs=(*LEVELS, *(f"previous_{level}" for level in LEVELS), "flow"),
        outputs=tuple(f"fused_{level}" for level in LEVELS),
    )


def detection_part(network: VPSNet, rules: DetectSettings, input_size: Size, picture_size: Size) -> Part:
    """P2..P6 -> what `stages.detect` finds, before hidden objects are removed, which is a loop over them.

    `picture_size` (h, w) is the picture inside the padded `input_size`; boxes end at its border.
    """
    per_object = ("boxes", "scores", "classes", "mask_logits", "embeddings")
    return Part(
        name="detection",
        module=_Detection(network, rules, input_size, picture_size),
        inputs=LEVELS,
        outputs=("semantic_logits", *per_object),
        per_object=frozenset(per_object),
    )


class _Features(nn.Module):
    def __init__(self, network: VPSNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network.extract(image)


class _Fusion(nn.Module):
    def __init__(self, network: VPSNet, flow_stride: int) -> None:
        super().__init__()
        self.fusion = network.fusion
        self.flow_stride = flow_stride

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        levels, previous, flow = inputs[:5], inputs[5:10], inputs[10]
        fused: tuple[Tensor, ...] = self.fusion(levels, previous, flow, self.flow_stride)
        return fused


class _Detection(nn.Module):
    class_of_label: Tensor

    def __init__(self, network: VPSNet, rules: DetectSettings, input_size: Size, picture_size: Size) -> None:
        super().__init__()
        self.network = network
        self.rules = rules
        self.input_size, self.picture_size = input_size, picture_size
        self.register_buffer("class_of_label", torch.tensor([-1, *network.architecture.thing_ids]))

    def forward(self, *levels: Tensor) -> tuple[Tensor, ...]:
        network, rules, size = self.network, self.rules, self.input_size
        semantic = network.semantic(levels)
        proposals = propose(network.proposals, levels, size, self.picture_size)
        readable = region_levels(levels)
        logits, codes = network.box(readable, [proposals], size)
        boxes, scores, labels = select_objects(
            logits,
            codes,
            proposals,
            self.picture_size,
            score_threshold=rules.score_threshold,
            nms_iou=rules.nms_iou,
            max_objects=rules.max_objects,
        )
        masks = network.mask.of_regions(readable, [boxes], labels, size)
        embeddings = network.track.of_regions(readable, [boxes], size)
        return semantic, boxes, scores, self.class_of_label[labels], masks, embeddings


def propose(head: ProposalHead, levels: Sequence[Tensor], input_size: Size, picture_size: Size) -> Tensor:
    """The proposals (P, 4) of one picture, as the head itself makes them.

    torchvision's own way to suppress boxes level by level depends on how many there are, which cannot be
    exported: here each level is suppressed alone, and then the best of all are taken.
    """
    rpn = head.rpn
    scores, codes = rpn.head(list(levels))
    blank = levels[0].new_zeros(1).expand(1, 3, *input_size)
    anchors = rpn.anchor_generator(ImageList(blank, [picture_size]), list(levels))
    counts = [level.numel() for level in scores]
    flat_scores, flat_codes = concat_box_prediction_layers(scores, codes)
    boxes = rpn.box_coder.decode(flat_codes, anchors).reshape(-1, 4)
    kept_boxes, kept_scores = [], []
    for of_level, score in zip(boxes.split(counts), flat_scores.flatten().split(counts), strict=True):
        best, positions = score.topk(min(rpn.pre_nms_top_n(), len(score)))
        inside = clip_boxes_to_image(of_level[positions], picture_size)
        large = remove_small_boxes(inside, rpn.min_size)
        inside, best = inside[large], best[large].sigmoid()
        kept = nms(inside, best, rpn.nms_thresh)
        kept_boxes.append(inside[kept])
        kept_scores.append(best[kept])
    order = torch.cat(kept_scores).argsort(descending=True)[: rpn.post_nms_top_n()]
    return torch.cat(kept_boxes)[order]
