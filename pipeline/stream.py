"""The driver of one stream: it hands references from host to host, and bounds what is in flight.

It reads only the cursor of each frame (to learn of the end) and the reports; it touches no picture
and no tensor. Written once for all executors.

Frames go in batches of consecutive ones (`run.batch_frames`, one by default), a call each.
The life of a batch: `decode` is submitted when the window has room; once its cursor says how many frames
there are, all other groups are submitted at once, and dataflow orders them; when all are done, the batch
waits for its run to fill; full runs go to the encoder, at most two at a time.
How it ends: the source ends, or a stop is requested, or a call fails. Then nothing new is decoded,
the frames before the failed one are encoded, and the runs are joined.
A host that dies is replaced, and the stream goes back to the last batch that was done: a cursor and a
memory are all that the next one needs of the past, and calls are pure, so the results are the same.
A live source cannot be asked for a frame twice: what was decoded is kept until it is done.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.budget import Limits
from pipeline.executor import Executor, HostDiedError, Ref
from pipeline.graph import ENCODE, FRAME_RESULTS, MEMORY, SOURCE, Before
from pipeline.host import BatchCall, CallReport
from pipeline.interrupt import Interrupt
from pipeline.live import LiveWatch
from pipeline.placement import Group, Plan
from pipeline.restarts import JOIN, Restarts
from pipeline.resume import ResumePoint
from pipeline.runs import DoneBatch, RunWriter
from pipeline.shares import Shares
from pipeline.statistics import Statistics

if TYPE_CHECKING:
    from stages.messages import Cursor
    from stages.source import Source

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a decode call made."""

    values: Mapping[str, Ref]
    """Its outputs by name, and its report."""
    before: Cursor | None
    """Where decoding stood before it."""
    cursor: Cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchInFlight:
    """Frames between decoding and their panoptic maps."""

    index: int
    """Of the first one."""
    results: DoneBatch
    reports: tuple[tuple[str, Ref], ...]
    """Host and its report, in the order of submission."""
    past: Mapping[str, Ref]
    """Values that the next batch needs of this one."""
    decoded: Decoded

    @property
    def done(self) -> Ref:
        """Done when all is done: the report of the last group."""
        return self.reports[-1][1]


@dataclass(slots=True)
class Clock:
    """When a stream began, had written its last run, and had ended; None as long as it has not."""

    began_s: float | None = None
    joining_s: float | None = None
    ended_s: float | None = None

    def seconds(self) -> tuple[float, float]:
        """How long the stream ran, and how long its runs were joined; up to now if it has not ended."""
        end_s = self.ended_s or time.monotonic()
        joining_s = self.joining_s or end_s
        return joining_s - (self.began_s or joining_s), end_s - joining_s


