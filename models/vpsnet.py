"""VPSNet FuseTrack (Kim et al. 2020): the parts, put together.

    backbone + pyramid        one picture -> P2..P6
    fusion                    P2..P6 of t and (unfused) of t-1, flow -> fused P2..P6
    semantic                  P2..P5 -> class logits at stride 4
    proposals, box, mask      objects
    track                     appearance of each object

Each part can be built alone, since a stage needs only its own.
Legend: `B` pictures, `H W` network input (multiples of 32), `K` classes, `T` things.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.backbone import BACKBONE_CHANNELS, BackboneName, MobileNetV2, ResNet50, build_backbone
from models.fusion import FusionNeck
from models.heads import BoxHead, MaskHead, ProposalHead, TrackHead
from models.pyramid import Pyramid
from models.semantic import SemanticHead

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""ImageNet statistics, RGB, 0..255."""

SIZE_MULTIPLE = 32
"""The network's input is padded on the right and below to a multiple of this."""

PARTS = ("backbone", "pyramid", "fusion", "semantic", "proposals", "box", "mask", "track")

_CANONICAL_PX = 28.0
"""Times the anchor scale: the side of an object that belongs on P4 (224 px at the paper's scale of 8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The sizes of all parts."""

    num_classes: int
    thing_ids: tuple[int, ...]
    """Class indices of the things; label k of the heads is thing_ids[k - 1]."""
    backbone: BackboneName
    fpn_channels: int
    gather_level: int
    flow_residual_channels: int
    semantic_channels: tuple[int, ...]
    semantic_deformable: bool
    anchor_scale: float
    box_channels: int
    mask_channels: int
    mask_layers: int
    track_channels: int
    context_channels: int = 0
    proposals_before_nms: int = 1000
    proposals: int = 1000
    proposal_nms_iou: float = 0.7

    @property
    def stuff_ids(self) -> tuple[int, ...]:
        """Class indices that are not things, ascending."""
        return tuple(index for index in range(self.num_classes) if index not in self.thing_ids)


class VPSNet(nn.Module):
    """All parts of the network, or those asked for; a part not built is absent."""

    backbone: MobileNetV2 | ResNet50
    pyramid: Pyramid
    fusion: FusionNeck
    semantic: SemanticHead
    proposals: ProposalHead
    box: BoxHead
    mask: MaskHead
    track: TrackHead

    def __init__(self, architecture: Architecture, parts: Iterable[str] = PARTS) -> None:
        super().__init__()
        self.architecture = architecture
        for part in parts:
            self.add_module(part, _build_part(part, architecture))

    def extract(self, image: Tensor) -> tuple[Tensor, ...]:
        """RGB (B, 3, H, W), 0..255 -> P2..P6, unfused."""
        mean = image.new_tensor(PIXEL_MEAN)[:, None, None]
        std = image.new_tensor(PIXEL_STD)[:, None, None]
        normal = ((image - mean) / std).contiguous(memory_format=torch.channels_last)
        levels: tuple[Tensor, ...] = self.pyramid(self.backbone(normal))
        return levels


def _build_part(part: str, a: Architecture) -> nn.Module:
    num_things = len(a.thing_ids)
    canonical_px = _CANONICAL_PX * a.anchor_scale
    match part:
        case "backbone":
            return build_backbone(a.backbone)
        case "pyramid":
            return Pyramid(BACKBONE_CHANNELS[a.backbone], a.fpn_channels, a.context_channels)
        case "fusion":
            return FusionNeck(a.fpn_channels, a.gather_level, a.flow_residual_channels)
        case "semantic":
            return SemanticHead(a.fpn_channels, a.semantic_channels, a.num_classes, a.semantic_deformable)
        case "proposals":
            return ProposalHead(
                a.fpn_channels, a.anchor_scale, a.proposals_before_nms, a.proposals, a.proposal_nms_iou
            )
        case "box":
            return BoxHead(a.fpn_channels, a.box_channels, num_things, canonical_px)
        case "mask":
            return MaskHead(a.fpn_channels, a.mask_channels, a.mask_layers, num_things, canonical_px)
        case "track":
            return TrackHead(a.fpn_channels, a.track_channels, canonical_px)
        case _:
            raise ValueError(f"no part of VPSNet is called {part!r}; the parts are {', '.join(PARTS)}")
