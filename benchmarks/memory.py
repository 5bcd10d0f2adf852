"""Resident memory over a long run whose slowest stage is slowed down: it must stay flat.

    python -m benchmarks.memory CLIP [--frames 3000] [--frame-px 1280 720] [--executor ray] [--sleep-ms 40]

The clip is looped to FRAMES pictures of that size first. The stage `detect` sleeps on every frame, so
that decoding would run far ahead if nothing held it back. Memory is the proportional set size of the
process and all its descendants, the object store included. Prints it every tenth of the run and its
growth from the first sixth of the frames to the end.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from benchmarks.machine import machine_line
from benchmarks.process_tree import tree_usage
from configs.schema import Settings
from stages import build_stage

SETTLED_FRACTION = 1 / 6
"""Part of the run after which memory must not grow: frame 500 of 3,000."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--frame-px", type=int, nargs=2, default=[1280, 720], metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--executor", default="ray", choices=("ray", "local", "inline"))
    parser.add_argument("--config", default="street")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--sleep-ms", type=float, default=40.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        clip = loop_clip(options.clip, options.frames, options.frame_px, Path(folder) / "long.mp4")
        samples = measure(options, clip, Path(folder) / "out")
    width, height = options.frame_px
    print(f"{options.executor}, {options.frames} frames of {width}x{height}; {machine_line()}\n")
    print("| frame | memory MB |\n|---|---|")
    tenth = max(len(samples) // 10, 1)
    for sample in samples[tenth - 1 :: tenth]:
        print(f"| {sample.frame} | {sample.memory_bytes / 1e6:.0f} |")
    print(f"\ngrowth from frame {settled(samples).frame} to {samples[-1].frame}: {growth(samples):+.1%}")


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory when a frame was done."""

    frame: int
    memory_bytes: int


def settled(samples: Sequence[Sample]) -> Sample:
    """The first sample after the settling part."""
    return next(s for s in samples if s.frame >= SETTLED_FRACTION * samples[-1].frame)


def growth(samples: Sequence[Sample]) -> float:
    """Relative growth of memory from the settled sample to the end; the ends are means of five samples."""
    late = [sample.memory_bytes for sample in samples[-5:]]
    first = samples.index(settled(samples))
    early = [sample.memory_bytes for sample in samples[first : first + 5]]
    return (sum(late) / len(late)) / (sum(early) / len(early)) - 1


def measure(options: argparse.Namespace, clip: Path, output: Path) -> list[Sample]:
    """Run the clip and sample the memory every hundredth of it."""
    from configs.loading import load_settings
    from pipeline import Progress, run
    from stages.source import expand_sources

    settings = load_settings(options.config, [f"run.executor={options.executor}", *options.overrides])
    samples: list[Sample] = []
    every = max(options.frames // 100, 1)

    def on_progress(progress: Progress) -> None:
        if progress.num_done and progress.num_done % every == 0:
            samples.append(Sample(progress.num_done, tree_usage(os.getpid()).memory_bytes))

    factory = partial(slowed_stage, sleep_s=options.sleep_ms / 1000)
    (report,) = run(expand_sources([str(clip)]), settings, output, on_progress=on_progress, factory=factory)
    if report.status != "complete":
        raise SystemExit(f"the run ended with {report.status}: {report.error}")
    return samples


def slowed_stage(name: str, settings: Settings, sleep_s: float) -> Callable[..., Any]:
    """The stage of that name; `detect` sleeps before it works."""
    stage: Any = build_stage(name, settings)
    return partial(_asleep_first, stage, sleep_s) if name == "detect" else stage


def _asleep_first(stage: Callable[..., Any], sleep_s: float, *inputs: object) -> object:
    time.sleep(sleep_s)
    return stage(*inputs)


def loop_clip(clip: Path, num_frames: int, size: Sequence[int], target: Path) -> Path:
    """Write `num_frames` pictures of the clip, over and over, of that width and height, 25 a second."""
    width, height = size
    with av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        written = 0
        while written < num_frames:
            with av.open(str(clip)) as source:
                for frame in source.decode(video=0):
                    if written == num_frames:
                        break
                    picture = frame.reformat(width, height, "yuv420p")
                    picture.pts, picture.time_base = written, Fraction(1, 25)
                    output.mux(stream.encode(picture))
                    written += 1
        output.mux(stream.encode())
    return target


if __name__ == "__main__":
    main()
