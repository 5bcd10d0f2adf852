"""A plain HTTP server on loopback for a folder of files, that can do what real ones do wrong."""

from __future__ import annotations

import base64
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 4096


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """What a server does; may be changed while it runs."""

    stall_after: int | None = None
    """Bytes of a file after which nothing more comes, on a connection that stays."""
    drop_after: int | None = None
    """Bytes of an answer after which the connection is closed."""
    sends_parts: bool = True
    """False: whole files alone, whatever range is asked for."""
    says_size: bool = True
    """False: an answer ends when the connection does."""
    user_password: str | None = None
    """What it asks for, "user:password"."""
    stopping: threading.Event = field(default_factory=threading.Event)
    num_requests: int = 0


@contextmanager
def serving(
    folder: Path, behaviour: Behaviour | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The address of a server of that folder, as HOST:PORT; `tls` makes it one of https."""
    does = behaviour or Behaviour()
    handler = type("Handler", (_Handler,), {"root": folder, "does": does})

    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        does.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path
    does: Behaviour

    def do_GET(self) -> None:
        self.does.num_requests += 1
        path = self.root / self.path.split("?")[0].lstrip("/")
        if not self._is_let_in():
            self._answer(401, b"", [("WWW-Authenticate", 'Basic realm="test"')])
        elif not path.is_file():
            self._answer(404, b"")
        else:
            self._send(path.read_bytes())

    def _is_let_in(self) -> bool:
        wanted = self.does.user_password
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return wanted is None or given == base64.b64encode(wanted.encode()).decode()

    def _send(self, content: bytes) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked or not self.does.sends_parts:
            self._answer(200, content)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        place = f"bytes {first}-{last}/{len(content)}"
        self._answer(206, content[first : last + 1], [("Content-Range", place)], first)

    def _answer(
        self, code: int, body: bytes, headers: list[tuple[str, str]] | None = None, at: int = 0
    ) -> None:
        self.send_response(code)
        for name, value in headers or []:
            self.send_header(name, value)
        if self.does.sends_parts:
            self.send_header("Accept-Ranges", "bytes")
        if self.does.says_size:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        for start in range(0, len(body), CHUNK):
            if self.does.drop_after is not None and start >= self.does.drop_after:
                self.close_connection = True
                return
            while self.does.stall_after is not None and at + start >= self.does.stall_after:
                if self.does.stopping.wait(0.05):
                    self.close_connection = True
                    return
            try:
                self.wfile.write(body[start : start + CHUNK])
            except OSError:  # the client has gone
                self.close_connection = True
                return

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the answer tells."""
