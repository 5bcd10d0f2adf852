"""Frames a second, CPU seconds per frame and milliseconds per stage, executors side by side.

    python -m benchmarks.throughput CLIP [--config street] [--rounds 3] [--end 6]

Each round runs inline, local, ray/fused and ray/split after one another, each in a process of its
own; the table shows medians over the rounds. Start-up is left out: rate and CPU count from the
WARM_FRAMES-th frame on. "Stages alone" is the CPU time of the stages in the inline executor, where
nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line
from benchmarks.process_tree import tree_usage

WARM_FRAMES = 24
VARIANTS = (("inline", "fused"), ("local", "fused"), ("ray", "fused"), ("ray", "split"))
PARTS = ("draw", "png", "video")
"""What the encoder tells of its own time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or (with --one) one variant of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--config", default="street")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--end", type=float, default=6.0, help="seconds of the clip")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(measure_one(options.clip, options.config, options.end, *options.one.split("/"))))
        return
    rounds = [
        {"/".join(variant): _in_own_process(options, "/".join(variant)) for variant in VARIANTS}
        for _ in range(options.rounds)
    ]
    figures = {name: _medians([one[name] for one in rounds]) for name in rounds[0]}
    print(f"{options.clip.name}, {options.config}, median of {options.rounds}; {machine_line()}\n")
    print(_executor_table(figures))
    print(_stage_table(figures))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine_line(), "figures": figures}, indent=1) + "\n")


def measure_one(clip: Path, config: str, end_s: float, executor: str, placement: str) -> dict[str, Any]:
    """One run in this process: rate and CPU per frame from the warm frame on, and the stages' times."""
    from configs.loading import load_settings
    from pipeline import Progress, run
    from stages.source import expand_sources

    settings = load_settings(config, [f"run.executor={executor}", f"run.placement={placement}"])
    marks: list[tuple[float, float, int]] = []

    def on_progress(progress: Progress) -> None:
        if progress.num_done == WARM_FRAMES or progress.num_done == progress.num_frames:
            marks.append((time.monotonic(), tree_usage(os.getpid()).cpu_s, progress.num_done))

    with tempfile.TemporaryDirectory() as folder:
        sources = expand_sources([str(clip)], end_s=end_s)
        (report,) = run(sources, settings, Path(folder) / "out", on_progress=on_progress)
    if report.status != "complete" or len(marks) != 2:
        raise SystemExit(
            f"{executor}/{placement}: {report.status}, {report.num_frames} frames: {report.error}"
        )
    (start_s, start_cpu_s, first), (end, end_cpu_s, last) = marks
    return {
        "fps": (last - first) / (end - start_s),
        "cpu_s_per_frame": (end_cpu_s - start_cpu_s) / (last - first),
        "start_up_s": report.seconds["start_up"],
        "stages": {
            stage: {kind: values["median_ms"] for kind, values in measures.items()}
            for stage, measures in report.stages.items()
        },
    }


def _in_own_process(options: argparse.Namespace, variant: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.throughput", str(options.clip), "--one", variant]
    command += ["--config", options.config, "--end", str(options.end)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {variant}: {figures['fps']:.2f} frames/s", file=sys.stderr)
    return figures


def _medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same structure with the median of each number."""
    return {
        key: _medians([one[key] for one in rounds])
        if isinstance(value, dict)
        else statistics.median(one[key] for one in rounds)
        for key, value in rounds[0].items()
    }


def stages_alone_s(inline: dict[str, Any]) -> float:
    """CPU seconds per frame of all stages in the inline executor; the encoder's parts are inside it."""
    milliseconds: list[float] = [v["cpu"] for stage, v in inline["stages"].items() if stage not in PARTS]
    return sum(milliseconds) / 1000


def _executor_table(figures: dict[str, Any]) -> str:
    alone = stages_alone_s(figures["inline/fused"])
    local = figures["local/fused"]["fps"]
    lines = [
        "| executor | frames/s | of local | CPU s/frame | of the stages alone | start-up s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['fps']:.2f} | {row['fps'] / local:.2f} | {row['cpu_s_per_frame']:.3f} "
        f"| {row['cpu_s_per_frame'] / alone:.2f} | {row['start_up_s']:.1f} |"
        for name, row in figures.items()
    ]
    return "\n".join(lines) + "\n"


def _stage_table(figures: dict[str, Any]) -> str:
    """Wall and CPU milliseconds per frame alone (inline), and the wall time in the other executors."""
    names = list(figures)
    lines = [
        f"| stage | CPU ms, alone | {' | '.join(f'ms, {name}' for name in names)} |",
        "|---|---|" + "---|" * len(names),
    ]
    for stage, measures in figures["inline/fused"]["stages"].items():
        cpu = f"{measures['cpu']:.1f}" if "cpu" in measures else ""
        walls = [f"{figures[name]['stages'][stage]['wall']:.1f}" for name in names]
        label = f"— {stage}" if stage in PARTS else stage
        lines.append(f"| {label} | {cpu} | {' | '.join(walls)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
