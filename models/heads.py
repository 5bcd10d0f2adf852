"""Proposals, and the heads that look at one region each: box, mask, appearance.

Parameter names inside each head are those of torchvision's Mask R-CNN where it has the same part.
Legend: `B` pictures, `R` regions over all pictures, `C` channels, `T` thing classes, `E` embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from models.pyramid import STRIDES
from models.region_sampling import SAMPLES_PER_BIN, pool_regions

Size = tuple[int, int]


def _named(levels: Sequence[Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((str(position), x) for position, x in enumerate(levels))


class _FloatRPNHead(RPNHead):  # type: ignore[misc]  # torchvision has no stubs
    """torchvision's head; scores and codes leave it as float32, since they decide on pixels of boxes."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, codes = super().forward(x)
        return [score.float() for score in scores], [code.float() for code in codes]


class ProposalHead(nn.Module):
    """Region proposal network (Ren et al. 2015) over P2..P6: one anchor scale, three ratios."""

    def __init__(
        self, channels: int, anchor_scale: float, proposals_before_nms: int, proposals: int, nms_iou: float
    ) -> None:
        super().__init__()
        sides = tuple((anchor_scale * stride,) for stride in STRIDES)
        anchors = AnchorGenerator(sides, ((0.5, 1.0, 2.0),) * len(STRIDES))
        self.rpn = RegionProposalNetwork(
            anchors,
            _FloatRPNHead(channels, 3),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=256,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 2 * proposals_before_nms, "testing": proposals_before_nms},
            post_nms_top_n={"training": 2 * proposals, "testing": proposals},
            nms_thresh=nms_iou,
        )

    def forward(
        self,
        levels: Sequence[Tensor],
        padded_size: Size,
        sizes: Sequence[Size],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """P2..P6 -> per picture proposals (P, 4); in training also the losses, from targets' "boxes".

        `padded_size` is the network's input, `sizes` (h, w) the pictures inside, to which boxes are clipped.
        """
        # only the shape of the pictures is read; a tensor of them need not exist
        blank = levels[0].new_zeros(1).expand(len(sizes), 3, *padded_size)
        proposals, losses = self.rpn(ImageList(blank, list(sizes)), _named(levels), targets)
        return proposals, losses


def region_levels(levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """P2..P6 -> P2..P5 as RoIAlign reads them, float32 and contiguous: made once for all three heads."""
    return tuple(x.float().contiguous() for x in levels[:4])


class RegionPooler(nn.Module):
    """RoIAlign with 2 x 2 samples a bin, each region from the level that fits its size."""

    def __init__(self, output_size: int, canonical_px: float) -> None:
        super().__init__()
        self.align = MultiScaleRoIAlign(
            ["0", "1", "2", "3"],
            output_size,
            sampling_ratio=SAMPLES_PER_BIN,
            canonical_scale=round(canonical_px),
        )

    def forward(self, levels: Sequence[Tensor], boxes: Sequence[Tensor], padded_size: Size) -> Tensor:
        """`region_levels` of P2..P6, and boxes per picture -> (R, C, S, S), float32."""
        with torch.autocast(levels[0].device.type, enabled=False):
            if levels[0].requires_grad and levels[0].device.type == "cpu":
                return pool_regions(levels, boxes, self.align.output_size[0], self.align.canonical_scale)
            pooled: Tensor = self.align(
                _named(levels), [x.float() for x in boxes], [padded_size] * len(boxes)
            )
        return pooled


class BoxHead(nn.Module):
    """Class and class-specific box of each region: two fully connected layers."""

    def __init__(self, channels: int, width: int, num_things: int, canonical_px: float) -> None:
        super().__init__()
        self.pooler = RegionPooler(7, canonical_px)
        self.box_head = TwoMLPHead(channels * 49, width)
        self.box_predictor = FastRCNNPredictor(width, 1 + num_things)

    def forward(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], padded_size: Size
    ) -> tuple[Tensor, Tensor]:
        """`region_levels` -> class logits (R, 1 + T), first the background's, and codes (R, (1 + T) * 4)."""
        logits, codes = self.box_predictor(self.box_head(self.pooler(levels, boxes, padded_size)))
        return logits.float(), codes.float()


class MaskHead(nn.Module):
    """28x28 mask logits of each region, one map a class."""

    def __init__(
        self, channels: int, width: int, num_layers: int, num_things: int, canonical_px: float
    ) -> None:
        super().__init__()
        self.pooler = RegionPooler(14, canonical_px)
        self.mask_head = MaskRCNNHeads(channels, [width] * num_layers, 1)
        self.mask_predictor = MaskRCNNPredictor(width, width, 1 + num_things)

    def forward(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], labels: Tensor, padded_size: Size
    ) -> Tensor:
        """`region_levels` and labels (R,) in 1..T -> mask logits (R, 28, 28) of each region's own class."""
        if labels.numel() == 0:
            return levels[0].new_zeros((0, 28, 28), dtype=torch.float32)
        return self.of_regions(levels, boxes, labels, padded_size)

    def of_regions(
        self, levels: Sequence[Tensor], boxes: Sequence[Tensor], labels: Tensor, padded_size: Size
    ) -> Tensor:
        """As `forward`, without a question about the number of regions: what can be exported."""
        logits = self.mask_predictor(self.mask_head(self.pooler(levels, boxes, padded_size)))
        own: Tensor = logits[torch.arange(labels.shape[0], device=labels.device), labels].float()
        return own


class TrackHead(nn.Module):
    """Appearance of each region (MaskTrack R-CNN, Yang et al. 2019): two layers, the last one linear."""

    def __init__(self, channels: int, width: int, canonical_px: float) -> None:
        super().__init__()
        self.width = width
        self.pooler = RegionPooler(7, canonical_px)
        self.fc1 = nn.Linear(channels * 49, width)
        self.fc2 = nn.Linear(width, width)
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, levels: Sequence[Tensor], boxes: Sequence[Tensor], padded_size: Size) -> Tensor:
        """`region_levels` -> embeddings (R, E); their plain dot product says how alike two objects are."""
        if sum(len(x) for x in boxes) == 0:
            return levels[0].new_zeros((0, self.width), dtype=torch.float32)
        return self.of_regions(levels, boxes, padded_size)

    def of_regions(self, levels: Sequence[Tensor], boxes: Sequence[Tensor], padded_size: Size) -> Tensor:
        """As `forward`, without a question about the number of regions: what can be exported."""
        x = self.pooler(levels, boxes, padded_size).flatten(1)
        embeddings: Tensor = self.fc2(functional.relu(self.fc1(x)))
        return embeddings.float()
