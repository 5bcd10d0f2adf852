"""Small real stages whose values can be followed by hand: integers in numpy arrays.

For frame t (from 0) the picture is full of t + 1, and
    features = picture
    flow     = picture - previous picture (0 for the first)
    fused    = features + 10 * previous features + 100 * flow
    tracks   = detections + memory, where memory is the sum of the detections before
so frame 0 gives 1, frame 1 gives 1 + (2 + 10 + 100) = 113, frame 2 gives 113 + (3 + 20 + 100) = 236.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from configs.schema import RunSettings, Settings
from pipeline.host import StageFactory
from stages.messages import Checkpoint, Cursor, Frame, LivePoint, Panoptic

Placement = Literal["auto", "split", "fused"]
ExecutorName = Literal["inline", "local", "ray"]

FIRST_RESULTS = (1, 113, 236, 370, 515)
"""Value of the panoptic map of frames 0 to 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToySource:
    """A stream of `num_frames` pictures."""

    name: str = "toy"
    num_frames: int = 5
    size: tuple[int, int] = (2, 3)
    is_live: bool = False
    shown: Path | None = None
    """Of a live one, a file with a byte for each picture that was shown: none is shown twice."""
    gaps: tuple[int, ...] = ()
    """Of a live one, pictures that come after a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong at one frame of one stage."""

    stage: str
    index: int
    kind: Literal["raise", "raise unpicklable", "raise while joining"] = "raise"
    """While joining: what begins with that frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """In which calls of a stage its process dies."""

    stage: str
    tally: Path
    """A file that counts them over all processes that the stage ever had: a byte a call."""
    calls: Collection[int] = ()
    """Their numbers, from 0."""
    frame: int | None = None
    """Every call that begins with this frame."""
    joining: bool = False
    """Joining counts as a call of the encoder, too."""
    building: bool = False
    """Each time that the stage is built counts as a call, in place of its calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyRun:
    """The runs that an encoder wrote."""

    seconds: dict[str, float] = field(default_factory=lambda: {"draw": 0.25})


class UnpicklableError(RuntimeError):
    """Takes two arguments, so that it cannot be made again from one."""

    def __init__(self, what: str, lock: object) -> None:
        super().__init__(what, lock)


def make_factory(
    fault: Fault | None = None, delay_s: float = 0.0, deaths: Sequence[Deaths] = ()
) -> StageFactory:
    """Builds toy stages, some of which may go wrong; each model stage takes `delay_s`."""
    return partial(_build, fault=fault, delay_s=delay_s, deaths=deaths)


def make_settings(
    executor: ExecutorName = "inline",
    placement: Placement = "fused",
    replicas: int = 1,
    batch_frames: int = 1,
) -> Settings:
    """Settings as after `resolve`."""
    run = RunSettings(
        executor=executor,
        placement=placement,
        replicas=replicas,
        batch_frames=batch_frames,
        device="cpu",
        threads=1,
    )
    return Settings(run=run)


def _build(
    name: str, settings: Settings, *, fault: Fault | None, delay_s: float, deaths: Sequence[Deaths]
) -> object:
    mine = fault if fault is not None and fault.stage == name else None
    fatal = next((each for each in deaths if each.stage == name), None)
    if fatal is not None and fatal.building:
        _may_die(fatal)
        fatal = None
    if name == "encode":
        return ToyEncode(mine, fatal)
    if name in ("features", "fuse", "detect"):  # those of the network
        return ToyBatchStage(name, mine, delay_s, fatal)
    return ToyStage(name, mine, delay_s, fatal)


def _may_die(deaths: Deaths | None, *inputs: object) -> None:
    if deaths is None:
        return
    with deaths.tally.open("ab") as file:
        number = file.tell()
        file.write(b".")
    frames = [value.index for value in inputs[:1] if isinstance(value, Frame)]
    if number in deaths.calls or deaths.frame in frames:
        os.kill(os.getpid(), signal.SIGKILL)


def _go_wrong(fault: Fault) -> None:
    if fault.kind == "raise unpicklable":
        raise UnpicklableError("boom", lambda: None)
    raise ValueError(f"boom at {fault.index}")


class ToyStage:
    """One of the stages of a frame; counts its calls."""

    def __init__(self, name: str, fault: Fault | None, delay_s: float, deaths: Deaths | None = None) -> None:
        self._function = globals()[name]
        self._deaths = deaths
        self._fault, self._delay_s = fault, delay_s if name != "decode" else 0.0
        self.num_calls = 0

    def __call__(self, *inputs: Any) -> Any:  # noqa: ANN401
        time.sleep(self._delay_s)
        _may_die(self._deaths, *inputs)
        if self._fault is not None and self._fault.index == self.num_calls:
            _go_wrong(self._fault)
        self.num_calls += 1
        return self._function(*inputs)


