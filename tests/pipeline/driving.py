"""Drives toy streams through an executor, as the runner does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipeline.budget import Limits
from pipeline.executor import open_executor
from pipeline.host import StageFactory
from pipeline.interrupt import Interrupt
from pipeline.placement import make_plan
from pipeline.stream import StreamDriver
from pipeline.streams import WaitingStream
from pipeline.streams import drive as drive_streams
from tests.pipeline.toy import ExecutorName, Placement, ToySource, make_factory, make_settings


def drive(
    output: Path,
    executor_name: ExecutorName,
    placement: Placement = "fused",
    *,
    source: ToySource | None = None,
    factory: StageFactory | None = None,
    limits: Limits | None = None,
    interrupt: Interrupt | None = None,
    on_frame: Callable[[int], None] = lambda num_done: None,
    replicas: int = 1,
    batch_frames: int = 1,
) -> StreamDriver:
    """The driver of a stream that has ended; its results are in `output`."""
    (driver,) = drive_all(
        [(source or ToySource(), output)],
        executor_name,
        placement,
        factory=factory,
        limits=limits,
        interrupt=interrupt,
        on_frame=lambda name, num_done: on_frame(num_done),
        replicas=replicas,
        batch_frames=batch_frames,
    )
    return driver


def drive_all(
    sources: Sequence[tuple[ToySource, Path]],
    executor_name: ExecutorName,
    placement: Placement = "fused",
    *,
    factory: StageFactory | None = None,
    limits: Limits | None = None,
    interrupt: Interrupt | None = None,
    on_frame: Callable[[str, int], None] = lambda name, num_done: None,
    at_once: int = 64,
    budget_bytes: int = 100,
    replicas: int = 1,
    batch_frames: int = 1,
) -> list[StreamDriver]:
    """The drivers of several streams, in their order; each needs 10 bytes and has a folder of its own."""
    settings = make_settings(executor_name, placement, replicas, batch_frames)
    plan = make_plan(settings)
    executor = open_executor(plan, settings, factory or make_factory())
    drivers: list[StreamDriver] = []
    ended: list[StreamDriver] = []

    def start(source: ToySource, output: Path) -> StreamDriver:
        driver = StreamDriver(
            source=source,  # type: ignore[arg-type]
            output=output,
            plan=plan,
            limits=limits or Limits(window_frames=3, run_frames=2),
            executor=executor,
            interrupt=interrupt or Interrupt(),
            on_frame=partial(on_frame, source.name),
            number=len(drivers),
        )
        drivers.append(driver)
        return driver

    waiting = [WaitingStream(needed_bytes=10, start=partial(start, *source)) for source in sources]
    try:
        executor.wait_until_ready()
        drive_streams(waiting, executor, at_once, budget_bytes, ended.append)
    finally:
        executor.close()
    assert set(ended) == set(drivers)
    return drivers
