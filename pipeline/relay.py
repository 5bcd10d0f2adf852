"""Pipes and standard input for workers: processes of their own, which open what the probe has opened before.

A thread reads the pipe and sends it to whoever connects to a socket in a folder of the run. Until the relay
is settled, all that was read is remembered and each reader gets it from the beginning; the first one after
that, the worker that decodes, is the last to get it. One that takes its place gets what comes from then on.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import SourceError
from stages.address import STANDARD_INPUT

if TYPE_CHECKING:
    from stages.source import Source

SOCKET = "unix:"
"""How FFmpeg knows that a path is a socket's."""
CHUNK_BYTES = 1 << 16


@contextmanager
def relayed(sources: Sequence[Source]) -> Iterator[tuple[list[Source], threading.Event]]:
    """The sources, of each pipe the socket in its place; and the event that settles all relays."""
    settled = threading.Event()
    with ExitStack() as stack:
        reachable = [
            stack.enter_context(_relay(source, settled)) if _is_own(source) else source for source in sources
        ]
        yield reachable, settled


def _is_own(source: Source) -> bool:
    """Is it a pipe that this process alone can read?"""
    return source.is_pipe and not source.paths[0].startswith(SOCKET)


@contextmanager
def _relay(source: Source, settled: threading.Event) -> Iterator[Source]:
    path = source.paths[0]
    if path == STANDARD_INPUT and sys.stdin.isatty():
        raise SourceError("-: standard input is a terminal; write a video into it: ffmpeg ... | ... run -")
    if path != STANDARD_INPUT and not os.access(path, os.R_OK):
        raise SourceError(f"{path}: may not be read; check its permissions")
    with tempfile.TemporaryDirectory(prefix="panoptrail-") as folder, socket.socket(socket.AF_UNIX) as server:
        place = str(Path(folder, "pipe"))
        try:
            server.bind(place)
        except OSError:
            raise SourceError(
                f"{path}: no socket can be made in {folder}; set TMPDIR to a folder with a short path"
            ) from None
        server.listen()
        relay = threading.Thread(
            target=_serve, args=(path, server, settled), name=f"relay {source.name}", daemon=True
        )
        relay.start()
        try:
            yield replace(source, paths=(f"{SOCKET}{place}",), shown_as=path)
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread, which ends


def _serve(path: str, server: socket.socket, settled: threading.Event) -> None:
    """Send the pipe to one after the other, until the server is closed."""
    pipe = os.dup(sys.stdin.fileno()) if path == STANDARD_INPUT else os.open(path, os.O_RDONLY)
    remembered, remembers = bytearray(), True
    with os.fdopen(pipe, "rb", buffering=0):
        while True:
            try:
                reader, _ = server.accept()
            except OSError:
                return
            with reader, suppress(OSError):  # it has gone
                reader.sendall(remembered)
                if settled.is_set():
                    remembers = False
                    remembered.clear()
                while chunk := os.read(pipe, CHUNK_BYTES):
                    if remembers:
                        remembered += chunk
                    reader.sendall(chunk)
