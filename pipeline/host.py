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
from functools import partial
from itertools import chain
from typing import Any, Protocol

from configs.schema import Settings
from pipeline.graph import ENCODE, SOURCE, Before, Link, Node, Now
from pipeline.placement import Group
from stages.messages import Checkpoint, Cursor

log = logging.getLogger(__name__)

Value = Any
"""What a call takes or makes: a message between stages, or a reference to nothing (None)."""

StageFactory = Callable[[str, Settings], Any]
"""Builds the stage of a name, with its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCall:
    """Run a group of stages for consecutive frames.

    Inputs and outputs are values of all of them, a tuple each; but of the source, which is always the same,
    and of state, of which the last one goes on. Tuples may be longer than the call, at the end of a stream.
    """

    stream: str
    first_index: int
    num_frames: int
    follows: bool = True
    """Do they come right after the frame before? If not, nothing of that is used but the state."""

    @property
    def place(self) -> str:
        """The frames, in words."""
        return frames_text(self.first_index, self.num_frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeCall:
    """Write one run of frames.

    Inputs: source, the report of the run before, the memory after the last frame, frames, panoptic maps; of
    these a tuple for each batch.
    """

    stream: str
    output: str
    """Folder of the results, the stream's or a segment's."""
    first_index: int
    num_frames: int
    cursor: Cursor | None
    """Where decoding goes on behind them: see `Checkpoint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishCall:
    """Join all runs that were written of a folder of results.

    Inputs: source, the report of the run before.
    """

    stream: str
    output: str
    first_index: int
    """Of its frames."""
    keep_parts: bool
    """So that they can be gone on with."""


Call = BatchCall | EncodeCall | FinishCall


def frames_text(first_index: int, num_frames: int) -> str:
    """Consecutive frames, in words."""
    return (
        f"frame {first_index}"
        if num_frames == 1
        else f"frames {first_index} to {first_index + num_frames - 1}"
    )


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

    def close(self) -> None:
        """Give back open files and connections; for hosts that do not end with their process."""


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


FrameValues = dict[str, Any]
"""The values of one frame, by name."""


class StageHost:
    """Runs a group of stages for consecutive frames."""

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
        self._cache: OrderedDict[str, tuple[int, FrameValues]] = OrderedDict()
        """Of each stream the frame that comes next, and `cached` of the one before it."""

    def __call__(self, call: Call, inputs: Sequence[Value]) -> tuple[Value, ...]:
        assert isinstance(call, BatchCall)
        if not self._threads_limited:  # torch may have come with the first tensor
            self._threads_limited = limit_threads(self._num_threads)
        given: dict[Link, Any] = dict(zip(self._group.inputs, inputs, strict=True))
        frames = _by_frame({k.value: v for k, v in given.items() if isinstance(k, Now)}, call.num_frames)
        before = {k.value: v for k, v in given.items() if isinstance(k, Before) and v is not None}
        if not call.follows:
            before = {name: v for name, v in before.items() if name in self._group.state}
        past = {name: v if name in self._group.state else v[-1] for name, v in before.items()}
        past |= self._kept(call, before)
        stages = tuple(self._run(node, call, past, frames) for node in self._group.nodes)
        self._remember(call, frames[-1])
        report = CallReport(worker=self._worker, stages=stages)
        return (*map(partial(self._output, frames), self._group.outputs), report)

    def close(self) -> None:
        """Close the stages that hold something open."""
        for stage in self._stages.values():
            if hasattr(stage, "close"):
                stage.close()

    def _output(self, frames: Sequence[FrameValues], name: str) -> Value:
        return frames[-1][name] if name in self._group.state else tuple(frame[name] for frame in frames)

    def _run(
        self, node: Node, call: BatchCall, past: FrameValues, frames: Sequence[FrameValues]
    ) -> StageReport:
        """One stage, for all frames; what it makes is added to their values."""
        stage = self._stages[node.name]
        start_s, start_cpu_s = time.monotonic(), self._cpu_clock()
        if hasattr(stage, "batch"):
            with naming(node.name, call.stream, call.place):
                inputs = [_inputs(node, *pair) for pair in zip((past, *frames), frames, strict=False)]
                (output,) = node.outputs
                for frame, value in zip(frames, stage.batch(*zip(*inputs, strict=True)), strict=True):
                    frame[output] = value
        else:
            for position, (before, frame) in enumerate(zip((past, *frames), frames, strict=False)):
                with naming(node.name, call.stream, f"frame {call.first_index + position}"):
                    results = stage(*_inputs(node, before, frame))
                outputs = (results,) if len(node.outputs) == 1 else results
                frame.update(zip(node.outputs, outputs, strict=True))
        end_s, cpu_s = time.monotonic(), self._cpu_clock() - start_cpu_s
        return StageReport(stage=node.name, start_s=start_s, end_s=end_s, cpu_s=cpu_s, parts_s={})

    def _kept(self, call: BatchCall, before: Mapping[str, Any]) -> FrameValues:
        """What this host made of the frame before: from the cache, or made again."""
        if not self._group.cached or call.first_index == 0 or not call.follows:
            return {}
        index, kept = self._cache.get(call.stream, (-1, {}))
        if index != call.first_index:
            log.debug("stream %s, before %s: made again", call.stream, call.place)
            kept = self._made_again(call, before)
        return kept

    def _made_again(self, call: BatchCall, before: Mapping[str, Any]) -> FrameValues:
        """All frames of the batch before, since the last bits may depend on what is computed together."""
        given = {name: value for name, value in before.items() if name not in self._group.state}
        count = max(map(len, given.values()))
        frames = _by_frame(given, count)
        earlier = BatchCall(stream=call.stream, first_index=call.first_index - count, num_frames=count)
        for node in self._group.recompute:
            self._run(node, earlier, {}, frames)
        return {name: frames[-1][name] for name in self._group.cached}

    def _remember(self, call: BatchCall, last: FrameValues) -> None:
        kept = {name: last[name] for name in self._group.cached}
        self._cache[call.stream] = (call.first_index + call.num_frames, kept)
        self._cache.move_to_end(call.stream)
        while len(self._cache) > self._num_cached:
            self._cache.popitem(last=False)


def _by_frame(values: Mapping[str, Any], num_frames: int) -> list[FrameValues]:
    """Tuples of values, by name -> the values of each frame."""
    return [
        {name: value if name == SOURCE else value[position] for name, value in values.items()}
        for position in range(num_frames)
    ]


def _inputs(node: Node, before: FrameValues, frame: FrameValues) -> list[Any]:
    return [frame[link.value] if isinstance(link, Now) else before.get(link.value) for link in node.inputs]


class EncodeHost:
    """Writes runs of frames, and joins them."""

    def __init__(self, settings: Settings, factory: StageFactory, cpu_clock: Callable[[], float]) -> None:
        self._stage = factory(ENCODE, settings)
        limit_threads(settings.run.threads)
        self._cpu_clock = cpu_clock
        self._worker = this_process()

    def __call__(self, call: Call, inputs: Sequence[Value]) -> tuple[Value, ...]:
        assert not isinstance(call, BatchCall)
        if isinstance(call, FinishCall):
            with naming(ENCODE, call.stream, "joining the runs"):
                self._stage.finish(inputs[0], call.output, call.first_index, keep_parts=call.keep_parts)
            return (CallReport(worker=self._worker, stages=()),)
        return (CallReport(worker=self._worker, stages=(self._encode(call, inputs),)),)

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _encode(self, call: EncodeCall, inputs: Sequence[Any]) -> StageReport:
        source, _, memory, *batches = inputs
        half = len(batches) // 2
        frames, panoptics = (
            list(chain(*part))[: call.num_frames] for part in (batches[:half], batches[half:])
        )
        with naming(ENCODE, call.stream, frames_text(call.first_index, call.num_frames)):
            start_s, start_cpu_s = time.monotonic(), self._cpu_clock()
            checkpoint = Checkpoint(cursor=call.cursor, memory=memory)
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
