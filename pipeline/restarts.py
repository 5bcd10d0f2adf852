"""Hosts that died and were replaced: how often at the same frame, and how long the stream stood still."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from pipeline.graph import ENCODE

JOIN = f"{ENCODE} (joining the runs)"
"""The encoder at the end of a stream."""
MAX_DEATHS = 3
"""A host that has died so many times at the same frame will do so again: the run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """One host that died and was replaced."""

    host: str
    index: int
    """The frame that was the first to be lost, and was made again."""
    lost_s: float
    """From when the death was noticed until the stream went on."""


class Restarts:
    """Those of one stream, in order."""

    def __init__(self) -> None:
        self.done: list[Restart] = []
        """Those after which the stream went on."""
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._waiting: list[tuple[str, int, float]] = []

    def add(self, host: str, index: int, *, blamed: bool) -> bool:
        """A host died with a frame of this stream; False if that is once too often.

        Not `blamed`: it was at work for another stream when it died.
        """
        self._deaths[host, index] += blamed
        self._waiting.append((host, index, time.monotonic()))
        return self._deaths[host, index] < MAX_DEATHS

    def went_on(self, *, encoder: bool) -> None:
        """The next frame came through the hosts, or the next run through the encoder."""
        back = [entry for entry in self._waiting if (entry[0] in (ENCODE, JOIN)) == encoder]
        now_s = time.monotonic()
        self.done += [_restart(entry, now_s) for entry in back]
        self._waiting = [entry for entry in self._waiting if entry not in back]

    def all(self) -> tuple[Restart, ...]:
        """With those after which nothing has come yet."""
        return (*self.done, *(_restart(entry, time.monotonic()) for entry in self._waiting))


def _restart(entry: tuple[str, int, float], now_s: float) -> Restart:
    host, index, at_s = entry
    return Restart(host=host, index=index, lost_s=now_s - at_s)
