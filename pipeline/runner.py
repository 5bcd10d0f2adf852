"""The whole of a run: resolve the settings, start the hosts, drive the streams, write the reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from pipeline.budget import Limits, fit
from pipeline.executor import Executor, open_executor
from pipeline.host import StageFactory
from pipeline.interrupt import Interrupt
from pipeline.placement import Plan, make_plan
from pipeline.report import Status, StreamReport, describe_work, write_run_json, write_started
from pipeline.resume import Earlier, ResumePoint, find_earlier
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
    """Frames whose panoptic map is made. Told once when the hosts are ready: 0, or those of a resumed run."""
    num_frames: int | None
    """Frames that the source promises; None when it does not say."""


OnProgress = Callable[[Progress], None]


def run(
    sources: Sequence[Source],
    settings: Settings,
    output: Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    factory: StageFactory = build_stage,
) -> list[StreamReport]:
    """Process every source into `output`/<its name>; one report each, in order.

    A source or an output that cannot be used raises before anything is started. A failure or a
    Ctrl-C later does not: the report of that stream says so, its results up to there are valid,
    and the streams after it are not begun.

    `resume`: go on where an earlier run into `output` stopped, with the results of one that did not.
    """
    from stages.results import prepare_output
    from stages.source import probe

    started_s = time.monotonic()
    limit_spinning()
    infos = [probe(source) for source in sources]
    settings = resolve(settings)
    limits = [fit(info.size, settings) for info in infos]
    works = [describe_work(source, settings, limit) for source, limit in zip(sources, limits, strict=True)]
    names = [source.name for source in sources]
    earlier: Mapping[str, Earlier] = {}
    if resume:
        earlier = find_earlier(output, dict(zip(names, works, strict=True)))
    else:
        prepare_output(output, names, overwrite=overwrite)
    streams = [
        Stream(source=source, info=info, limits=limit, work=work, output=output / source.name)
        for source, info, limit, work in zip(sources, infos, limits, works, strict=True)
    ]
    reports: list[StreamReport] = []
    if all(name in earlier and earlier[name].complete for name in names):
        return [_report_again(stream, earlier[stream.source.name]) for stream in streams]
    plan = make_plan(settings)
    executor = open_executor(plan, settings, factory)
    try:
        executor.wait_until_ready()
        context = RunContext(
            plan=plan,
            executor=executor,
            start_up_s=time.monotonic() - started_s,
            on_progress=on_progress or (lambda progress: None),
        )
        with Interrupt() as interrupt:
            for stream in streams:
                before = earlier.get(stream.source.name)
                if before is not None and before.complete:
                    reports.append(_report_again(stream, before))
                    continue
                reports.append(_run_stream(context, stream, before.point if before else None, interrupt))
                if reports[-1].status != "complete":
                    break
    finally:
        executor.close()
    return reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of a run."""

    source: Source
    info: SourceInfo
    limits: Limits
    work: Mapping[str, Any]
    """What is made of what, for run.json."""
    output: Path
    """Folder of its results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What all streams of a run share."""

    plan: Plan
    executor: Executor
    start_up_s: float
    on_progress: OnProgress


def _run_stream(
    context: RunContext, stream: Stream, start: ResumePoint | None, interrupt: Interrupt
) -> StreamReport:
    name = stream.source.name

    def on_frame(num_done: int) -> None:
        progress = Progress(stream=name, num_done=num_done, num_frames=stream.info.num_frames)
        context.on_progress(progress)

    write_started(stream.output, stream.work)
    num_before = start.num_frames if start is not None else 0
    on_frame(num_before)
    clock_s = [time.monotonic()]
    driver = StreamDriver(
        source=stream.source,
        output=stream.output.absolute(),  # a worker may have another working folder
        plan=context.plan,
        limits=stream.limits,
        executor=context.executor,
        interrupt=interrupt,
        on_frame=on_frame,
        start=start,
    )
    try:
        driver.process()
        clock_s.append(time.monotonic())
        driver.finish()
    except KeyboardInterrupt:
        log.info("%s: stopped at once; --resume goes on", name)
    clock_s.append(time.monotonic())
    report = _report(context, stream, driver, num_before, clock_s)
    write_run_json(report, stream.work)
    return report


def _report_again(stream: Stream, earlier: Earlier) -> StreamReport:
    """Of a stream that was complete already."""
    return StreamReport(
        stream=stream.source.name,
        status="complete",
        output=stream.output,
        num_frames=earlier.report["frames"],
        fps=earlier.report["fps"],
        seconds=earlier.report["seconds"],
        stages=earlier.report["stages"],
        lost_frames=earlier.report["lost_frames"],
        corrupt_packets=earlier.report["corrupt_packets"],
        warnings=(f"{stream.source.name}: was complete already; nothing was done",),
    )


def _report(
    context: RunContext,
    stream: Stream,
    driver: StreamDriver,
    num_before: int,
    clock_s: Sequence[float],
) -> StreamReport:
    status: Status = "failed" if driver.error else "complete" if driver.complete else "interrupted"
    run_s, total_s = clock_s[1] - clock_s[0], clock_s[-1] - clock_s[0]
    lost, corrupt = _losses(stream.info, driver) if status == "complete" else (0, _corrupt(driver))
    name = stream.source.name
    return StreamReport(
        stream=name,
        status=status,
        output=stream.output,
        num_frames=driver.num_written,
        fps=(driver.num_written - num_before) / total_s if total_s > 0 else 0.0,
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
        warnings=_warnings(name, lost, corrupt),
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
