"""Weights files: strict loading, and what can be taken over from torchvision's files.

A file of the project is safetensors with keys "<part>.<name>"; fp16 on disk, float32 in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.vpsnet import VPSNet

_RENAMED = (
    ("backbone.body.", "backbone."),
    ("backbone.fpn.", "pyramid.fpn."),
    ("rpn.", "proposals.rpn."),
    ("roi_heads.box_head.", "box.box_head."),
    ("roi_heads.box_predictor.", "box.box_predictor."),
    ("roi_heads.mask_head.", "mask.mask_head."),
    ("roi_heads.mask_predictor.", "mask.mask_predictor."),
)
"""Prefixes in torchvision's Mask R-CNN and in this project."""


@dataclass(frozen=True, slots=True)
class FillReport:
    """What a foreign weights file gave, by parameter name of this project."""

    filled: tuple[str, ...]
    missing: tuple[str, ...]
    """Parameters the file has nothing for; they keep their values."""
    mismatched: tuple[str, ...]
    """Parameters the file has with another shape; they keep their values."""
    unused: tuple[str, ...]
    """Keys of the file that fit nowhere."""

    def summary(self) -> str:
        """One line: the parts filled, and the parts left as they were."""

        def parts(names: tuple[str, ...]) -> str:
            return ", ".join(dict.fromkeys(name.split(".", 1)[0] for name in names)) or "nothing"

        return (
            f"filled {len(self.filled)} tensors ({parts(self.filled)}); left as they were "
            f"{len(self.missing) + len(self.mismatched)} ({parts(self.missing + self.mismatched)}); "
            f"{len(self.unused)} keys of the file fit nowhere"
        )


def save_weights(model: VPSNet, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write all parameters and buffers as fp16 (integers as they are)."""
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(state, path, dict(metadata or {}))


def load_weights(model: VPSNet, path: Path) -> None:
    """Fill every parameter of the model's parts from the file; ValueError names the first that does not fit.

    Keys of parts that this model was built without are passed over; any other difference is an error.
    """
    parts = {name for name, _ in model.named_children()}
    wanted = model.state_dict()
    state: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            for name in names:
                if name.split(".", 1)[0] in parts:
                    state[name] = file.get_tensor(name)
    except SafetensorError as error:
        raise ValueError(f"{path}: is no whole safetensors file ({error}); copy or train it again") from None
    for name, value in wanted.items():
        if name not in state:
            raise ValueError(f"{path}: has no weights for {name}, which the model's settings ask for")
        if state[name].shape != value.shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, the model's settings ask for "
                f"{tuple(value.shape)}"
            )
    if surplus := sorted(state.keys() - wanted.keys()):
        raise ValueError(f"{path}: has weights for {surplus[0]}, which the model does not have")
    model.load_state_dict({name: value.to(wanted[name].dtype) for name, value in state.items()})


def fill_from_torchvision(model: nn.Module, path: Path) -> FillReport:
    """Take over what fits from torchvision's file of a Mask R-CNN, or of a backbone alone (ImageNet)."""
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    wanted = model.state_dict()
    filled: dict[str, Tensor] = {}
    mismatched, unused = [], []
    for key, value in state.items():
        name = _own_name(key, wanted)
        if name is None:
            unused.append(key)
        elif wanted[name].shape != value.shape:
            mismatched.append(name)
        else:
            filled[name] = value
    # a counter that old files lack; it does not take part in the result
    missing = [
        n for n in wanted if n not in filled and n not in mismatched and not n.endswith("num_batches_tracked")
    ]
    model.load_state_dict(filled, strict=False)
    return FillReport(tuple(filled), tuple(missing), tuple(mismatched), tuple(unused))


def _own_name(key: str, wanted: Mapping[str, Tensor]) -> str | None:
    for theirs, ours in _RENAMED:
        if key.startswith(theirs):
            name = ours + key.removeprefix(theirs)
            return name if name in wanted else None
    return f"backbone.{key}" if f"backbone.{key}" in wanted else None
