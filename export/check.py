"""A written file, run by ONNX Runtime, beside what the stages computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from configs.errors import ExportError
from configs.schema import DetectSettings
from export.parts import Part
from export.sample import Sample
from models.panoptic import remove_hidden_masks
from stages.messages import Detections, Size

TOLERANCE = 1e-4
"""Of the range of an output's values. Sums in another order give some 1e-6; a wrong operator, percents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far an output of a file is from that of the stages."""

    part: str
    output: str
    shape: tuple[int, ...]
    largest: float
    """Absolute; 0 for an output without values."""
    of_range: float
    """The largest, divided by the largest less the smallest value (for whole numbers, the largest itself)."""


def run_file(path: Path, part: Part, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of the file, on as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {name: value.numpy() for name, value in zip(part.inputs, inputs, strict=True)}
    return [torch.from_numpy(output) for output in session.run(list(part.outputs), given)]


def inputs_of(part: Part, sample: Sample) -> tuple[Tensor, ...]:
    """What the stages gave to this part."""
    match part.name:
        case "features":
            return (sample.image,)
        case "fusion":
            return (*sample.levels, *sample.previous, sample.flow)
        case _:
            return sample.fused


def compare(part: Part, path: Path, sample: Sample, size: Size, rules: DetectSettings) -> list[Difference]:
    """Each output of the file beside that of the stages; ExportError if one is off by more than TOLERANCE."""
    outputs = run_file(path, part, inputs_of(part, sample))
    match part.name:
        case "features":
            expected = sample.levels
        case "fusion":
            expected = sample.fused
        case _:
            expected = _as_outputs(sample.detections)
            outputs = in_order(visible(outputs, size, rules.mask_overlap_max), expected)
    differences = [
        difference(part.name, name, got, wanted)
        for name, got, wanted in zip(part.outputs, outputs, expected, strict=True)
    ]
    for found in differences:
        if not found.of_range <= TOLERANCE:  # so that no number at all is an error, too
            raise ExportError(
                f"{part.name}.onnx is not written: {found.output} differs from torch by "
                f"{found.largest:.3g}, {found.of_range:.2g} of its range; {TOLERANCE:g} is allowed"
            )
    return differences


def difference(part: str, output: str, got: Tensor, wanted: Tensor) -> Difference:
    """ExportError if the shapes are not the same."""
    if got.shape != wanted.shape:
        raise ExportError(
            f"{part}.onnx is not written: {output} has shape {tuple(got.shape)}, "
            f"with torch {tuple(wanted.shape)}"
        )
    largest = span = 0.0
    if wanted.numel():
        largest = float((got.double() - wanted.double()).abs().max())
        span = float(wanted.max() - wanted.min()) if wanted.is_floating_point() else 1.0
    of_range = largest / span if span else largest
    return Difference(part=part, output=output, shape=tuple(wanted.shape), largest=largest, of_range=of_range)


def visible(outputs: Sequence[Tensor], size: Size, overlap_max: float) -> list[Tensor]:
    """The outputs of detection without the objects that others hide: the step that the file leaves out."""
    semantic, boxes, scores, classes, masks, embeddings = outputs
    kept = remove_hidden_masks(boxes, classes, masks, size, overlap_max)
    return [semantic, *(output[kept] for output in (boxes, scores, classes, masks, embeddings))]


def in_order(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> list[Tensor]:
    """The objects in the order of those expected: two of almost the same score may have changed places."""
    boxes, wanted = outputs[1], expected[1]
    if len(boxes) != len(wanted):
        raise ExportError(
            f"detection.onnx is not written: it finds {len(boxes)} objects, torch {len(wanted)}"
        )
    if not len(boxes):
        return list(outputs)
    nearest = (wanted[:, None] - boxes[None]).abs().amax(2).argmin(1)
    if len(set(nearest.tolist())) < len(nearest):
        raise ExportError("detection.onnx is not written: it finds other objects in the picture than torch")
    return [outputs[0], *(output[nearest] for output in outputs[1:])]


def _as_outputs(found: Detections) -> tuple[Tensor, ...]:
    """In the order of the file's outputs."""
    return (
        found.semantic_logits,
        found.boxes,
        found.scores,
        found.classes,
        found.mask_logits,
        found.embeddings,
    )
