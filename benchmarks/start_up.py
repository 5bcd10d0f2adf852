"""From the start of the program to its first frame: how long, and where the time goes.

    python -m benchmarks.start_up CLIP [--config street] [--set KEY=VALUE] [--rounds 3]

Runs under Ray with placement `fused`, each round in a process of its own; prints the medians. The first
round is left out: it brings the files into the system's memory. The steps follow one another, as the
host of the model is the last to be ready.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import machine_line
from configs.schema import Settings

STEPS = {
    "program": "Python and the driver's own modules",
    "ray": "ray.init, and the model's worker process",
    "torch": "import of torch and torchvision there",
    "network": "the rest of the stages' modules, and the weights",
    "frame": "the first frame, decoded and through the model",
}
"""In their order."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or (with --began) one round of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--config", default="street")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--began", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.began is not None:
        print(json.dumps(measure(options.clip, options.config, options.overrides, options.began)))
        return
    rounds = [_in_own_process(options) for _ in range(options.rounds + 1)][1:]
    print(f"{options.clip.name}, {options.config}, median of {options.rounds}; {machine_line()}\n")
    print("| step | s |\n|---|---|")
    for step, what in STEPS.items():
        print(f"| {what} | {statistics.median(one[step] for one in rounds):.1f} |")
    print(f"| all of it | {statistics.median(sum(one.values()) for one in rounds):.1f} |")


def measure(clip: Path, config: str, overrides: Sequence[str], began_s: float) -> dict[str, float]:
    """Step to its seconds; the program was started at `began_s` of the monotonic clock."""
    from configs.loading import load_settings
    from pipeline import Progress, run
    from stages.source import expand_sources

    given = ["run.executor=ray", "run.placement=fused", "run.replicas=1", *overrides]
    settings = load_settings(config, given)
    times_s: list[float] = []

    def on_progress(progress: Progress) -> None:
        times_s.append(time.monotonic())

    with tempfile.TemporaryDirectory() as folder:
        marks = Path(folder, "marks")
        running_s = time.monotonic()
        sources = expand_sources([str(clip)], end_s=1.0)
        factory = partial(build_and_mark, marks=str(marks))
        run(sources, settings, Path(folder, "out"), on_progress=on_progress, factory=factory)
        entered_s, imported_s, *built_s = map(float, marks.read_text().split())
    ends_s = [began_s, running_s, entered_s, imported_s, built_s[-1], times_s[1]]
    return {step: end - start for step, start, end in zip(STEPS, ends_s, ends_s[1:], strict=False)}


def build_and_mark(name: str, settings: Settings, marks: str) -> object:
    """The stage of that name. Of the model's: marks when building began, when torch was there, and each."""
    from stages import build_stage

    if name in ("decode", "encode"):
        return build_stage(name, settings)
    with Path(marks).open("a") as file:
        if file.tell() == 0:
            print(time.monotonic(), file=file)
            for module in ("torch", "torchvision"):
                importlib.import_module(module)
            print(time.monotonic(), file=file)
        stage = build_stage(name, settings)
        print(time.monotonic(), file=file)
    return stage


def _in_own_process(options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.start_up", str(options.clip), "--config", options.config]
    command += [f"--set={override}" for override in options.overrides]
    command += ["--began", str(time.monotonic())]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    steps: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return steps


if __name__ == "__main__":
    main()
