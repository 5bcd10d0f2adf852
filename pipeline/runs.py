"""Frames on their way to the encoder: gathered into runs, written run by run, joined at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.budget import PENDING_RUNS
from pipeline.executor import Executor, HostDiedError, Ref
from pipeline.graph import ENCODE
from pipeline.host import CallReport, EncodeCall, FinishCall

if TYPE_CHECKING:
    from stages.messages import Cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneFrame:
    """A frame on its way to the encoder."""

    frame: Ref
    panoptic: Ref
    memory: Ref
    """After this frame."""
    before: Cursor | None
    """Where decoding stood before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that waits for the encoder or is being written."""

    frames: Sequence[DoneFrame]
    report: Ref


class RunWriter:
    """The encoder's side of one stream. Runs are chained: after one that failed, none is written."""

    def __init__(
        self, executor: Executor, source: Ref, stream: str, output: str, run_frames: int, num_written: int
    ) -> None:
        """`num_written`: frames that an earlier run of the program has written."""
        self._executor, self._source = executor, source
        self._stream, self._output = stream, output
        self._run_frames = run_frames
        self._gathered: list[DoneFrame] = []
        """Those that wait for their run to fill."""
        self._runs: deque[Run] = deque()
        self._last_report: Ref | None = None
        self.num_written = num_written
        """Frames in runs that were written; the index of the first frame of the next one to be reported."""

    @property
    def num_gathered(self) -> int:
        """Frames that are not submitted yet."""
        return len(self._gathered)

    def add(self, frame: DoneFrame) -> None:
        """The next frame, in order."""
        self._gathered.append(frame)

    def submit(self, *, flush: bool) -> None:
        """Submit full runs while fewer than two wait; with `flush`, what is left as well."""
        while self._gathered and len(self._runs) < PENDING_RUNS:
            if len(self._gathered) < self._run_frames and not flush:
                return
            self._submit_run()

    def _submit_run(self) -> None:
        frames, self._gathered = self._gathered[: self._run_frames], self._gathered[self._run_frames :]
        first = self.num_written + sum(len(run.frames) for run in self._runs)
        call = EncodeCall(
            stream=self._stream,
            output=self._output,
            first_index=first,
            num_frames=len(frames),
            before=frames[-1].before,
        )
        pictures = (*(done.frame for done in frames), *(done.panoptic for done in frames))
        inputs = (self._source, self._last_report, frames[-1].memory, *pictures)
        (self._last_report,) = self._executor.submit(ENCODE, call, inputs, 1)
        self._runs.append(Run(frames=frames, report=self._last_report))

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
                self._gathered = [*(done for run in self._runs for done in run.frames), *self._gathered]
                self._last_report = None
                self._runs.clear()
                raise
            except Exception:
                self.forget()
                raise
            num_frames = len(self._runs.popleft().frames)
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
