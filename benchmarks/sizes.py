"""Quality and speed by input size and precision, from which the default was chosen.

    python -m benchmarks.sizes --data data/street --composed data/composed [--sides 320 384 448 512]

PQ and mIoU on the set's validation pictures; VPQ and STQ on the first frames of composed validation clips;
frames a second of the model alone (features to panoptic, one process), the median over their frames. In the
rows "int8" backbone and pyramid are computed in 8 bits by ONNX Runtime, the rest as in fp32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.ablation import clip_number, frames_of
from benchmarks.int8 import network_in_8_bits
from benchmarks.machine import machine_line
from configs.loading import load_settings
from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from evaluation.evaluate import Evaluation, Evaluator
from evaluation.overlap import frame_overlap
from evaluation.segments import predicted_segments
from evaluation.video_set import open_video_set
from evaluation.vpq import CITYSCAPES_VPS_WINDOWS
from models.vpsnet import VPSNet
from stages.network import load_network
from stages.whole_model import WholeModel
from training.data.packed import PackedSet
from training.validate import validate

_WARM_FRAMES = 3
_CALIBRATION_PICTURES = 24


def clips_and_speed(
    data: Path, settings: Settings, network: VPSNet, clips: int, frames: int
) -> tuple[Evaluation, float]:
    """Quality on the first frames of the first clips, and frames a second."""
    labels, videos = open_video_set(data)
    model, seconds = WholeModel(settings, network), []
    evaluator = Evaluator(labels.categories, ("vpq", "stq"), CITYSCAPES_VPS_WINDOWS)
    for video in sorted(videos, key=clip_number)[:clips]:
        past = None
        for frame in frames_of(video, frames):
            began = time.perf_counter()
            panoptic, past = model(frame, past)
            seconds.append(time.perf_counter() - began)
            truth = labels.read(video.labels[frame.index])
            evaluator.add(
                video.name, frame_overlap(*truth, *predicted_segments(panoptic, settings.categories))
            )
    return evaluator.result(), 1 / statistics.median(seconds[_WARM_FRAMES:])


def prepared(overrides: Sequence[str], precision: str, data: Path) -> tuple[Settings, VPSNet]:
    """The preset with `overrides`, in a precision that may be "int8" as well, and its network."""
    if precision == "int8":
        settings = resolve(load_settings("street", [*overrides, "model.precision=fp32"]))
        return settings, network_in_8_bits(settings, calibration_pictures(data, settings))
    settings = resolve(load_settings("street", [*overrides, f"model.precision={precision}"]))
    return settings, load_network(settings)


def calibration_pictures(data: Path, settings: Settings) -> list[np.ndarray]:
    """Some pictures of the training split."""
    pictures = PackedSet(data, "train", settings.categories)
    step = max(len(pictures) // _CALIBRATION_PICTURES, 1)
    return [pictures[position].image for position in range(0, len(pictures), step)][:_CALIBRATION_PICTURES]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the packed set of stills")
    parser.add_argument("--composed", type=Path, required=True, help="the composed set")
    parser.add_argument("--weights", type=Path, help="other than the preset's")
    parser.add_argument("--sides", type=int, nargs="+", default=[320, 384, 448, 512])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16", "int8"])
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--frames", type=int, default=10)
    options = parser.parse_args(arguments)
    limit_spinning()
    weights = [f"model.weights={options.weights.absolute()}"] if options.weights else []
    print(f"{options.clips} clips of {options.frames} frames; {machine_line()}\n")
    print(
        "| short side | precision | PQ | things | stuff | mIoU | VPQ | STQ | frames/s |\n" + "|---" * 9 + "|"
    )
    for side in options.sides:
        for precision in options.precisions:
            size = [f"input.short_side_px={side}", f"input.max_long_side_px={5 * side // 2}"]
            settings, network = prepared([*weights, *size], precision, options.data)
            quality = validate(network, settings, PackedSet(options.data, "val", settings.categories))
            clips, rate = clips_and_speed(options.composed, settings, network, options.clips, options.frames)
            assert clips.vpq
            assert clips.stq
            groups = quality.panoptic
            values = [
                *(group.pq for group in (groups.all, groups.things, groups.stuff)),
                quality.semantic.mean_iou,
                clips.vpq.all,
                clips.stq.total.stq,
            ]
            cells = " | ".join(f"{value:.3f}" for value in values)
            print(f"| {side} | {precision} | {cells} | {rate:.1f} |", flush=True)


if __name__ == "__main__":
    main()
