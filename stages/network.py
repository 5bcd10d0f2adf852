"""The network behind the model stages: built from the settings, each stage with the parts it needs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor

from configs.categories import thing_ids
from configs.errors import WeightsError
from configs.schema import Settings
from models.backbone import fold_norms
from models.vpsnet import PARTS, Architecture, VPSNet
from models.weights import load_weights
from stages.messages import Features

ROOT = Path(__file__).resolve().parent.parent


def architecture_of(settings: Settings) -> Architecture:
    """The network's sizes as the settings ask for them."""
    model, detect = settings.model, settings.detect
    return Architecture(
        num_classes=len(settings.categories),
        thing_ids=thing_ids(settings.categories),
        backbone=model.backbone,
        fpn_channels=model.fpn_channels,
        context_channels=model.context_channels,
        gather_level=model.gather_level,
        flow_residual_channels=model.flow_residual_channels,
        semantic_channels=model.semantic_channels,
        semantic_deformable=model.semantic_deformable,
        anchor_scale=model.anchor_scale,
        box_channels=model.box_channels,
        mask_channels=model.mask_channels,
        mask_layers=model.mask_layers,
        track_channels=model.track_channels,
        proposals_before_nms=detect.proposals_before_nms,
        proposals=detect.proposals,
        proposal_nms_iou=detect.proposal_nms_iou,
    )


def load_network(settings: Settings, parts: Iterable[str] = PARTS) -> VPSNet:
    """Those parts with the weights of the settings, ready for inference; WeightsError if they do not fit."""
    if settings.model.weights is None:
        raise WeightsError(
            "model.weights is not set: train first (python run_pipeline.py train), or name a file with "
            "--set model.weights=FILE"
        )
    path = ROOT / settings.model.weights  # an absolute path stays as it is
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; name another with --set model.weights=FILE")
    network = VPSNet(architecture_of(settings), parts)
    try:
        load_weights(network, path)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    return prepare(network, settings)


def prepare(network: VPSNet, settings: Settings) -> VPSNet:
    """A copy for inference: evaluation mode, norms folded, on the settings' device, channels last."""
    device = torch.device(settings.run.device)
    network = copy.deepcopy(network).eval()
    fold_norms(network)
    return network.to(device).to(memory_format=torch.channels_last)


def stacked(features: Sequence[Features]) -> tuple[Tensor, ...]:
    """P2..P6 of several frames of one size, each (B, C, h, w)."""
    levels = zip(*(frame.levels for frame in features), strict=True)
    return tuple(torch.cat(level) if len(level) > 1 else level[0] for level in levels)


def precision(settings: Settings) -> AbstractContextManager[object]:
    """Run the convolutions in the settings' arithmetic."""
    return torch.autocast(settings.run.device, torch.bfloat16, enabled=settings.model.precision == "bf16")