class ToyBatchStage(ToyStage):
    """One that does several frames at once, and remembers how many."""

    def __init__(self, name: str, fault: Fault | None, delay_s: float, deaths: Deaths | None = None) -> None:
        super().__init__(name, fault, delay_s, deaths)
        self.batches: list[int] = []

    def batch(self, *inputs: Sequence[Any]) -> list[Any]:
        self.batches.append(len(inputs[0]))
        return [self(*of_frame) for of_frame in zip(*inputs, strict=True)]


def decode(source: ToySource, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
    index = 0 if cursor is None else cursor.index + 1
    if source.is_live:
        return _show_live(source, cursor, index)
    if index == source.num_frames:
        return None, Cursor(index=index - 1, source_index=index - 1, pts=index - 1, ended=True)
    image = np.full((*source.size, 3), (index + 1) % 256, dtype=np.uint8)
    frame = Frame(index=index, pts=index, time_base=Fraction(1, 25), duration=1, image=image)
    return frame, Cursor(index=index, source_index=index, pts=index)


def _show_live(source: ToySource, cursor: Cursor | None, index: int) -> tuple[Frame | None, Cursor]:
    assert source.shown is not None
    with source.shown.open("ab") as file:
        number = file.tell()
        file.write(b".")
    before = cursor.live.segment if cursor is not None and cursor.live is not None else 0
    follows = number not in source.gaps
    live = LivePoint(state="live", since_s=0.0, follows=follows, segment=before if follows else index)
    if number == source.num_frames:
        return None, Cursor(index=index - 1, source_index=number, pts=number, ended=True, live=live)
    image = np.full((*source.size, 3), number + 1, dtype=np.uint8)
    frame = Frame(index=index, pts=number, time_base=Fraction(1, 25), duration=1, image=image)
    return frame, Cursor(index=index, source_index=number, pts=number, live=live)


def features(frame: Frame) -> np.ndarray:
    return np.full(1, frame.image[0, 0, 0], dtype=np.int64)


def flow(frame: Frame, previous: Frame | None) -> np.ndarray | None:
    return None if previous is None else features(frame) - features(previous)


def fuse(current: np.ndarray, previous: np.ndarray | None, moved: np.ndarray | None) -> np.ndarray:
    if previous is None or moved is None:
        return current
    fused: np.ndarray = current + 10 * previous + 100 * moved
    return fused


def detect(fused: np.ndarray) -> np.ndarray:
    return fused


def track(detections: np.ndarray, memory: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    total = detections if memory is None else detections + memory
    return total, total


def panoptic(detections: np.ndarray, tracks: np.ndarray) -> Panoptic:
    label_map = np.full((2, 3), tracks[0] % 65536, dtype=np.uint16)
    return Panoptic(index=0, label_map=label_map, segments=())


class ToyEncode:
    """Writes a line per frame, a file per run, and joins the files."""

    def __init__(self, fault: Fault | None, deaths: Deaths | None = None) -> None:
        self._fault, self._deaths = fault, deaths

    def __call__(
        self,
        source: ToySource,
        output: str,
        frames: Sequence[Frame],
        panoptics: Sequence[Panoptic],
        checkpoint: Checkpoint,
    ) -> ToyRun:
        first = frames[0].index
        _may_die(self._deaths)
        Path(output).mkdir(parents=True, exist_ok=True)
        fault = self._fault if self._fault is not None and self._fault.kind != "raise while joining" else None
        if fault is not None and fault.index in range(first, first + len(frames)):
            _go_wrong(fault)
        pairs = zip(frames, panoptics, strict=True)
        lines = [f"{frame.index} {int(result.label_map[0, 0])}\n" for frame, result in pairs]
        Path(output, f"part-{first:06d}.txt").write_text("".join(lines))
        return ToyRun()

    def finish(self, source: ToySource, output: str, first_index: int, *, keep_parts: bool) -> None:
        if self._deaths is not None and self._deaths.joining:
            _may_die(self._deaths)
        fault = self._fault if self._fault is not None and self._fault.kind == "raise while joining" else None
        if fault is not None and fault.index == first_index:
            _go_wrong(fault)
        parts = sorted(Path(output).glob("part-*.txt"))
        Path(output, "result.txt").write_text("".join(part.read_text() for part in parts))


def read_results(output: Path) -> list[tuple[int, int]]:
    """(frame, value) of everything that was encoded."""
    lines = (output / "result.txt").read_text().splitlines()
    return [(int(index), int(value)) for index, value in (line.split() for line in lines)]
