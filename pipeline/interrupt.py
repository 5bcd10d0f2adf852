"""Ctrl-C: the first time it asks for a calm end, the second time it ends the run at once."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)


class Interrupt:
    """While entered, counts SIGINT in the main thread instead of raising the first time."""

    def __init__(self) -> None:
        self.requested = False
        """True after the first Ctrl-C."""
        self._previous: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        log.warning("stopping: the frames in flight are finished first; Ctrl-C again to stop at once")
