"""Pipes and standard input for workers: processes of their own, of which each reads from the beginning.

A thread reads the pipe and sends it to whoever connects to a socket in a folder of the run. One that connects
later, as a worker does after the probe, gets the beginning once more, as long as that is remembered:
`REMEMBERED_BYTES`. After that it gets what comes from then on.
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
REMEMBERED_BYTES = 16 << 20


@contextmanager
def relayed(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """The sources; of each pipe the socket in its place."""
    with ExitStack() as stack:
        yield [stack.enter_context(_relay(source)) if _is_own(source) else source for source in sources]


def _is_own(source: Source) -> bool:
    """Is it a pipe that this process alone can read?"""
    return source.is_pipe and not source.paths[0].startswith(SOCKET)


@contextmanager
def _relay(source: Source) -> Iterator[Source]:
    path = source.paths[0]
    if path == STANDARD_INPUT and sys.stdin.isatty():
        raise SourceError("-: standard input is a terminal; write a video into it: ffmpeg ... | ... run -")
    with tempfile.TemporaryDirectory(prefix="panoptrail-") as folder, socket.socket(socket.AF_UNIX) as server:
        place = str(Path(folder, "pipe"))
        server.bind(place)
        server.listen()
        threading.Thread(target=_serve, args=(path, server), name=f"relay {source.name}", daemon=True).start()
        try:
            yield replace(source, paths=(f"{SOCKET}{place}",), shown_as=path)
        finally:
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread, which ends


def _serve(path: str, server: socket.socket) -> None:
    """Send the pipe to one after the other, until the server is closed."""
    pipe = sys.stdin.fileno() if path == STANDARD_INPUT else os.open(path, os.O_RDONLY)
    remembered, is_whole = bytearray(), True
    while True:
        try:
            reader, _ = server.accept()
        except OSError:
            return
        with reader, suppress(OSError):  # it has gone
            if is_whole:
                reader.sendall(remembered)
            while chunk := os.read(pipe, CHUNK_BYTES):
                is_whole = is_whole and len(remembered) + len(chunk) <= REMEMBERED_BYTES
                if is_whole:
                    remembered += chunk
                else:
                    remembered.clear()
                reader.sendall(chunk)
