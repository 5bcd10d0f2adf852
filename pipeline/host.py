"""A host: it builds its stages once and runs them for one call after the other, whatever the executor.

Nothing but a cache survives a call. Each stage is timed on the machine's monotonic clock, which the
processes of one machine share.
"""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from configs.schema import Settings
from pipeline.graph import ENCODE, Before, Link, Node, Now
from pipeline.placement import Group
from stages.messages import Checkpoint, Cursor

log = logging.getLogger(__name__)

Value = Any
"""What a call takes or makes: a message between stages, or a reference to nothing (None)."""

StageFactory = Callable[[str, Settings], Any]
"""Builds the stage of a name, with its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameCall:
    """Run a group of stages for one frame."""

    stream: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeCall:
    """Write one run of frames.

    Inputs: source, the report of the run before, the memory after the last frame, frames, panoptic maps.
    """

    stream: str
    output: str
    """Folder of the stream's results."""
    first_index: int
    num_frames: int
    before: Cursor | None
    """Where decoding stood before the last frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCall:
    """Join all runs that were written. Inputs: source."""

    stream: str
    output: str


Call = FrameCall | EncodeCall | FinishCall


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """How long one stage took for one call."""

    stage: str
    start_s: float
    """Monotonic clock of the machine."""
    end_s: float
    cpu_s: float
    """Of the host's process where it has one, else of its thread."""
    parts_s: Mapping[str, float]
    """What the stage says of its own parts: draw, png, video."""

    @property
    def wall_s(self) -> float:
        """From start to end."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The process that a host runs in."""

    node: str
    """Name of the machine."""
    pid: int
    node_id: str | None = None
    """Ray's own name of the machine; None without Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """Who ran a call, how long its stages took, and what it handed on."""

    worker: Worker
    stages: tuple[StageReport, ...]
    """In the order in which they ran; none when runs were joined."""
    sent_bytes: int = 0
    """Of the arrays that left the process with its outputs; 0 where hosts share one."""


class Host(Protocol):
    """What an executor runs: outputs, and a `CallReport` as the last one."""

    def __call__(self, call: Call, inputs: Sequence[Value]) -> tuple[Value, ...]: ...


def build_host(
    group: Group | None, settings: Settings, factory: StageFactory, cpu_clock: Callable[[], float]
) -> Host:
    """The host of a group, or of the encoder (None). Called in the thread that will run it."""
    if group is None:
        return EncodeHost(settings, factory, cpu_clock)
    return StageHost(group, settings, factory, cpu_clock)


def this_process() -> Worker:
    return Worker(node=platform.node(), pid=os.getpid())


def limit_threads(num_threads: int) -> bool:
    """Fix the thread counts, which decide the last bits of convolutions and of OpenCV's flow.

    torch is not imported for it: True when it was there. Its count is that of the calling thread.
    """
    import cv2

    cv2.setNumThreads(1)
    if "torch" not in sys.modules:
        return False
    import torch

    torch.set_num_threads(num_threads)
    return True


class StageHost:
    """Runs a group of stages for one frame."""

    def __init__(
        self, group: Group, settings: Settings, factory: StageFactory, cpu_clock: Callable[[], float]
    ) -> None:
        self._group = group
        self._stages = {node.name: factory(node.name, settings) for node in group.nodes}
        self._cpu_clock = cpu_clock
        self._worker = this_process()
        self._num_threads = settings.run.threads
        self._threads_limited = limit_threads(self._num_threads)
        self._num_cached = settings.run.streams_at_once
        self._cache: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()

    def __call__(self, call: Call, inputs: Sequence[Value]) -> tuple[Value, ...]:
        assert isinstance(call, FrameCall)
        if not self._threads_limited:  # torch may have come with the first tensor
            self._threads_limited = limit_threads(self._num_threads)
        values: dict[Link, Any] = dict(zip(self._group.inputs, inputs, strict=True))
        self._restore(call, values)
        stages = tuple(self._run(node, call, values) for node in self._group.nodes)
        self._remember(call, values)
        report = CallReport(worker=self._worker, stages=stages)
        return (*(values[Now(output)] for output in self._group.outputs), report)

    def _run(self, node: Node, call: FrameCall, values: dict[Link, Any]) -> StageReport:
        with naming(node.name, call.stream, f"frame {call.index}"):
            start_s, start_cpu_s = time.monotonic(), self._cpu_clock()
            results = self._stages[node.name](*(values[link] for link in node.inputs))
            end_s, cpu_s = time.monotonic(), self._cpu_clock() - start_cpu_s
        outputs = (results,) if len(node.outputs) == 1 else results
        values.update(zip(map(Now, node.outputs), outputs, strict=True))
        return StageReport(stage=node.name, start_s=start_s, end_s=end_s, cpu_s=cpu_s, parts_s={})

    def _restore(self, call: FrameCall, values: dict[Link, Any]) -> None:
        """Fill in what this host made of the frame before: from the cache, or made again."""
        if not self._group.cached:
            return
        index, kept = self._cache.get(call.stream, (-1, {}))
        if call.index == 0:
            kept = dict.fromkeys(self._group.cached)
        elif index != call.index - 1:
            log.debug("stream %s, frame %d: the frame before is made again", call.stream, call.index)
            kept = self._make_again(call, values)
        values.update((Before(value), kept[value]) for value in self._group.cached)

    def _make_again(self, call: FrameCall, values: Mapping[Link, Any]) -> dict[str, Any]:
        past: dict[Link, Any] = {Now(k.value): v for k, v in values.items() if isinstance(k, Before)}
        before = FrameCall(stream=call.stream, index=call.index - 1)
        for node in self._group.recompute:
            self._run(node, before, past)
        return {value: past[Now(value)] for value in self._group.cached}

    def _remember(self, call: FrameCall, values: Mapping[Link, Any]) -> None:
        self._cache[call.stream] = (call.index, {value: values[Now(value)] for value in self._group.cached})
        self._cache.move_to_end(call.stream)
        while len(self._cache) > self._num_cached:
            self._cache.popitem(last=False)


class EncodeHost:
    """Writes runs of frames, and joins them."""

    def __init__(self, settings: Settings, factory: StageFactory, cpu_clock: Callable[[], float]) -> None:
        self._stage = factory(ENCODE, settings)
        limit_threads(settings.run.threads)
        self._cpu_clock = cpu_clock
        self._worker = this_process()

    def __call__(self, call: Call, inputs: Sequence[Value]) -> tuple[Value, ...]:
        assert not isinstance(call, FrameCall)
        if isinstance(call, FinishCall):
            with naming(ENCODE, call.stream, "joining the runs"):
                self._stage.finish(inputs[0], call.output)
            return (CallReport(worker=self._worker, stages=()),)
        return (CallReport(worker=self._worker, stages=(self._encode(call, inputs),)),)

    def _encode(self, call: EncodeCall, inputs: Sequence[Any]) -> StageReport:
        source, _, memory, *pictures = inputs
        frames, panoptics = pictures[: call.num_frames], pictures[call.num_frames :]
        last = call.first_index + call.num_frames - 1
        with naming(ENCODE, call.stream, f"frames {call.first_index} to {last}"):
            start_s, start_cpu_s = time.monotonic(), self._cpu_clock()
            checkpoint = Checkpoint(before=call.before, memory=memory)
            encoded = self._stage(source, call.output, frames, panoptics, checkpoint)
            end_s, cpu_s = time.monotonic(), self._cpu_clock() - start_cpu_s
        parts_s = dict(encoded.seconds)
        return StageReport(stage=ENCODE, start_s=start_s, end_s=end_s, cpu_s=cpu_s, parts_s=parts_s)


@contextmanager
def naming(stage: str, stream: str, place: str) -> Iterator[None]:
    """Add to whatever a stage raises which stage it was, and where in which stream."""
    try:
        yield
    except Exception as error:
        error.add_note(f"stage {stage}, stream {stream}, {place}")
        raise
