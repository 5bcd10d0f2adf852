"""For the tests of live sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from stages.source import Source
from tests.live.watching import Watcher


@pytest.fixture
def watch() -> Iterator[Callable[[Source], Watcher]]:
    watchers: list[Watcher] = []

    def begin(source: Source) -> Watcher:
        watchers.append(Watcher(source))
        return watchers[-1]

    yield begin
    for watcher in watchers:
        watcher.close()
