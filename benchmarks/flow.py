"""How far optical flow is off, against the exact flow of composed clips: DIS beside RAFT-small.

    python -m benchmarks.flow --data data/street [--raft FILE] [--clips 8] [--frames 8]

The clips begin like those that `training.data.composed` writes as val/, but are shorter. The end-point error
is the mean distance between estimated and true displacement, in pixels of the 384x768 frame. "seen": of
pixels whose place was in sight in the frame before; "fast": of those that moved by 3 pixels or more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import machine_line
from models.flow import FlowEstimator, RaftSmall, dense_inverse_search
from training.compose.clip import ComposedFrame
from training.data.composed import clip_name, clip_shape, compose_frames

_FAST_PX = 3.0
STRIDES = (1, 2, 4)


class _Nothing:
    """The flow of a world that stands still."""

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        return np.zeros((*current.shape[:2], 2), np.float32)


@dataclass(slots=True)
class _Errors:
    """Sums over pixels, by kind of pixel."""

    total: dict[str, float] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def add(self, kind: str, errors: np.ndarray) -> None:
        self.total[kind] = self.total.get(kind, 0.0) + float(errors.sum())
        self.pixels[kind] = self.pixels.get(kind, 0) + errors.size

    def mean(self, kind: str) -> float:
        return self.total.get(kind, 0.0) / max(self.pixels.get(kind, 0), 1)


def measure(
    estimators: dict[str, tuple[FlowEstimator, int]],
    pairs: Iterator[tuple[str, ComposedFrame, ComposedFrame]],
) -> dict[str, _Errors]:
    """By name of an estimator, which comes with the factor by which its pictures are reduced."""
    errors = {name: _Errors() for name in estimators}
    for kind, before, frame in pairs:
        assert frame.flow is not None
        assert frame.hidden is not None
        moved = np.linalg.norm(frame.flow, axis=-1)
        for name, (estimate, stride) in estimators.items():
            began = time.perf_counter()
            flow = _at_stride(estimate, stride, frame.image, before.image)
            errors[name].seconds.append(time.perf_counter() - began)
            off = np.linalg.norm(flow - frame.flow, axis=-1)
            errors[name].add(f"{kind}, seen", off[~frame.hidden])
            errors[name].add(f"{kind}, fast", off[~frame.hidden & (moved >= _FAST_PX)])
            errors[name].add("hidden", off[frame.hidden])
    return errors


def _at_stride(estimate: FlowEstimator, stride: int, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """(h, w, 2) of the full pictures, estimated on reduced ones, as a run does it."""
    height, width = current.shape[:2]
    size = (width // stride, height // stride)
    small = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (current, previous)]
    flow: np.ndarray = cv2.resize(estimate(small[0], small[1]), (width, height)) * stride
    return flow


def _pairs(data: Path, clips: int, frames: int) -> Iterator[tuple[str, ComposedFrame, ComposedFrame]]:
    for number in range(clips):
        kind, before = clip_name(number).split("-")[0], None
        for frame in compose_frames(data, "val", number, clip_shape(number, frames)):
            if before is not None:
                yield kind, before, frame
            before = frame


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the packed set of stills")
    parser.add_argument("--raft", type=Path, help="weights of RAFT-small")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=8)
    options = parser.parse_args(arguments)
    estimators: dict[str, tuple[FlowEstimator, int]] = {"none": (_Nothing(), 1)}
    estimators |= {f"DIS, 1/{stride}": (dense_inverse_search, stride) for stride in STRIDES}
    if options.raft:
        raft = RaftSmall(options.raft, "cpu")
        estimators |= {f"RAFT-small, 1/{stride}": (raft, stride) for stride in STRIDES}
    errors = measure(estimators, _pairs(options.data, options.clips, options.frames))
    kinds = [f"{kind}, {pixels}" for kind in ("clear", "hard") for pixels in ("seen", "fast")] + ["hidden"]
    print(f"{options.clips} clips of {options.frames} frames; {machine_line()}\n")
    print("| flow | " + " | ".join(kinds) + " | ms a pair |")
    print("|---" * (2 + len(kinds)) + "|")
    for name, one in errors.items():
        cells = [f"{one.mean(kind):.2f}" for kind in kinds] + [f"{1000 * np.median(one.seconds):.0f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
