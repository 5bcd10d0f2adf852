"""How the rate grows with the replicas, when the model's work does not need this machine's cores.

    python -m benchmarks.scale [--replicas 1 2 4 8] [--sleep-ms 400] [--rounds 5] [--batch-frames 1]

All stages do next to nothing, but `detect` sleeps, as if another machine or a graphics card computed. What
is left is the pipeline: Ray's calls and its object store, through which every frame goes, and the driver.
Prints frames a second, that as a part of linear growth, and the driver's CPU time per frame, which bounds
how many frames a second one driver can keep up with. The first block of frames of each replica is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.machine import machine_line
from configs.schema import RunSettings, Settings
from pipeline.budget import fit
from pipeline.executor import open_executor
from pipeline.interrupt import Interrupt
from pipeline.placement import BLOCK_BATCHES, make_plan
from pipeline.stream import StreamDriver
from pipeline.streams import WaitingStream, drive
from stages.messages import Checkpoint, Cursor, Frame, Panoptic
from stages.source import Source

NO_LIMIT_BYTES = 10**12


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--sleep-ms", type=float, default=400.0)
    parser.add_argument("--batch-frames", type=int, default=1, help="frames in one call")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of frames for each replica")
    parser.add_argument("--frame-px", type=int, nargs=2, default=[854, 480], metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args(arguments)
    width, height = options.frame_px
    print(
        f"detect sleeps {options.sleep_ms:g} ms; frames of {width}x{height}, {options.batch_frames} a call; "
        f"{machine_line()}\n"
    )
    print("| replicas | frames/s | of linear | driver, CPU ms/frame |\n|---|---|---|---|", flush=True)
    for replicas in options.replicas:
        run = RunSettings(
            executor="ray",
            placement="fused",
            replicas=replicas,
            batch_frames=options.batch_frames,
            device="cpu",
            threads=1,
        )
        result = measure(Settings(run=run), options.sleep_ms / 1000, options.rounds, (height, width))
        linear = replicas / (options.sleep_ms / 1000)
        print(
            f"| {replicas} | {result.rate:.2f} | {result.rate / linear:.2f} | {result.driver_ms:.2f} |",
            flush=True,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """Of one number of replicas."""

    rate: float
    """Frames a second."""
    driver_ms: float
    """CPU time of the driver's process per frame."""


def measure(settings: Settings, sleep_s: float, rounds: int, size: tuple[int, int]) -> Result:
    """Run a stream of made frames through Ray, so many blocks for each replica after its first one."""
    block_frames = settings.run.replicas * BLOCK_BATCHES * settings.run.batch_frames
    num_frames = (1 + rounds) * block_frames
    plan = make_plan(settings)
    factory = partial(_build, sleep_s=sleep_s, num_frames=num_frames, size=size)
    executor = open_executor(plan, settings, factory)
    times_s: list[float] = []
    cpu_s: list[float] = []

    def on_frame(num_done: int) -> None:
        times_s.append(time.monotonic())
        cpu_s.append(time.process_time())

    def start(output: str) -> StreamDriver:
        return StreamDriver(
            source=Source(name="made", kind="pictures", paths=()),
            output=Path(output),
            plan=plan,
            limits=fit(size, settings, NO_LIMIT_BYTES),
            executor=executor,
            interrupt=Interrupt(),
            on_frame=on_frame,
        )

    ended: list[StreamDriver] = []
    try:
        executor.wait_until_ready()
        with tempfile.TemporaryDirectory() as output:
            drive([WaitingStream(needed_bytes=0, start=partial(start, output))], executor, 1, 1, ended.append)
    finally:
        executor.close()
    assert ended[0].complete, ended[0].error
    first = block_frames - 1
    counted = num_frames - 1 - first
    return Result(
        rate=counted / (times_s[-1] - times_s[first]),
        driver_ms=1000 * (cpu_s[-1] - cpu_s[first]) / counted,
    )


def _build(
    name: str, settings: Settings, *, sleep_s: float, num_frames: int, size: tuple[int, int]
) -> object:
    match name:
        case "decode":
            return partial(_decode, num_frames=num_frames, size=size)
        case "detect":
            return partial(_detect, sleep_s=sleep_s)
        case "encode":
            return _Encode()
    return {"features": _features, "flow": _flow, "fuse": _fuse, "track": _track, "panoptic": _panoptic}[name]


def _decode(
    source: Source, cursor: Cursor | None, *, num_frames: int, size: tuple[int, int]
) -> tuple[Frame | None, Cursor]:
    index = cursor.index + 1 if cursor is not None else 0
    if index == num_frames:
        return None, Cursor(index=index - 1, source_index=index - 1, pts=index - 1, ended=True)
    image = np.zeros((*size, 3), np.uint8)
    frame = Frame(index=index, pts=index, time_base=Fraction(1, 25), duration=1, image=image)
    return frame, Cursor(index=index, source_index=index, pts=index)


def _features(frame: Frame) -> tuple[int, int]:
    return frame.size


def _flow(frame: Frame, previous: Frame | None) -> None:
    return None


def _fuse(current: tuple[int, int], previous: tuple[int, int] | None, moved: None) -> tuple[int, int]:
    return current


def _detect(fused: tuple[int, int], *, sleep_s: float) -> tuple[int, int]:
    time.sleep(sleep_s)
    return fused


def _track(detections: tuple[int, int], memory: int | None) -> tuple[int, int]:
    return (memory or 0) + 1, (memory or 0) + 1


def _panoptic(detections: tuple[int, int], tracks: int) -> Panoptic:
    return Panoptic(index=tracks - 1, label_map=np.zeros(detections, np.uint8), segments=())


@dataclass(frozen=True, slots=True)
class _Written:
    seconds: dict[str, float]


class _Encode:
    """Writes nothing."""

    def __call__(
        self,
        source: Source,
        output: str,
        frames: Sequence[Frame],
        panoptics: Sequence[Panoptic],
        checkpoint: Checkpoint,
    ) -> _Written:
        assert [frame.index for frame in frames] == [panoptic.index for panoptic in panoptics]
        return _Written(seconds={})

    def finish(self, source: Source, output: str) -> None:
        """Nothing to join."""


if __name__ == "__main__":
    main()
