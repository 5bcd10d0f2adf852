"""Each host an actor in a process of its own; references go from actor to actor.

The driver touches no tensor, and each large value crosses the object store once, as numpy. Decoder and
encoder are on the driver's node, where the files are; hosts that share the frames are spread over all nodes.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import pickle
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from configs.errors import SettingsError, StageError
from configs.schema import Settings
from pipeline.cluster import connect, no_free_card, num_free_cards
from pipeline.executor import HostDiedError, Ref
from pipeline.graph import DECODE, FRAME_RESULTS
from pipeline.host import Call, CallReport, Host, StageFactory, Value, Worker, build_host, this_process
from pipeline.metrics import RunMetrics
from pipeline.placement import Group, Plan, device_of, window_frames
from pipeline.restarts import MAX_DEATHS
from pipeline.wire import from_wire, num_bytes, to_wire

if TYPE_CHECKING:
    import ray
    from ray.actor import ActorHandle
    from ray.util.scheduling_strategies import SchedulingStrategyT

log = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""After so long without a host a run says that it waits: on a busy cluster Ray waits without a word."""
_SPARE_CALLS = 64
"""Calls of a host that are remembered beside all that can wait for it, a window of each stream."""


class HostActor:
    """The one actor class: a host, and the change to and from what travels between processes."""

    def __init__(self, group: Group | None, settings: Settings, factory: StageFactory) -> None:
        self._device = settings.run.device
        self._has_tensors = group is not None and group.name != DECODE
        self._build = partial(build_host, group, settings, factory, time.process_time)
        self._host: Host | None = None
        self._worker = _this_worker()

    def ready(self) -> None:
        """Build the stages. Not in the constructor: what that raises would not arrive as itself."""
        try:
            self._built()
        except Exception as error:
            raise portable(error) from None

    def call(self, call: Call, *inputs: Value) -> Value:
        """Run one call; its outputs are separate objects in the store."""
        try:
            host = self._built()
            if self._has_tensors:
                inputs = tuple(from_wire(value, self._device) for value in inputs)
            *outputs, report = host(call, inputs)
            sent = [to_wire(output) for output in outputs]
            report = dataclasses.replace(report, worker=self._worker, sent_bytes=sum(map(num_bytes, sent)))
            return (*sent, report) if sent else report  # Ray's way of one return value
        except Exception as error:
            raise portable(error) from None

    def _built(self) -> Host:
        if self._host is None:
            self._host = self._build()
        return self._host


def _this_worker() -> Worker:
    import ray

    return dataclasses.replace(this_process(), node_id=ray.get_runtime_context().get_node_id())


