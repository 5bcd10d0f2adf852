"""A thread per host in one process: for one machine, without start-up cost.

References are futures. A host's thread waits for the inputs of its next call, so order is that of
submission; nothing can wait in a circle, because a call is submitted after those it depends on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from configs.schema import Settings
from pipeline.executor import HostDiedError, Ref
from pipeline.host import Call, CallReport, Host, StageFactory, Value, build_host
from pipeline.inline import complete
from pipeline.placement import Group, Plan


class LocalExecutor:
    """Runs each host in a thread of its own."""

    def __init__(self, plan: Plan, settings: Settings, factory: StageFactory) -> None:
        groups = plan.hosts
        self._closing = threading.Event()
        self._building = threading.Lock()
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in groups}
        self._hosts: dict[str, Future[Host]] = {
            name: self._threads[name].submit(self._build, group, settings, factory)
            for name, group in groups.items()
        }

    def _build(self, group: Group | None, settings: Settings, factory: StageFactory) -> Host:
        # one after the other: two threads that import torchvision at once see it half made
        with self._building:
            if self._closing.is_set():
                raise HostDiedError("closed before it was built")
            return build_host(group, settings, factory, time.thread_time)

    def wait_until_ready(self) -> None:
        for host in self._hosts.values():
            host.result()

    def put(self, value: object) -> Ref:
        return value

    def submit(self, host: str, call: Call, inputs: Sequence[Ref], num_outputs: int) -> tuple[Ref, ...]:
        outputs: tuple[Future[Any], ...] = tuple(Future() for _ in range(num_outputs))
        self._threads[host].submit(self._run, host, call, list(inputs), outputs)
        return outputs

    def _run(self, host: str, call: Call, inputs: Sequence[Ref], outputs: Sequence[Future[Any]]) -> None:
        if self._closing.is_set():  # whoever waits for this call must not wait for ever
            for output in outputs:
                output.set_exception(HostDiedError(f"the host {host} was closed"))
            return
        complete(outputs, self._hosts[host].result(), call, inputs)

    def wait(self, refs: Sequence[Ref], timeout_s: float) -> list[Ref]:
        return list(wait(refs, timeout_s, return_when=FIRST_COMPLETED).done)

    def result(self, ref: Ref) -> Value:
        return ref.result()

    def record(self, host: str, report: CallReport, num_frames: int, waits_s: Mapping[str, float]) -> None:
        """Nobody watches."""

    def replace(self, died: HostDiedError) -> None:
        raise died  # a thread dies only because all are closed

    def close(self) -> None:
        self._closing.set()
        for name, thread in self._threads.items():
            thread.shutdown(wait=True)
            host = self._hosts[name]
            if host.done() and not host.cancelled() and host.exception() is None:
                host.result().close()
