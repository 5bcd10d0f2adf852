"""Messages on their way between processes: tensors travel as numpy arrays.

Pickling a torch tensor the default way costs 4 to 10 times as much. Nothing is lost: dtype, values
and the order of the dimensions in memory (channels last or not) arrive as they were, since that
order decides which convolution runs. Only a host that holds tensors imports torch.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.host import Value

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WireTensor:
    """A tensor as bytes that numpy can carry."""

    array: np.ndarray
    """Its elements in the order of memory, C-contiguous; bfloat16 as int16 of the same bits."""
    order: tuple[int, ...]
    """Dimension of the tensor that each dimension of `array` is."""
    dtype: str
    """torch's name of the dtype, without the prefix."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, so that messages can check their counts."""
        return tuple(self.array.shape[self.order.index(dim)] for dim in range(len(self.order)))


def to_wire(value: Value) -> Value:
    """The same message with every tensor replaced."""
    torch = sys.modules.get("torch")
    return value if torch is None else _replace(value, torch.Tensor, _pack)


def from_wire(value: Value, device: str) -> Value:
    """The same message with every tensor back, on `device`. What arrives is read-only."""
    return _replace(value, WireTensor, lambda tensor: _unpack(tensor, device))


def num_bytes(value: Value) -> int:
    """Of all arrays of a message on its way."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple):
        return sum(map(num_bytes, value))
    if dataclasses.is_dataclass(value):
        return sum(num_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 0


def _replace(value: Value, kind: type, convert: Callable[[Value], Value]) -> Value:
    if isinstance(value, kind):
        return convert(value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        parts = tuple(_replace(part, kind, convert) for part in value)
        return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {}
        for field in dataclasses.fields(value):
            old = getattr(value, field.name)
            new = _replace(old, kind, convert)
            if new is not old:
                changes[field.name] = new
        return dataclasses.replace(value, **changes) if changes else value
    return value


def _pack(tensor: torch.Tensor) -> WireTensor:
    import torch

    strides = tensor.stride()
    order = tuple(sorted(range(len(strides)), key=lambda dim: -strides[dim]))
    dense = tensor.detach().cpu().permute(order).contiguous()
    if dense.dtype == torch.bfloat16:
        dense = dense.view(torch.int16)
    return WireTensor(array=dense.numpy(), order=order, dtype=str(tensor.dtype).removeprefix("torch."))


def _unpack(wire: WireTensor, device: str) -> torch.Tensor:
    import torch

    with warnings.catch_warnings():
        # a view into the object store may not be written to, and no stage writes to what it received
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        dense = torch.from_numpy(wire.array)
    dense = dense.view(getattr(torch, wire.dtype)) if wire.dtype == "bfloat16" else dense
    inverse = tuple(np.argsort(wire.order, kind="stable").tolist())
    return dense.permute(inverse).to(device)
