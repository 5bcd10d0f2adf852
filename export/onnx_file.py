"""A part of the network as an ONNX file."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from configs.errors import ExportError
from export.parts import Part

if TYPE_CHECKING:
    from onnx_ir import Value
    from torch.onnx import ONNXProgram

OPSET = 20
"""The first with a DeformConv and a GridSample as torch computes them."""


def write_onnx(part: Part, inputs: Sequence[Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write the part for inputs of these shapes; `metadata` goes into the file beside the graph."""
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it warns of what it leaves unsimplified
    # a copy: tracing leaves stand-ins for tensors in torchvision's anchors
    module = copy.deepcopy(part.module).eval()
    try:
        onnx = _converted(module, part, inputs)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"{part.name}: cannot be written as ONNX: {reason}") from error
    for output in onnx.model.graph.outputs:
        if output.name in part.per_object:
            _name_first_axis(output, "objects")
    onnx.model.metadata_props.update(metadata)
    onnx.save(path, external_data=False)


def _converted(module: nn.Module, part: Part, inputs: Sequence[Tensor]) -> ONNXProgram:
    with warnings.catch_warnings(), torch.no_grad():
        # torch and torchvision warn of each other's deprecated calls; whether the file is right is checked
        warnings.simplefilter("ignore")
        # strict: only there may a list of regions have a length that is not known yet
        program = torch.export.export(module, tuple(inputs), strict=True)
        program = program.run_decompositions(
            {torch.ops.aten.adaptive_max_pool2d.default: adaptive_max_pool2d}
        )
        onnx = torch.onnx.export(
            program,
            input_names=part.inputs,
            output_names=part.outputs,
            opset_version=OPSET,
            verbose=False,
        )
    assert onnx is not None
    return onnx


def adaptive_max_pool2d(x: Tensor, output_size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """torch's operator of that name (B, C, h, w) -> (B, C, *output_size) without its second result.

    ONNX has a pooling of windows of one size alone; others are taken apart by rows, then columns.
    """
    height, width = output_size
    kernel = x.shape[-2] // height, x.shape[-1] // width
    if (kernel[0] * height, kernel[1] * width) == tuple(x.shape[-2:]):
        pooled = functional.max_pool2d(x, kernel)
    else:
        pooled = _max_of_windows(_max_of_windows(x, 2, height), 3, width)
    return pooled, pooled.new_zeros(0, dtype=torch.int64)


def _max_of_windows(x: Tensor, axis: int, count: int) -> Tensor:
    """The largest of each of n windows along an axis of s, from floor(i s / n) to ceil((i + 1) s / n)."""
    size = x.shape[axis]
    bounds = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    return torch.stack([x.narrow(axis, start, end - start).amax(axis) for start, end in bounds], axis)


def _name_first_axis(value: Value, name: str) -> None:
    """Say what a length that is not known stands for; the exporter makes up an expression."""
    assert value.shape is not None
    value.shape[0] = name
