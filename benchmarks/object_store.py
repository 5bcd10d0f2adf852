"""What goes through Ray's object store for each frame, by placement and replicas.

    python -m benchmarks.object_store CLIP [--config street] [--set KEY=VALUE] [--end 3]

The sizes are Ray's own, of all that the calls of all frames make; what is smaller than INLINE_BYTES travels
with the calls. With it, the most that the store held when a frame was done. Encoding makes nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.machine import machine_line
from pipeline.executor import Ref
from pipeline.host import Call
from pipeline.ray_executor import RayExecutor

INLINE_BYTES = 100 * 1024
"""Up to there Ray puts nothing into the store."""
VARIANTS = (("fused", 1), ("fused", 2), ("split", 1), ("split", 2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--config", default="street")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--end", type=float, default=3.0, help="seconds of the clip")
    options = parser.parse_args(arguments)
    print(f"{options.clip.name}, {options.config}; {machine_line()}\n")
    print("| placement | replicas | MB a frame | objects a frame | store at the most, MB |")
    print("|---|---|---|---|---|", flush=True)
    for placement, replicas in VARIANTS:
        overrides = [*options.overrides, f"run.placement={placement}", f"run.replicas={replicas}"]
        seen = measure(options.clip, options.config, overrides, options.end)
        print(
            f"| {placement} | {replicas} | {seen.bytes_made / seen.num_frames / 1e6:.2f} "
            f"| {seen.objects_made / seen.num_frames:.1f} | {seen.most_held_bytes / 1e6:.0f} |",
            flush=True,
        )


@dataclass(slots=True)
class Seen:
    """Of all frames."""

    num_frames: int = 0
    bytes_made: int = 0
    objects_made: int = 0
    most_held_bytes: float = 0.0


def measure(clip: Path, config: str, overrides: Sequence[str], end_s: float) -> Seen:
    """Run the clip; look at what each call has made."""
    from configs.loading import load_settings
    from pipeline import Progress, run
    from stages.source import expand_sources

    settings = load_settings(config, ["run.executor=ray", *overrides])
    seen, made = Seen(), list[Ref]()
    submit = RayExecutor.submit

    def submit_and_note(
        self: RayExecutor, host: str, call: Call, inputs: Sequence[Ref], num_outputs: int
    ) -> tuple[Ref, ...]:
        refs = submit(self, host, call, inputs, num_outputs)
        made.extend(refs)
        return refs

    def look(progress: Progress) -> None:
        sizes, waiting = sizes_of(made)
        made[:] = waiting
        seen.num_frames = progress.num_done
        seen.bytes_made += sum(sizes)
        seen.objects_made += len(sizes)
        seen.most_held_bytes = max(seen.most_held_bytes, held_bytes())

    with tempfile.TemporaryDirectory() as folder, patch.object(RayExecutor, "submit", submit_and_note):
        sources = expand_sources([str(clip)], end_s=end_s)
        (report,) = run(sources, settings, Path(folder) / "out", on_progress=look)
    if report.status != "complete" or not seen.num_frames:
        raise SystemExit(f"the run ended with {report.status}, {report.num_frames} frames: {report.error}")
    return seen


def sizes_of(refs: list[Ref]) -> tuple[list[int], list[Ref]]:
    """Bytes of those that are done and in the store, and those that are not done."""
    import ray
    from ray.experimental import get_object_locations

    if not refs:
        return [], []
    done, waiting = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
    sizes = [place["object_size"] or 0 for place in get_object_locations(done).values()] if done else []
    return [size for size in sizes if size > INLINE_BYTES], waiting


def held_bytes() -> float:
    """What the store holds now."""
    import ray

    total, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    name = "object_store_memory"
    return float(total[name] - free.get(name, 0.0))


if __name__ == "__main__":
    main()
