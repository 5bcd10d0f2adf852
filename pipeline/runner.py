"""The whole of a run: resolve the settings, start the hosts, drive the streams, write the reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from pipeline.budget import Limits, fit
from pipeline.executor import Executor, open_executor
from pipeline.host import StageFactory
from pipeline.interrupt import Interrupt
from pipeline.placement import Plan, make_plan
from pipeline.report import Status, StreamReport, write_run_json
from pipeline.stream import StreamDriver
from stages import build_stage

if TYPE_CHECKING:
    from stages.source import Source, SourceInfo

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a stream is."""

    stream: str
    num_done: int
    """Frames whose panoptic map is made; 0 once, when the hosts are ready."""
    num_frames: int | None
    """Frames that the source promises; None when it does not say."""


OnProgress = Callable[[Progress], None]


def run(
    sources: Sequence[Source],
    settings: Settings,
    output: Path,
    *,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    factory: StageFactory = build_stage,
) -> list[StreamReport]:
    """Process every source into `output`/<its name>; one report each, in order.

    A source or an output that cannot be used raises before anything is started. A failure or a
    Ctrl-C later does not: the report of that stream says so, its results up to there are valid,
    and the streams after it are not begun.
    """
    from stages.results import prepare_output
    from stages.source import probe

    started_s = time.monotonic()
    limit_spinning()
    infos = [probe(source) for source in sources]
    settings = resolve(settings)
    limits = [fit(info.size, settings) for info in infos]
    plan = make_plan(settings)
    prepare_output(output, [source.name for source in sources], overwrite=overwrite)
    reports: list[StreamReport] = []
    executor = open_executor(plan, settings, factory)
    try:
        executor.wait_until_ready()
        context = RunContext(
            plan=plan,
            settings=settings,
            factory=factory,
            executor=executor,
            start_up_s=time.monotonic() - started_s,
            on_progress=on_progress or (lambda progress: None),
        )
        with Interrupt() as interrupt:
            for source, info, limit in zip(sources, infos, limits, strict=True):
                reports.append(_run_stream(context, source, info, limit, output / source.name, interrupt))
                if reports[-1].status != "complete":
                    break
    finally:
        executor.close()
    return reports


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What all streams of a run share."""

    plan: Plan
    settings: Settings
    factory: StageFactory
    executor: Executor
    start_up_s: float
    on_progress: OnProgress


def _run_stream(
    context: RunContext, source: Source, info: SourceInfo, limits: Limits, output: Path, interrupt: Interrupt
) -> StreamReport:
    def on_frame(num_done: int) -> None:
        progress = Progress(stream=source.name, num_done=num_done, num_frames=info.num_frames)
        context.on_progress(progress)

    on_frame(0)
    clock_s = [time.monotonic()]
    driver = StreamDriver(
        source=source,
        output=output.absolute(),  # a worker may have another working folder
        plan=context.plan,
        limits=limits,
        executor=context.executor,
        interrupt=interrupt,
        on_frame=on_frame,
    )
    stopped = False
    try:
        driver.process()
        clock_s.append(time.monotonic())
        driver.finish()
    except KeyboardInterrupt:
        stopped = True
    clock_s.append(time.monotonic())
    report = _report(context, info, driver, source.name, output, clock_s, interrupt.requested or stopped)
    write_run_json(report, source, context.settings, limits)
    return report


def _report(
    context: RunContext,
    info: SourceInfo,
    driver: StreamDriver,
    stream: str,
    output: Path,
    clock_s: Sequence[float],
    interrupted: bool,
) -> StreamReport:
    status: Status = "failed" if driver.error else "interrupted" if interrupted else "complete"
    run_s, total_s = clock_s[1] - clock_s[0], clock_s[-1] - clock_s[0]
    lost, corrupt = _losses(info, driver) if status == "complete" else (0, _corrupt(driver))
    return StreamReport(
        stream=stream,
        status=status,
        output=output,
        num_frames=driver.num_written,
        fps=driver.num_written / total_s if total_s > 0 else 0.0,
        seconds={
            "start_up": context.start_up_s,
            "run": run_s,
            "finish": total_s - run_s,
            "total": context.start_up_s + total_s,
        },
        stages=driver.statistics.summary(),
        lost_frames=lost,
        corrupt_packets=corrupt,
        restarts=tuple(driver.restarts.done),
        warnings=_warnings(stream, lost, corrupt),
        error=driver.error,
    )


def _losses(info: SourceInfo, driver: StreamDriver) -> tuple[int, int]:
    from stages.source import lost_frames

    return (lost_frames(info, driver.cursor) if driver.cursor is not None else 0), _corrupt(driver)


def _corrupt(driver: StreamDriver) -> int:
    return driver.cursor.corrupt_packets if driver.cursor is not None else 0


def _warnings(stream: str, lost: int, corrupt: int) -> tuple[str, ...]:
    if not lost and not corrupt:
        return ()
    return (
        f"{stream}: the source is damaged: {lost} frames are missing and {corrupt} packets could not be "
        "decoded; what could be decoded was processed",
    )
