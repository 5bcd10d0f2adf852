"""Drives one toy stream through an executor, as the runner does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.budget import Limits
from pipeline.executor import open_executor
from pipeline.host import StageFactory
from pipeline.interrupt import Interrupt
from pipeline.placement import make_plan
from pipeline.stream import StreamDriver
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
) -> StreamDriver:
    """The driver after the stream was processed and finished."""
    settings = make_settings(executor_name, placement)
    plan = make_plan(settings)
    executor = open_executor(plan, settings, factory or make_factory())
    try:
        executor.wait_until_ready()
        driver = StreamDriver(
            source=source or ToySource(),  # type: ignore[arg-type]
            output=output,
            plan=plan,
            limits=limits or Limits(window_frames=3, run_frames=2),
            executor=executor,
            interrupt=interrupt or Interrupt(),
            on_frame=on_frame,
        )
        driver.process()
        driver.finish()
    finally:
        executor.close()
    return driver
