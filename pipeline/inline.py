"""One loop, no threads: every call runs when it is submitted. For tests, debugging and golden results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from configs.schema import Settings
from pipeline.executor import HostDiedError, Ref
from pipeline.host import Call, CallReport, Host, StageFactory, Value, build_host
from pipeline.placement import Plan


def complete(outputs: Sequence[Future[Any]], host: Host, call: Call, inputs: Sequence[Any]) -> None:
    """Run a call on a host and put its results, or what it raised, into the futures."""
    try:
        values = [item.result() if isinstance(item, Future) else item for item in inputs]
        for output, value in zip(outputs, host(call, values), strict=True):
            output.set_result(value)
    except Exception as error:
        for output in outputs:
            output.set_exception(error)


class InlineExecutor:
    """Runs the hosts in the caller's thread; references are finished futures."""

    def __init__(self, plan: Plan, settings: Settings, factory: StageFactory) -> None:
        self._hosts = {
            name: build_host(group, settings, factory, time.process_time)
            for name, group in plan.hosts.items()
        }

    def wait_until_ready(self) -> None:
        """The hosts were built at once."""

    def put(self, value: object) -> Ref:
        return value

    def submit(self, host: str, call: Call, inputs: Sequence[Ref], num_outputs: int) -> tuple[Ref, ...]:
        outputs: tuple[Future[Any], ...] = tuple(Future() for _ in range(num_outputs))
        complete(outputs, self._hosts[host], call, inputs)
        return outputs

    def wait(self, refs: Sequence[Ref], timeout_s: float) -> list[Ref]:
        return list(refs)

    def result(self, ref: Ref) -> Value:
        return ref.result()

    def record(self, host: str, report: CallReport, num_frames: int, waits_s: Mapping[str, float]) -> None:
        """Nobody watches."""

    def replace(self, died: HostDiedError) -> None:
        raise died

    def close(self) -> None:
        for host in self._hosts.values():
            host.close()