def portable(error: Exception) -> Exception:
    """The error, or one that tells the same, if it would not survive the way to the driver."""
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception as reason:
        log.debug("%s cannot be pickled: %s", type(error).__name__, reason)
    substitute = StageError(f"{type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        substitute.add_note(note)
    return substitute


class RayExecutor:
    """Runs each host in an actor, on a Ray of its own that ends with it, or on a cluster's."""

    def __init__(self, plan: Plan, settings: Settings, factory: StageFactory) -> None:
        self._ray = connect(settings)
        self._metrics = RunMetrics()
        self._groups = plan.hosts
        self._arguments = settings, factory
        self._actor_class = self._ray.remote(HostActor)
        self._on_card = {name for name, group in self._groups.items() if _uses_card(group, settings)}
        try:
            self._card_share = share_of_a_card(
                len(self._on_card), num_free_cards(self._ray, settings.run.address)
            )
        except SettingsError:
            self.close()
            raise
        self._actors = {name: self._start(name) for name in self._groups}
        most = window_frames(settings) * settings.run.streams_at_once + _SPARE_CALLS
        self._submitted = {name: deque[tuple[Call, Ref]](maxlen=most) for name in self._groups}
        """The last calls of each host, with their reports."""
        self._died_at: dict[str, Call | None] = {}
        """What each dead process was at."""
        self._ready: dict[str, Ref] = {name: actor.ready.remote() for name, actor in self._actors.items()}

    def _start(self, name: str, *, again: bool = False) -> ActorHandle[HostActor]:
        actor = self._actor_class.options(
            num_cpus=0,  # hosts share the cores; the window decides how much runs at once
            num_gpus=self._card_share if name in self._on_card else 0,
            max_restarts=0,  # Ray's own restarts lose the order of the calls: see `replace`
            max_task_retries=0,
            scheduling_strategy=self._where(name, again=again),
        )
        started: ActorHandle[HostActor] = actor.remote(self._groups[name], *self._arguments)
        return started

    def _where(self, name: str, *, again: bool) -> SchedulingStrategyT:
        """The nodes that may have a host.

        What a run of frames waits for is made where the encoder is, unless that takes a card. Hosts that
        share the frames go round the nodes, those of one number together; `again`, as a node may just have
        gone, anywhere if need be (at first Ray would take that for leave to put all of them on one node).
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if name in self._on_card:
            return "SPREAD"
        here: str = self._ray.get_runtime_context().get_node_id()
        group = self._groups[name]
        if group is None or not set(FRAME_RESULTS).isdisjoint(group.outputs):
            return NodeAffinitySchedulingStrategy(node_id=here, soft=False)
        others = sorted(node["NodeID"] for node in self._ray.nodes() if node["Alive"])
        nodes = [here, *(node for node in others if node != here)]
        number = group.host_names.index(name)
        return NodeAffinitySchedulingStrategy(node_id=nodes[number % len(nodes)], soft=again)

    def wait_until_ready(self) -> None:
        for name in self._actors:
            for num_deaths in range(1, MAX_DEATHS + 1):
                try:
                    self._wait_for(name)
                    break
                except HostDiedError:
                    if num_deaths == MAX_DEATHS:
                        raise
                    log.warning("%s died while it started and is replaced", name)
                    self._renew(name)
                    self._ready[name] = self._actors[name].ready.remote()

    def _wait_for(self, name: str) -> None:
        ready, _ = self._ray.wait([self._ready[name]], timeout=PATIENCE_S)
        if not ready:
            log.warning("%s has not started after %g s: is there room for it?", name, PATIENCE_S)
        self._get(self._ready[name], name)

    def replace(self, died: HostDiedError) -> None:
        for name, actor in self._actors.items():
            if _process(actor) == died.process:
                self._renew(name)

    def _renew(self, name: str) -> None:
        self._ray.kill(self._actors[name])  # it may only be out of reach
        self._submitted[name].clear()
        self._actors[name] = self._start(name, again=True)
        self._metrics.restarted(name)

    def record(self, host: str, report: CallReport, num_frames: int, waits_s: Mapping[str, float]) -> None:
        self._metrics.add(host, report, num_frames, waits_s)

    def put(self, value: object) -> Ref:
        return self._ray.put(value)

    def submit(self, host: str, call: Call, inputs: Sequence[Ref], num_outputs: int) -> tuple[Ref, ...]:
        refs: Any = self._actors[host].call.options(num_returns=num_outputs).remote(call, *inputs)
        outputs = tuple(refs) if num_outputs > 1 else (refs,)
        self._submitted[host].append((call, outputs[-1]))
        return outputs

    def wait(self, refs: Sequence[Ref], timeout_s: float) -> list[Ref]:
        unique = list(dict.fromkeys(refs))
        ready, _ = self._ray.wait(unique, num_returns=1, timeout=timeout_s, fetch_local=False)
        return list(ready)

    def result(self, ref: Ref) -> Value:
        return self._get(ref, "")

    def _get(self, ref: Ref, host: str) -> Value:
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(ref)
        except exceptions.RayTaskError as error:
            cause = _cause(error)
        except exceptions.RayError as error:
            cause = error
        if isinstance(cause, exceptions.OutOfMemoryError):  # Ray's memory guard; it does not say whom
            raise HostDiedError(str(cause).strip().splitlines()[0], self._out_of_memory()) from None
        if isinstance(
            cause, exceptions.RayActorError | exceptions.ActorUnschedulableError | exceptions.ObjectLostError
        ):
            name = f" of {host}" if host else ""
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            process = getattr(cause, "actor_id", None) or ""
            if process not in self._died_at:
                self._died_at[process] = self._first_unfinished(process)
            call = self._died_at[process]
            raise HostDiedError(f"the worker process{name} died: {lines[0]}", process, call) from None
        raise cause from None

    def _out_of_memory(self) -> str:
        """The process of the host whose calls ended for want of memory."""
        for name, calls in self._submitted.items():
            for _, report in calls:
                try:
                    self._ray.get(report, timeout=0)
                except self._ray.exceptions.OutOfMemoryError:
                    return _process(self._actors[name])
                except self._ray.exceptions.RayError:
                    continue
        return ""

    def _first_unfinished(self, process: str) -> Call | None:
        """What a dead host was at: the first of its calls without a result."""
        for name, actor in self._actors.items():
            if _process(actor) != process:
                continue
            for call, report in self._submitted[name]:
                try:
                    self._ray.get(report)
                except self._ray.exceptions.RayTaskError:
                    continue  # its stage, or one before it, has raised
                except self._ray.exceptions.RayError:
                    return call
        return None

    def close(self) -> None:
        self._ray.shutdown()


def _process(actor: ActorHandle[HostActor]) -> str:
    """The name that Ray's errors give to the process of an actor."""
    return str(actor._actor_id.hex())


def share_of_a_card(num_hosts: int, num_cards: int) -> float:
    """Of each host, so that all of them fit: Ray takes a part of a card from one card only.

    SettingsError if there is none: Ray would wait for one without a word.
    """
    if not num_hosts:
        return 0.0
    if not num_cards:
        raise no_free_card()
    hosts_per_card = math.ceil(num_hosts / num_cards)
    return 1.0 if hosts_per_card <= 1 else math.floor(10_000 / hosts_per_card) / 10_000


def _uses_card(group: Group | None, settings: Settings) -> bool:
    nodes = group.nodes if group is not None else ()
    return any(device_of(node.name, settings) == "cuda" for node in nodes)


def _cause(error: ray.exceptions.RayTaskError) -> Exception:
    """What the stage raised, without Ray's wrapping."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else StageError(str(cause))
