"""Frames on their way to the encoder: gathered into runs, written run by run, joined at the end.

The results of a live stream come in segments, each in a folder of its own, which is joined when the first run
of the next one is written: then that can be gone on with, and this one's runs are not needed any longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.budget import PENDING_RUNS
from pipeline.executor import Executor, HostDiedError, Ref
from pipeline.graph import ENCODE
from pipeline.host import CallReport, EncodeCall, FinishCall
from stages.results import Layout

if TYPE_CHECKING:
    from stages.messages import Cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneBatch:
    """Consecutive frames on their way to the encoder."""

    num_frames: int
    frame: Ref
    panoptic: Ref
    memory: Ref
    """After the last of them."""
    cursor: Cursor | None
    """Where decoding goes on behind them: see `Checkpoint`."""
    segment: int | None = None
    """Index of the first frame of their segment; None where the results are not in segments."""
    came_s: float | None = None
    """When the picture came, of a live source: seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Frames of one segment that wait for the encoder or are being written; none where it is joined."""

    batches: Sequence[DoneBatch]
    segment: int | None
    report: Ref

    @property
    def num_frames(self) -> int:
        return _num_frames(self.batches)


class RunWriter:
    """The encoder's side of one stream.

    Runs and joinings are chained: after one that failed, none is done.
    """

    def __init__(
        self,
        executor: Executor,
        source: Ref,
        stream: str,
        output: str,
        run_frames: int,
        num_written: int,
        segment: int | None,
        unjoined: int | None,
    ) -> None:
        """`run_frames`: of whole batches; `num_written`: frames that an earlier run of the program wrote.

        `segment`: that of the last of those, of a live stream; `unjoined`: the one before, if it is not
        joined.
        """
        self._executor, self._source = executor, source
        self._stream, self._output = stream, output
        self._run_frames = run_frames
        self._gathered: deque[DoneBatch] = deque()
        """Those that wait for their run to fill."""
        self._runs: deque[Run] = deque()
        self._segment = self._written_segment = segment
        """Those of the run submitted last, and of the run written last."""
        self._unjoined = unjoined
        """The segment before, until its joining is submitted."""
        self._last_report: Ref | None = None
        self.num_written = num_written
        """Frames in runs that were written; the index of the first frame of the next one to be reported."""
        self.num_joined = 0
        """Segments that were joined because another began."""

    @property
    def num_gathered(self) -> int:
        """Frames that are not submitted yet."""
        return _num_frames(self._gathered)

    def add(self, batch: DoneBatch) -> None:
        """The next frames, in order."""
        self._gathered.append(batch)

    def submit(self, *, flush: bool) -> None:
        """Submit full runs, and segments to be joined, while fewer than two wait; with `flush`, all."""
        while len(self._runs) < PENDING_RUNS:
            if self._unjoined is not None:
                self._last_report = self._join(self._unjoined, self._last_report, keep_parts=False)
                self._runs.append(Run(batches=(), segment=self._unjoined, report=self._last_report))
                self._unjoined = None
            elif self._gathered and (flush or self._has_full_run()):
                self._submit_run()
            else:
                return

    def _has_full_run(self) -> bool:
        is_last = self._gathered[0].segment == self._gathered[-1].segment
        return not is_last or self.num_gathered >= self._run_frames

    def _submit_run(self) -> None:
        segment = self._gathered[0].segment
        batches: list[DoneBatch] = []
        while (
            self._gathered
            and self._gathered[0].segment == segment
            and _num_frames(batches) < self._run_frames
        ):
            batches.append(self._gathered.popleft())
        call = EncodeCall(
            stream=self._stream,
            output=self._folder(segment),
            first_index=self.num_written + sum(run.num_frames for run in self._runs),
            num_frames=_num_frames(batches),
            cursor=batches[-1].cursor,
        )
        pictures = (*(done.frame for done in batches), *(done.panoptic for done in batches))
        inputs = (self._source, self._last_report, batches[-1].memory, *pictures)
        (self._last_report,) = self._executor.submit(ENCODE, call, inputs, 1)
        self._runs.append(Run(batches=batches, segment=segment, report=self._last_report))
        if segment != self._segment:
            self._segment, self._unjoined = segment, self._segment

    def _join(self, segment: int | None, after: Ref | None, *, keep_parts: bool) -> Ref:
        """`after`: the report of what has to be written before it."""
        call = FinishCall(
            stream=self._stream,
            output=self._folder(segment),
            first_index=segment or 0,
            keep_parts=keep_parts,
        )
        (joined,) = self._executor.submit(ENCODE, call, [self._source, after], 1)
        return joined

    def _folder(self, segment: int | None) -> str:
        return self._output if segment is None else str(Layout(Path(self._output)).segment(segment).directory)

    def waiting(self) -> list[Ref]:
        """The run that will be done next, if there is one."""
        return [self._runs[0].report] if self._runs else []

    def take(self, done: set[Ref], on_run: Callable[[CallReport, Sequence[DoneBatch]], None]) -> None:
        """Take in what is done; raises what the encoder raised.

        Then all other frames are forgotten, but for a dead encoder: its runs wait to be submitted again.
        """
        while self._runs and self._runs[0].report in done:
            run = self._runs[0]
            try:
                report = self._executor.result(run.report)
            except HostDiedError:
                self._gathered.extendleft(
                    done for run in reversed(self._runs) for done in reversed(run.batches)
                )
                self._segment, self._last_report = self._written_segment, None
                self._unjoined = None if run.batches else run.segment
                self._runs.clear()
                raise
            except Exception:
                self._segment = self._written_segment
                self.forget()
                raise
            self._runs.popleft()
            if run.batches:
                on_run(report, run.batches)
                self.num_written += run.num_frames
                self._written_segment = run.segment
            else:
                self.num_joined += 1

    def forget(self) -> None:
        """Write no more frames."""
        self._unjoined = None
        self._runs.clear()
        self._gathered.clear()

    def join(self) -> Ref:
        """Submit the joining of all runs written of the last segment, or of a stream without segments."""
        return self._join(self._segment, None, keep_parts=True)


def _num_frames(batches: Iterable[DoneBatch]) -> int:
    return sum(batch.num_frames for batch in batches)
