"""Several streams at a time through the same hosts: each with its own window, order, state and end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.executor import Executor, Ref
from pipeline.stream import StreamDriver

POLL_S = 0.25
"""How long a wait lasts at most before a requested stop is noticed."""
LIVE_POLL_S = 0.01
"""The same while a live source has to be asked for its next picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingStream:
    """A stream that is not begun."""

    needed_bytes: int
    """What it will hold at the most."""
    start: Callable[[], StreamDriver | None]
    """Makes its driver when its turn has come; None: it is not begun any more."""


def drive(
    streams: Iterable[WaitingStream],
    executor: Executor,
    at_once: int,
    budget_bytes: int,
    on_end: Callable[[StreamDriver], None],
) -> None:
    """Run all streams to their end, begun in their order: at most so many at a time, and so many bytes.

    A stream that fails or ends leaves the others alone.
    """
    waiting = deque(streams)
    active: dict[StreamDriver, int] = {}
    """With what each needs."""
    while waiting or active:
        while waiting and _has_room(waiting[0], active, at_once, budget_bytes):
            stream = waiting.popleft()
            if (driver := stream.start()) is not None:
                active[driver] = stream.needed_bytes
        refs = {driver: driver.submit() for driver in active}
        for driver in [driver for driver in active if driver.ended]:
            del active[driver]
            on_end(driver)
        done = _wait(executor, [ref for driver in active for ref in refs[driver]], active)
        for driver in active:
            driver.take(done)


def _wait(executor: Executor, refs: Sequence[Ref], active: Collection[StreamDriver]) -> set[Ref]:
    """What is done of what the streams wait for."""
    timeout_s = LIVE_POLL_S if any(driver.waits_for_source for driver in active) else POLL_S
    if refs:
        return set(executor.wait(refs, timeout_s))
    if active:
        time.sleep(timeout_s)
    return set()


def _has_room(
    stream: WaitingStream, active: Mapping[StreamDriver, int], at_once: int, budget_bytes: int
) -> bool:
    if not active:
        return True
    return len(active) < at_once and sum(active.values()) + stream.needed_bytes <= budget_bytes