class StreamDriver:
    """Runs one stream through the hosts of an executor, in steps: `submit`, wait, `take`, and again."""

    def __init__(
        self,
        *,
        source: Source,
        output: Path,
        plan: Plan,
        limits: Limits,
        executor: Executor,
        interrupt: Interrupt,
        on_frame: Callable[[int], None],
        on_state: Callable[[Mapping[str, Any]], None] = lambda summary: None,
        start: ResumePoint | None = None,
        number: int = 0,
    ) -> None:
        """`start`: where an earlier run of the program stopped; None: at the beginning.

        `number`: of the stream among those of the run. `on_state` is told when a live source's state changes.
        """
        self._stream = source.name
        self._decode, *self._groups = plan.groups
        # a live frame does not wait for others
        self._batch_frames = 1 if source.is_live else plan.batch_frames
        assert limits.window_frames >= self._batch_frames, "no batch would ever be decoded"
        assert limits.run_frames % self._batch_frames == 0, "a run would end inside of a batch"
        self._limits, self._executor, self._interrupt = limits, executor, interrupt
        self._on_frame, self._number = on_frame, number
        self._source = executor.put(source)
        self._start = start
        num_written = start.num_frames if start is not None else 0
        self._writer = RunWriter(
            executor,
            self._source,
            self._stream,
            str(output),
            limits.run_frames,
            num_written,
            start.segment if start is not None else None,
            start.unjoined if start is not None else None,
        )
        self._decoding: dict[str, Ref] | None = None
        """Outputs of the decode call under way."""
        links = [link for group in plan.groups for link in group.inputs]
        self._needed_later = {link.value for link in links if isinstance(link, Before)}
        self._past: Mapping[str, Ref] = {}
        """Values of the last batch that was submitted, as far as the next one needs them."""
        self._next_index = 0
        self._in_flight: deque[BatchInFlight] = deque()
        self._kept: deque[Decoded] = deque()
        """Frames of a live source that were in flight when a host died."""
        self._went_back_to: int | None = None
        """The batch that failed then."""
        self._last_done: BatchInFlight | None = None
        self._failed_index: int | None = None
        self._joining: Ref = None
        """The joining under way."""
        self.live = LiveWatch(on_state) if source.is_live else None
        self.clock = Clock()
        self.statistics = Statistics()
        self.shares = Shares()
        self.restarts = Restarts()
        self.num_done = num_written
        """Frames whose panoptic map was made."""
        self.cursor: Cursor | None = None
        """Where decoding stands."""
        self.complete = False
        """Is everything done, from the start of the source to its end?"""
        self.error: Exception | None = None
        """What the run failed of: the first in the order of the frames."""

    @property
    def waits_for_source(self) -> bool:
        """Has it to be asked again soon, although nothing that it waits for is done?"""
        return self.live is not None and self._decoding is None and not self._gets_no_more()

    @property
    def ended(self) -> bool:
        """Is all done that will be?"""
        return self.clock.ended_s is not None

    @property
    def num_written(self) -> int:
        """Frames in runs that were written."""
        return self._writer.num_written

    def submit(self) -> list[Ref]:
        """Submit whatever may be submitted now; what to wait for next.

        Nothing: the stream has ended, or its live source shows nothing.
        """
        if self.clock.began_s is None:
            self._begin()
            self.clock.began_s = time.monotonic()
        while self._kept and self._has_room():
            self._submit_rest(self._kept.popleft())
        if self._may_decode():
            self._submit_decode()
        self._writer.submit(flush=self._gets_none_soon())
        waiting = self._waiting()
        if not waiting and self._gets_no_more() and not self.ended:
            if self._joining is None:
                self._submit_joining()
            waiting = [self._joining]
        return waiting

    def take(self, done: set[Ref]) -> None:
        """Take in what is done; other streams' references among it do not matter."""
        while self._in_flight and self._in_flight[0].done in done:
            self._take_batch(self._in_flight.popleft())
        if self._decoding is not None and self._decoding["cursor"] in done and not self._kept:
            self._take_decoded(self._decoding)
        num_joined = self._writer.num_joined
        try:
            self._writer.take(done, self._take_run)
        except Exception as error:
            if not self._survives(error, ENCODE, self.num_written):
                self._writer.forget()
        if self.live is not None and self._writer.num_joined > num_joined:
            self.live.tell()
        if self._joining in done:
            self._take_joined(self._joining)

    def _waiting(self) -> list[Ref]:
        """What can bring the run forward: the next of each kind."""
        decoding = [self._decoding["cursor"]] if self._decoding is not None else []
        frames = [self._in_flight[0].done] if self._in_flight else []
        return decoding + frames + self._writer.waiting()

    # the end

    def _is_whole(self) -> bool:
        return self.error is None and self.cursor is not None and self.cursor.ended

    def _submit_joining(self) -> None:
        """Join the runs that were written into the stream's results."""
        self.clock.joining_s = self.clock.joining_s or time.monotonic()
        self._joining = self._writer.join()

    def _take_joined(self, joining: Ref) -> None:
        self._joining = None  # if the encoder died over it, it is submitted again
        try:
            self._executor.result(joining)
        except Exception as error:
            if self._survives(error, JOIN, self.num_written):
                return
        else:
            self.restarts.went_on(encoder=True)
            self.complete = self._is_whole()
        self.clock.ended_s = time.monotonic()

    def _take_run(self, report: CallReport, batches: Sequence[DoneBatch]) -> None:
        (stage,) = report.stages
        num_frames = sum(batch.num_frames for batch in batches)
        if self.live is not None:
            self.live.note_age("written", batches)
        self.statistics.add_run(stage, num_frames)
        self.shares.add(ENCODE, report.worker, self.num_written, num_frames)
        self._executor.record(ENCODE, report, num_frames, {})
        self.restarts.went_on(encoder=True)

    def _begin(self) -> None:
        """Stand before the first frame that is to be made."""
        self._past, self._next_index, self.cursor = {}, 0, None
        while self._start is not None and self._next_index == 0:
            try:
                self._past, self.cursor = self._restored(self._start)
                self._next_index = self._start.num_frames
            except Exception as error:
                if not self._survives(error, self._decode.name, 0):
                    return

    def _restored(self, start: ResumePoint) -> tuple[dict[str, Ref], Cursor]:
        """What the first batch needs of the one before, and the cursor behind that.

        That of a file is decoded again; that of a live source is gone, and a gap lies in between.
        """
        if self.live is not None:
            cursor = start.checkpoint.cursor
            assert cursor is not None, "it stands behind a frame"
            past = {"cursor": self._executor.put(cursor), MEMORY: self._executor.put(start.checkpoint.memory)}
            return past, cursor
        before = {"cursor": self._executor.put(start.checkpoint.cursor)}
        call = self._call(start.num_frames - self._batch_frames)
        values = {SOURCE: self._source}
        values |= self._submit(self._decode, call, values, before)
        for group in self._groups:
            makes = self._needed_later.intersection(group.outputs)
            if makes and MEMORY not in makes:
                values |= self._submit(group, call, values, before)
        values[MEMORY] = self._executor.put(start.checkpoint.memory)
        return {name: values[name] for name in self._needed_later}, self._executor.result(values["cursor"])

    # the way of a batch

    def _may_decode(self) -> bool:
        if self._gets_no_more() or self._decoding is not None or self._kept:
            return False
        return self._has_room() and (self.live is None or self.live.may_ask)

    def _has_room(self) -> bool:
        in_flight = sum(batch.results.num_frames for batch in self._in_flight) + self._batch_frames
        window, held = self._limits.window_frames, in_flight + self._writer.num_gathered
        return in_flight <= window and held <= window + self._limits.run_frames

    def _gets_no_more(self) -> bool:
        """No further frame is decoded: the source has ended, or a failure or a stop is in the way."""
        ended = self.cursor is not None and self.cursor.ended
        given_up = self._failed_index is not None and self._next_index >= self._failed_index
        return ended or given_up or self._interrupt.requested

    def _gets_none_soon(self) -> bool:
        """Nothing is on the way that could fill a run; a live source that is away may stay so for long."""
        if self._in_flight or self._kept:
            return False
        is_away = self.live is not None and self.live.is_away
        return is_away or (self._gets_no_more() and self._decoding is None)

    def _submit_decode(self) -> None:
        values = {SOURCE: self._source}
        self._decoding = self._submit(self._decode, self._call(self._next_index), values, self._past)

    def _call(self, first_index: int) -> BatchCall:
        """Of as many frames as the source may have."""
        return BatchCall(stream=self._stream, first_index=first_index, num_frames=self._batch_frames)

    def _take_decoded(self, values: dict[str, Ref]) -> None:
        """The cursor is there: submit the rest, for as many frames as there are."""
        self._decoding = None
        try:
            cursor: Cursor = self._executor.result(values["cursor"])
        except Exception as error:
            self._survives(error, self._decode.name, self._next_index)  # then it is submitted again
            return
        before, self.cursor = self.cursor, cursor
        has_frames = cursor.index >= self._next_index
        if self.live is not None:
            self.live.see(cursor, with_frame=has_frames)
        if has_frames:
            self._submit_rest(Decoded(values=values, before=before, cursor=cursor))

    def _submit_rest(self, decoded: Decoded) -> None:
        """Submit all that comes after decoding."""
        cursor, live = decoded.cursor, decoded.cursor.live
        num_frames = cursor.index + 1 - self._next_index
        follows = live is None or live.follows
        call = replace(self._call(self._next_index), num_frames=num_frames, follows=follows)
        values = {**decoded.values, SOURCE: self._source}
        reports = [(self._decode.name, values.pop(_report(self._decode)))]
        for group in self._groups:
            values.update(self._submit(group, call, values, self._past))
            reports.append((self._host_of(group, call), values.pop(_report(group))))
        self._past = {name: values[name] for name in self._needed_later}
        results = {name: values[name] for name in FRAME_RESULTS}
        self._in_flight.append(
            BatchInFlight(
                index=self._next_index,
                results=DoneBatch(
                    num_frames=num_frames,
                    cursor=decoded.before if live is None else cursor,
                    segment=live.segment if live is not None else None,
                    came_s=live.came_s if live is not None else None,
                    **results,
                ),
                reports=tuple(reports),
                past=self._past,
                decoded=decoded,
            )
        )
        self._next_index += num_frames

    def _host_of(self, group: Group, call: BatchCall) -> str:
        return group.host_of(self._number, call.first_index // self._batch_frames)

    def _submit(
        self, group: Group, call: BatchCall, values: Mapping[str, Ref], past: Mapping[str, Ref]
    ) -> dict[str, Ref]:
        """Submit a group's call; its outputs by name, and its report."""
        inputs = [
            past.get(link.value) if isinstance(link, Before) else values[link.value] for link in group.inputs
        ]
        refs = self._executor.submit(self._host_of(group, call), call, inputs, len(group.outputs) + 1)
        return dict(zip((*group.outputs, _report(group)), refs, strict=True))

    def _take_batch(self, batch: BatchInFlight) -> None:
        reports: dict[str, CallReport] = {}
        for host, ref in batch.reports:
            try:
                reports[host] = self._executor.result(ref)
            except Exception as error:
                if self._survives(error, host, batch.index):
                    self._go_back(batch)
                return
        num_frames = batch.results.num_frames
        self._note(batch.index, num_frames, reports)
        if self.live is not None:
            self.live.note_age("done", [batch.results])
        self._writer.add(batch.results)
        self._last_done = batch
        self.restarts.went_on(encoder=False)
        for _ in range(num_frames):
            self.num_done += 1
            self._on_frame(self.num_done)

    def _note(self, index: int, num_frames: int, reports: Mapping[str, CallReport]) -> None:
        waits_s = self.statistics.add_batch(reports.values(), num_frames)
        for host, report in reports.items():
            self.shares.add(host, report.worker, index, num_frames)
            self._executor.record(host, report, num_frames, waits_s)

    # failure

    def _survives(self, error: Exception, host: str, index: int) -> bool:
        """Replace a host that died; whatever else went wrong, and a host that dies again and again, fails."""
        if isinstance(error, HostDiedError) and self._tolerates(error, host, index):
            log.warning("stream %s: %s died at frame %d and is replaced", self._stream, host, index)
            self._executor.replace(error)
            return True
        self._fail(error, host, index)
        return False

    def _tolerates(self, died: HostDiedError, host: str, index: int) -> bool:
        of_other_stream = died.call is not None and died.call.stream != self._stream
        return self.restarts.add(host, index, blamed=not of_other_stream)

    def _go_back(self, failed: BatchInFlight) -> None:
        """Give up all frames in flight, and go on behind the last batch that was done."""
        in_flight = [failed, *self._in_flight]
        self._in_flight.clear()
        latest, last = self.cursor, self._last_done
        if last is None:
            self._begin()
        else:
            self._next_index = last.index + last.results.num_frames
            self._past, self.cursor = last.past, last.decoded.cursor
        if self.live is None or failed.index == self._went_back_to:
            # of a live source: a picture that fails twice may be what was lost
            self._kept.clear()
            self._decoding = None
        else:
            self._kept.extendleft(batch.decoded for batch in reversed(in_flight))
        if self.live is not None and (self._kept or (latest is not None and latest.ended)):
            self.cursor = latest
        self._went_back_to = failed.index

    def _fail(self, error: Exception, host: str, index: int) -> None:
        """Remember the failure that comes first in the stream; frames from there on are given up."""
        if self._failed_index is not None and self._failed_index <= index:
            return
        if isinstance(error, HostDiedError):
            error.add_note(f"stage {host}, stream {self._stream}, frame {index}")
        self.error, self._failed_index = error, index
        self._in_flight = deque(batch for batch in self._in_flight if batch.index < index)
        self._kept.clear()
        self._decoding = None


def _report(group: Group) -> str:
    return f"report of {group.name}"
