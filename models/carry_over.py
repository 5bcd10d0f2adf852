"""A network for other classes: it takes over all that does not depend on them, and the rest class by class.

Legend: `K` classes, `T` things; label 0 of the box and mask heads is the background, label k the k-th thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.vpsnet import VPSNet

_OF_CLASSES = ("semantic.score",)
"""Layers that tell classes apart, with a row per class."""
_OF_LABELS = ("box.box_predictor.cls_score",)
"""The same, with a row per label."""
_OUTLINES = {"box.box_predictor.bbox_pred": 4, "mask.mask_predictor.mask_fcn_logits": 1}
"""Layers that outline an object of a label that is known, with so many rows per label."""

Origins = Sequence[int | None]
"""Of each new class or label the old one that it continues; None: it is new."""


@dataclass(frozen=True, slots=True)
class CarryReport:
    """What a network took over from another."""

    num_tensors: int
    num_whole: int
    """Tensors that were taken as they are."""
    carried: tuple[str, ...]
    """Classes that both know."""
    new: tuple[str, ...]
    """Classes that the other does not know."""

    def summary(self) -> str:
        """One line: how many tensors, and which classes."""
        count = f"{self.num_whole} of {self.num_tensors} tensors"
        if not self.new:
            return f"{count}; all classes carried over"
        carried = f"classes {', '.join(self.carried)}" if self.carried else "no class"
        return f"{count}; {carried} carried over; {', '.join(self.new)} new"


@torch.no_grad()
def carry_over(old: VPSNet, old_names: Sequence[str], new: VPSNet, new_names: Sequence[str]) -> CarryReport:
    """Fill `new` from `old`, a network of the same sizes; names by class index.

    A class of a name that both have keeps its rows. What outlines a new thing begins as the mean of the old
    things. What tells it from others stays as it is in `new`, at random: equal rows would learn the same
    for long.
    """
    index_of = {name: index for index, name in enumerate(old_names)}
    classes = [index_of.get(name) for name in new_names]
    labels = _label_origins(old.architecture.thing_ids, new.architecture.thing_ids, classes)
    before, after = old.state_dict(), new.state_dict()
    num_whole = 0
    for name, value in after.items():
        layer = name.rpartition(".")[0]
        if layer in _OF_CLASSES:
            rows = _carried(before[name], value, classes, 1)
        elif layer in _OF_LABELS:
            rows = _carried(before[name], value, labels, 1)
        elif layer in _OUTLINES:
            width = _OUTLINES[layer]
            rows = _carried(before[name], _mean_thing(before[name], value, width), labels, width)
        else:
            rows = before[name]
        num_whole += rows.shape == before[name].shape and torch.equal(rows, before[name])
        value.copy_(rows)
    return CarryReport(
        num_tensors=len(after),
        num_whole=num_whole,
        carried=tuple(name for name in new_names if name in index_of),
        new=tuple(name for name in new_names if name not in index_of),
    )


def _label_origins(
    old_things: Sequence[int], new_things: Sequence[int], classes: Origins
) -> list[int | None]:
    """A thing that was stuff before is new to the heads of objects."""
    label_of: dict[int | None, int] = {index: label for label, index in enumerate(old_things, 1)}
    return [0, *(label_of.get(classes[index]) for index in new_things)]


def _carried(old: Tensor, new: Tensor, origins: Origins, width: int) -> Tensor:
    """The new tensor with those rows of the old one that have an origin; `width` rows belong together."""
    result = new.clone()
    target, source = _in_groups(result, width), _in_groups(old, width)
    for position, origin in enumerate(origins):
        if origin is not None:
            target[position] = source[origin]
    return result


def _mean_thing(old: Tensor, new: Tensor, width: int) -> Tensor:
    """A tensor of the new one's shape in which every label is the mean of the old things."""
    return _in_groups(old, width)[1:].mean(dim=0).expand_as(_in_groups(new, width)).reshape(new.shape)


def _in_groups(rows: Tensor, width: int) -> Tensor:
    """(n * width, ...) as a view (n, width, ...)."""
    return rows.view(-1, width, *rows.shape[1:])
