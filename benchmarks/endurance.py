"""A live stream watched for long: memory, open files and the age of the frames must stay flat.

    python -m benchmarks.endurance ADDRESS [--minutes 120] [--executor ray] [--config tiny] [--set KEY=VALUE]

ADDRESS is any live source. Memory is the proportional set size of the program and all that it has started,
the object store included; open files are counted over all of these; the age of a frame is the time from its
picture's coming to its PNG being written. Prints each of up to twenty parts of the run, and the growth from
`SETTLED` of it, or from minute 5, to the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.machine import machine_line
from benchmarks.process_tree import tree_usage
from pipeline.processes import descendants

PROGRAM = Path(__file__).resolve().parent.parent / "run_pipeline.py"
SAMPLE_S = 2.0
SETTLED_S = 300.0
SETTLED = 1 / 3
PARTS = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What the processes hold at one time."""

    at_s: float
    """Seconds since 1970."""
    memory_bytes: int
    open_files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What was seen of a run."""

    samples: Sequence[Sample]
    ages: Sequence[tuple[float, float]]
    """Of each frame when it was written, in seconds since 1970, and its age in seconds."""
    live: dict[str, object]
    """The part of run.json on the live source."""

    def settled_s(self) -> float:
        """From when on nothing should grow."""
        first_s, last_s = self.samples[0].at_s, self.samples[-1].at_s
        return first_s + min(SETTLED_S, SETTLED * (last_s - first_s))

    def growth(self) -> float:
        """Of the memory since then, as a part; medians of a fifth of the time at each end."""
        late = [sample for sample in self.samples if sample.at_s >= self.settled_s()]
        fifth = max(1, len(late) // 5)
        first, last = (
            statistics.median(sample.memory_bytes for sample in part)
            for part in (late[:fifth], late[-fifth:])
        )
        return last / first - 1

    def age_growth_s(self) -> float:
        """Of the median age since then, likewise."""
        late = [age for at_s, age in self.ages if at_s >= self.settled_s()]
        fifth = max(1, len(late) // 5)
        return statistics.median(late[-fifth:]) - statistics.median(late[:fifth])


def watch(source: str, output: Path, minutes: float, options: Sequence[str]) -> Watched:
    """Run on the source for so long; SystemExit if the run fails."""
    command = [sys.executable, str(PROGRAM), "run", source, "--output", str(output), *options]
    run = subprocess.Popen([*command, "--end", str(minutes * 60)], stdout=subprocess.DEVNULL)
    samples: list[Sample] = []
    while run.poll() is None:
        time.sleep(SAMPLE_S)
        if any(output.glob("*/segments")):
            samples.append(Sample(time.time(), tree_usage(run.pid).memory_bytes, _open_files(run.pid)))
    if run.returncode:
        raise SystemExit(f"the run ended with exit code {run.returncode}")
    (stream,) = output.iterdir()
    ages = [age for segment in sorted((stream / "segments").iterdir()) for age in _ages(segment)]
    live = json.loads((stream / "run.json").read_text())["live"]
    return Watched(samples=samples[:-1], ages=ages, live=live)  # the last one may see the program end


def _open_files(root: int) -> int:
    count = 0
    for pid in descendants(root):
        try:
            count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:  # it has gone
            continue
    return count


def _ages(segment: Path) -> list[tuple[float, float]]:
    ages = []
    for image in json.loads((segment / "panoptic.json").read_text())["images"]:
        written_s = (segment / "panoptic" / image["file_name"]).stat().st_mtime
        ages.append((written_s, written_s - datetime.fromisoformat(image["captured_at"]).timestamp()))
    return ages


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--executor", default="ray", choices=("ray", "local", "inline"))
    parser.add_argument("--config", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    options = parser.parse_args(arguments)
    settings = [word for rule in options.overrides for word in ("--set", rule)]
    given = ["--executor", options.executor, "--config", options.config, *settings]
    with tempfile.TemporaryDirectory() as folder:
        watched = watch(options.source, Path(folder), options.minutes, given)
    print(f"{options.executor}, {options.config}, {options.minutes:g} minutes; {machine_line()}\n")
    print("| minute | frames | age ms, median | 95% | memory MB | open files |\n|---|---|---|---|---|---|")
    first_s, last_s = watched.samples[0].at_s, watched.samples[-1].at_s
    length_s = (last_s - first_s) / PARTS
    for part in range(PARTS):
        begin_s, end_s = first_s + part * length_s, first_s + (part + 1) * length_s
        ages = sorted(1000 * age for at_s, age in watched.ages if begin_s <= at_s < end_s)
        held = [sample for sample in watched.samples if begin_s <= sample.at_s < end_s]
        if ages and held:
            print(
                f"| {(end_s - first_s) / 60:.1f} | {len(ages)} | {statistics.median(ages):.0f} "
                f"| {ages[int(0.95 * len(ages))]:.0f} "
                f"| {statistics.median(sample.memory_bytes for sample in held) / 1e6:.0f} "
                f"| {statistics.median(sample.open_files for sample in held):.0f} |"
            )
    print(f"\nmemory {watched.growth():+.1%}, age {1000 * watched.age_growth_s():+.0f} ms; {watched.live}")


if __name__ == "__main__":
    main()
