"""Frames on their way to the encoder: gathered into runs, written run by run, joined at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.budget import PENDING_RUNS
from pipeline.executor import Executor, HostDiedError, Ref
from pipeline.graph import ENCODE
from pipeline.host import CallReport, EncodeCall, FinishCall

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
    before: Cursor | None
    """Where decoding stood before the first of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that waits for the encoder or is being written."""

    batches: Sequence[DoneBatch]
    report: Ref

    @property
    def num_frames(self) -> int:
        return _num_frames(self.batches)


class RunWriter:
    """The encoder's side of one stream. Runs are chained: after one that failed, none is written."""

    def __init__(
        self, executor: Executor, source: Ref, stream: str, output: str, run_frames: int, num_written: int
    ) -> None:
        """`run_frames`: of whole batches; `num_written`: frames that an earlier run of the program wrote."""
        self._executor, self._source = executor, source
        self._stream, self._output = stream, output
        self._run_frames = run_frames
        self._gathered: list[DoneBatch] = []
        """Those that wait for their run to fill."""
        self._runs: deque[Run] = deque()
        self._last_report: Ref | None = None
        self.num_written = num_written
        """Frames in runs that were written; the index of the first frame of the next one to be reported."""

    @property
    def num_gathered(self) -> int:
        """Frames that are not submitted yet."""
        return _num_frames(self._gathered)

    def add(self, batch: DoneBatch) -> None:
        """The next frames, in order."""
        self._gathered.append(batch)

    def submit(self, *, flush: bool) -> None:
        """Submit full runs while fewer than two wait; with `flush`, what is left as well."""
        while self._gathered and len(self._runs) < PENDING_RUNS:
            if self.num_gathered < self._run_frames and not flush:
                return
            self._submit_run()

    def _submit_run(self) -> None:
        batches: list[DoneBatch] = []
        while self._gathered and _num_frames(batches) < self._run_frames:
            batches.append(self._gathered.pop(0))
        call = EncodeCall(
            stream=self._stream,
            output=self._output,
            first_index=self.num_written + sum(run.num_frames for run in self._runs),
            num_frames=_num_frames(batches),
            before=batches[-1].before,
        )
        pictures = (*(done.frame for done in batches), *(done.panoptic for done in batches))
        inputs = (self._source, self._last_report, batches[-1].memory, *pictures)
        (self._last_report,) = self._executor.submit(ENCODE, call, inputs, 1)
        self._runs.append(Run(batches=batches, report=self._last_report))

    def waiting(self) -> list[Ref]:
        """The run that will be done next, if there is one."""
        return [self._runs[0].report] if self._runs else []

    def take(self, done: set[Ref], on_run: Callable[[CallReport, int], None]) -> None:
        """Take in what is done; raises what the encoder raised.

        Then all other frames are forgotten, but for a dead encoder: its runs wait to be submitted again.
        """
        while self._runs and self._runs[0].report in done:
            try:
                report = self._executor.result(self._runs[0].report)
            except HostDiedError:
                self._gathered = [*(done for run in self._runs for done in run.batches), *self._gathered]
                self._last_report = None
                self._runs.clear()
                raise
            except Exception:
                self.forget()
                raise
            num_frames = self._runs.popleft().num_frames
            on_run(report, num_frames)
            self.num_written += num_frames

    def forget(self) -> None:
        """Write no more frames."""
        self._runs.clear()
        self._gathered.clear()

    def join(self) -> Ref:
        """Submit the joining of all runs that were written into the stream's results."""
        call = FinishCall(stream=self._stream, output=self._output)
        (joined,) = self._executor.submit(ENCODE, call, [self._source], 1)
        return joined


def _num_frames(batches: Iterable[DoneBatch]) -> int:
    return sum(batch.num_frames for batch in batches)
