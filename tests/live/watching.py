"""Reading a live source as the pipeline does, and keeping what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from configs.schema import InputSettings
from stages.live_reader import LiveReader
from stages.messages import Cursor, Frame
from stages.source import Source, expand_sources

RULES = InputSettings(open_timeout_s=5.0, frame_timeout_s=3.0)


def live(address: str, **rules: object) -> Source:
    (source,) = expand_sources([address])
    return replace(source, rules=RULES.model_copy(update=rules))


class Watcher:
    """Reads frames as the pipeline does, and keeps what it sees."""

    def __init__(self, source: Source, segment_s: float = 3600.0) -> None:
        self._reader = LiveReader(source, segment_s, None)
        self.cursor: Cursor | None = None
        """Behind the last frame."""
        self.latest: Cursor | None = None
        self.frames: list[Frame] = []
        self.states: list[str] = []

    def look(self) -> Frame | None:
        frame, self.latest = self._reader.read(self.cursor)
        assert self.latest.live is not None
        if self.states[-1:] != [self.latest.live.state]:
            self.states.append(self.latest.live.state)
        if frame is None:
            time.sleep(0.02)
        else:
            self.cursor = self.latest
            self.frames.append(frame)
        return frame

    def until(self, condition: Callable[[], object], timeout_s: float = 40.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline_s, f"{self.states}, {len(self.frames)} frames"
            self.look()

    def see(self, num_frames: int) -> list[Frame]:
        """So many more frames."""
        count = len(self.frames) + num_frames
        self.until(lambda: len(self.frames) >= count)
        return self.frames[-num_frames:]

    def close(self) -> None:
        self._reader.close()


Watch = Callable[[Source], Watcher]
"""Begins to watch a source; a fixture ends it."""
