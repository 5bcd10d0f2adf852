"""The whole of a run: resolve the settings, start the hosts, drive the streams, write the reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import OutputError, SourceError
from configs.resolve import limit_spinning, resolve
from configs.schema import Settings
from pipeline.budget import (
    STORE_BYTES,
    Limits,
    budget_bytes,
    check_room,
    fit,
    for_live,
    for_sources,
    needed_bytes,
)
from pipeline.claim import claimed
from pipeline.cluster import look_at
from pipeline.executor import Executor, open_executor
from pipeline.host import StageFactory
from pipeline.interrupt import Interrupt
from pipeline.placement import Plan, make_plan
from pipeline.relay import relayed
from pipeline.report import Status, StreamReport, describe_work, write_run_json, write_running
from pipeline.resume import Earlier, find_earlier
from pipeline.shares import Entry
from pipeline.stream import StreamDriver
from pipeline.streams import WaitingStream, drive
from stages import build_stage
from stages.results import Layout, prepare_output, remove_parts

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
    state: str | None = None
    """Of a live source."""


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
    Ctrl-C later does not: the report of that stream says so, and its results up to there are valid.
    Other streams go on after a failure; after a Ctrl-C none is begun.

    `resume`: go on where an earlier run into `output` stopped, with the results of one that did not.
    """
    from stages.source import probe
    from stages.video_open import recognised

    started_s = time.monotonic()
    limit_spinning()
    if settings.run.address.startswith("ray://") and (pipe := next((s for s in sources if s.is_pipe), None)):
        raise SourceError(
            f"{pipe.label}: a Ray Client reads no pipe; write it into a file, or run on the head"
        )
    with relayed(sources) as (sources, relays_settled):
        sources = [recognised(replace(source, rules=settings.input)) for source in sources]
        infos = [probe(source) for source in sources]
        relays_settled.set()
        settings = for_sources(sources, settings)
        cluster = look_at(settings)
        settings = resolve(settings, cluster.num_cards if cluster is not None else None)
        budget = budget_bytes(settings, cluster.store_bytes if cluster is not None else STORE_BYTES)
        limits = [
            fit(info.size, for_live(settings) if source.is_live else settings, budget)
            for source, info in zip(sources, infos, strict=True)
        ]
        of_streams = list(zip(sources, infos, limits, strict=True))
        check_room([needed_bytes(i.size, settings, limit) for s, i, limit in of_streams if s.is_live], budget)
        works = [
            describe_work(source, info, settings, limit)
            for source, info, limit in zip(sources, infos, limits, strict=True)
        ]
        names = [source.name for source in sources]
        with claimed([output / name for name in names]):
            earlier = _prepare(
                output, dict(zip(names, works, strict=True)), overwrite=overwrite, resume=resume
            )
            streams = [
                Stream(
                    source=source,
                    info=info,
                    limits=limit,
                    work=work,
                    earlier=earlier.get(source.name),
                    output=output / source.name,
                )
                for source, info, limit, work in zip(sources, infos, limits, works, strict=True)
            ]
            left = [stream for stream in streams if stream.earlier is None or not stream.earlier.complete]
            done = _run_streams(left, settings, budget, factory, started_s, on_progress) if left else {}
            done |= {
                name: _report_again(name, output / name, earlier[name]) for name in names if name not in done
            }
        return [done[name] for name in names]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream of a run."""

    source: Source
    info: SourceInfo
    limits: Limits
    work: Mapping[str, Any]
    """What is made of what, for run.json."""
    earlier: Earlier | None
    """What an earlier run made of it, to go on from."""
    output: Path
    """Folder of its results."""

    @property
    def hosts(self) -> Sequence[Entry]:
        """Which process did which frames of the earlier part, for run.json."""
        return self.earlier.hosts if self.earlier is not None else ()


def _prepare(
    output: Path, works: Mapping[str, Mapping[str, Any]], *, overwrite: bool, resume: bool
) -> Mapping[str, Earlier]:
    """Make the folders ready, with a run.json in each; what an earlier run made of the streams.

    `works`: what is to be made of each stream, by name.
    """
    earlier: Mapping[str, Earlier] = {}
    if resume:
        earlier = find_earlier(output, works)
    else:
        prepare_output(output, tuple(works), overwrite=overwrite)
    for name, work in works.items():
        found = earlier.get(name)
        if found is None or not found.complete:
            write_running(output / name, work, found.hosts if found is not None else ())
    return earlier


def _run_streams(
    streams: Sequence[Stream],
    settings: Settings,
    budget: int,
    factory: StageFactory,
    started_s: float,
    on_progress: OnProgress | None,
) -> dict[str, StreamReport]:
    """The reports of all streams, by name."""
    plan = make_plan(settings)
    executor = open_executor(plan, settings, factory)
    try:
        executor.wait_until_ready()
        with Interrupt() as interrupt:
            running = RunningStreams(
                plan=plan,
                executor=executor,
                interrupt=interrupt,
                start_up_s=time.monotonic() - started_s,
                on_progress=on_progress or (lambda progress: None),
            )
            waiting = [
                WaitingStream(
                    needed_bytes=needed_bytes(stream.info.size, settings, stream.limits),
                    start=partial(running.start, stream),
                )
                for stream in streams
            ]
            try:
                drive(waiting, executor, settings.run.streams_at_once, budget, running.end)
            except KeyboardInterrupt:
                log.debug("stopped at once")
            running.stop(streams)
    finally:
        executor.close()
    return running.reports


class RunningStreams:
    """Makes the driver of each stream, and its report when it has ended."""

    def __init__(
        self,
        *,
        plan: Plan,
        executor: Executor,
        interrupt: Interrupt,
        start_up_s: float,
        on_progress: OnProgress,
    ) -> None:
        self._plan, self._executor, self._interrupt = plan, executor, interrupt
        self._start_up_s, self._on_progress = start_up_s, on_progress
        self._running: dict[StreamDriver, tuple[Stream, int]] = {}
        """With the frames that an earlier run had written."""
        self._num_begun = 0
        self._told: dict[str, Progress] = {}
        """The last of each stream."""
        self.reports: dict[str, StreamReport] = {}

    def start(self, stream: Stream) -> StreamDriver | None:
        """None after Ctrl-C."""
        if self._interrupt.requested:
            return None
        point = stream.earlier.point if stream.earlier is not None else None
        num_before = point.num_frames if point is not None else 0
        driver = StreamDriver(
            source=stream.source,
            output=stream.output.absolute(),  # a worker may have another working folder
            plan=self._plan,
            limits=stream.limits,
            executor=self._executor,
            interrupt=self._interrupt,
            on_frame=partial(self._tell, stream),
            on_state=partial(self._tell_state, stream),
            start=point,
            number=self._num_begun,
        )
        self._num_begun += 1
        self._running[driver] = stream, num_before
        self._tell(stream, num_before)
        return driver

    def end(self, driver: StreamDriver) -> None:
        """Write the report of a stream."""
        stream, num_before = self._running[driver]
        hosts = [*stream.hosts, *driver.shares.entries(self._plan)]
        self._write(stream, _report(stream, driver, num_before, self._start_up_s, hosts))
        del self._running[driver]

    def stop(self, streams: Sequence[Stream]) -> None:
        """Write the reports of those that have not ended, and of those that were not begun."""
        for driver in list(self._running):
            self.end(driver)
        for stream in streams:
            if stream.source.name not in self.reports:
                self._write(stream, _report_of_none(stream, self._start_up_s))

    def _write(self, stream: Stream, report: StreamReport) -> None:
        try:
            write_run_json(report, stream.work)
            if report.status == "complete":  # and only now, so that a run that is cut off here can go on
                remove_parts(Layout(stream.output))
        except OutputError as error:
            report = replace(report, status="failed", error=report.error or error)
        self.reports[stream.source.name] = report

    def _tell(self, stream: Stream, num_done: int) -> None:
        name = stream.source.name
        state = self._told[name].state if name in self._told else None
        self._told[name] = Progress(
            stream=name, num_done=num_done, num_frames=stream.info.num_frames, state=state
        )
        self._on_progress(self._told[name])

    def _tell_state(self, stream: Stream, live: Mapping[str, Any]) -> None:
        name = stream.source.name
        self._told[name] = replace(self._told[name], state=live["state"])
        self._on_progress(self._told[name])
        try:
            write_running(stream.output, stream.work, stream.hosts, live)
        except OutputError as error:
            log.warning("%s", error)


def _report_again(name: str, output: Path, earlier: Earlier) -> StreamReport:
    """Of a stream that was complete already."""
    return StreamReport(
        stream=name,
        status="complete",
        output=output,
        num_frames=earlier.report["frames"],
        fps=earlier.report["fps"],
        seconds=earlier.report["seconds"],
        stages=earlier.report["stages"],
        hosts=earlier.report.get("hosts", ()),
        lost_frames=earlier.report["lost_frames"],
        corrupt_packets=earlier.report["corrupt_packets"],
        live=earlier.report.get("live"),
        warnings=(f"{name}: was complete already; nothing was done",),
    )


def _report_of_none(stream: Stream, start_up_s: float) -> StreamReport:
    """Of a stream that was not begun."""
    return StreamReport(
        stream=stream.source.name,
        status="interrupted",
        output=stream.output,
        num_frames=0,
        fps=0.0,
        seconds={"start_up": start_up_s, "run": 0.0, "finish": 0.0, "total": start_up_s},
        stages={},
        hosts=stream.hosts,
    )


def _report(
    stream: Stream, driver: StreamDriver, num_before: int, start_up_s: float, hosts: Sequence[Entry]
) -> StreamReport:
    status: Status = "failed" if driver.error else "complete" if driver.complete else "interrupted"
    lost, corrupt = _losses(stream.info, driver) if status == "complete" else (0, _corrupt(driver))
    run_s, finish_s = driver.clock.seconds()
    total_s = run_s + finish_s
    return StreamReport(
        stream=stream.source.name,
        status=status,
        output=stream.output,
        num_frames=driver.num_written,
        fps=(driver.num_written - num_before) / total_s if total_s > 0 else 0.0,
        seconds={
            "start_up": start_up_s,
            "run": run_s,
            "finish": finish_s,
            "total": start_up_s + total_s,
        },
        stages=driver.statistics.summary(),
        lost_frames=lost,
        corrupt_packets=corrupt,
        restarts=driver.restarts.all(),
        hosts=hosts,
        live=driver.live.summary() if driver.live is not None else None,
        warnings=_warnings(stream.source.name, lost, corrupt),
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
