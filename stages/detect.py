"""detect: fused features -> objects with masks and appearance, and semantic logits. A pure function."""

from __future__ import annotations

import torch

from configs.schema import Settings
from models.boxes import select_objects
from models.heads import region_levels
from models.panoptic import remove_hidden_masks
from models.vpsnet import VPSNet
from stages.messages import Detections, Features
from stages.network import load_network, precision


class DetectStage:
    """Semantic head, proposals, box, mask and track heads."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """Without a network, the settings' weights are loaded."""
        self._settings = settings
        self._network = network or load_network(settings, ("semantic", "proposals", "box", "mask", "track"))
        things = self._network.architecture.thing_ids
        self._class_of_label = torch.tensor([-1, *things], device=settings.run.device)

    @torch.inference_mode()
    def __call__(self, features: Features) -> Detections:
        """Objects in descending score, above the settings' threshold.

        A second box on a part of an object goes here, before tracking, so that it takes no identity.
        """
        network, rules, levels = self._network, self._settings.detect, features.levels
        size = (levels[0].shape[-2] * 4, levels[0].shape[-1] * 4)
        with precision(self._settings):
            semantic = network.semantic(levels)
            proposals, _ = network.proposals(levels, size, [features.network_size])
            readable = region_levels(levels)
            logits, codes = network.box(readable, proposals, size)
            boxes, scores, labels = select_objects(
                logits,
                codes,
                proposals[0],
                features.network_size,
                score_threshold=rules.score_threshold,
                nms_iou=rules.nms_iou,
                max_objects=rules.max_objects,
            )
            masks = network.mask(readable, [boxes], labels, size)
            kept = remove_hidden_masks(boxes, labels, masks, features.network_size, rules.mask_overlap_max)
            boxes, scores, labels, masks = boxes[kept], scores[kept], labels[kept], masks[kept]
            embeddings = network.track(readable, [boxes], size)
        return Detections(
            index=features.index,
            boxes=boxes,
            scores=scores,
            classes=self._class_of_label[labels],
            mask_logits=masks,
            embeddings=embeddings,
            semantic_logits=semantic,
            network_size=features.network_size,
            frame_size=features.frame_size,
        )
