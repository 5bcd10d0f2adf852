"""detect: fused features -> objects with masks and appearance, and semantic logits. A pure function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from configs.schema import Settings
from models.boxes import select_objects
from models.heads import region_levels
from models.panoptic import remove_hidden_masks
from models.vpsnet import VPSNet
from stages.messages import Detections, Features
from stages.network import load_network, precision, stacked


class Objects(NamedTuple):
    """What the box head found in one frame, in descending score."""

    boxes: Tensor
    """(N, 4)"""
    scores: Tensor
    """(N,)"""
    labels: Tensor
    """(N,) in 1..T."""


class DetectStage:
    """Semantic head, proposals, box, mask and track heads."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network or load_network(settings, ("semantic", "proposals", "box", "mask", "track"))
        things = self._network.architecture.thing_ids
        self._class_of_label = torch.tensor([-1, *things], device=settings.run.device)

    def __call__(self, features: Features) -> Detections:
        """Objects in descending score, above the settings' threshold.

        A second box on a part of an object goes here, before tracking, so that it takes no identity.
        """
        return self.batch([features])[0]

    @torch.inference_mode()
    def batch(self, features: Sequence[Features]) -> list[Detections]:
        """Those of several frames of one size."""
        network, levels = self._network, stacked(features)
        size = (levels[0].shape[-2] * 4, levels[0].shape[-1] * 4)
        with precision(self._settings):
            semantic = network.semantic(levels)
            proposals, _ = network.proposals(levels, size, [frame.network_size for frame in features])
            readable = region_levels(levels)
            found = self._selected(network.box(readable, proposals, size), proposals, features)
            boxes, labels = [objects.boxes for objects in found], [objects.labels for objects in found]
            masks = network.mask(readable, boxes, torch.cat(labels), size)
            of_frames = zip(found, torch.split(masks, [len(x) for x in boxes]), features, strict=True)
            kept = [self._without_hidden(*of_frame) for of_frame in of_frames]
            boxes = [objects.boxes for objects, _ in kept]
            embeddings = torch.split(network.track(readable, boxes, size), [len(x) for x in boxes])
        return [
            Detections(
                index=frame.index,
                boxes=objects.boxes,
                scores=objects.scores,
                classes=self._class_of_label[objects.labels],
                mask_logits=mask,
                embeddings=embedding,
                semantic_logits=semantic[position : position + 1],
                network_size=frame.network_size,
                frame_size=frame.frame_size,
                gap_s=frame.gap_s,
            )
            for position, (frame, (objects, mask), embedding) in enumerate(
                zip(features, kept, embeddings, strict=True)
            )
        ]

    def _selected(
        self, predicted: tuple[Tensor, Tensor], proposals: Sequence[Tensor], features: Sequence[Features]
    ) -> list[Objects]:
        """The box head's logits and codes of all proposals -> the objects of each frame."""
        rules, counts = self._settings.detect, [len(regions) for regions in proposals]
        logits, codes = (torch.split(values, counts) for values in predicted)
        return [
            Objects(
                *select_objects(
                    *(logits[position], codes[position], proposals[position], frame.network_size),
                    score_threshold=rules.score_threshold,
                    nms_iou=rules.nms_iou,
                    max_objects=rules.max_objects,
                )
            )
            for position, frame in enumerate(features)
        ]

    def _without_hidden(self, objects: Objects, masks: Tensor, frame: Features) -> tuple[Objects, Tensor]:
        kept = remove_hidden_masks(
            *(objects.boxes, objects.labels, masks, frame.network_size),
            self._settings.detect.mask_overlap_max,
        )
        return Objects(*(values[kept] for values in objects)), masks[kept]
