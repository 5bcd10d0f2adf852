"""What every executor offers to the driver: hosts that take calls, and references to their results.

The driver passes references on without looking; it reads only what is small (cursors, reports).
Calls of one host run one at a time, in the order of submission. A call whose input failed fails with
the same error and does not run. `None` among the inputs stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from configs.errors import StageError
from configs.schema import Settings
from pipeline.host import Call, CallReport, StageFactory, Value
from pipeline.placement import Plan

Ref = Any
"""A reference to a value that a host makes; only its executor knows what it is. None stands for itself."""


class HostDiedError(StageError):
    """The process that ran a host is gone, or what it had made."""

    def __init__(self, message: str, process: str = "", call: Call | None = None) -> None:
        """`process` is the executor's name for the process that died, `call` what it was at, if known."""
        super().__init__(message)
        self.process, self.call = process, call


class Executor(Protocol):
    """Runs the hosts of a plan."""

    def wait_until_ready(self) -> None:
        """Return when every host has built its stages; raise what one of them raised."""

    def put(self, value: object) -> Ref:
        """A reference to a value that many calls take."""

    def submit(self, host: str, call: Call, inputs: Sequence[Ref], num_outputs: int) -> tuple[Ref, ...]:
        """Queue a call; references to its outputs, the report as the last one."""

    def wait(self, refs: Sequence[Ref], timeout_s: float) -> list[Ref]:
        """Those that are done, failed ones included, as soon as there is one."""

    def result(self, ref: Ref) -> Value:
        """The value; raises what its call raised. For small values."""

    def record(self, host: str, report: CallReport, num_frames: int, waits_s: Mapping[str, float]) -> None:
        """Count a call whose results were taken, for whoever watches; with how long its stages waited."""

    def replace(self, died: HostDiedError) -> None:
        """Put a new host in the place of one that died, unless that was done; it takes calls at once."""

    def close(self) -> None:
        """End all hosts; calls that still wait do not run."""


def open_executor(plan: Plan, settings: Settings, factory: StageFactory) -> Executor:
    """The executor of resolved settings; its hosts begin to build their stages."""
    match settings.run.executor:
        case "inline":
            from pipeline.inline import InlineExecutor

            return InlineExecutor(plan, settings, factory)
        case "local":
            from pipeline.local import LocalExecutor

            return LocalExecutor(plan, settings, factory)
        case "ray":
            from pipeline.ray_executor import RayExecutor

            return RayExecutor(plan, settings, factory)
