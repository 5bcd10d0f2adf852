"""A UDP relay on loopback that loses packets, between an RTSP server and whoever watches it.

RTSP itself goes through untouched, but for the ports: a client asks for pictures to be sent to its own UDP
ports; the relay names its own in their place, and passes on what comes there, with losses.
"""

from __future__ import annotations

import random
import re
import socket
import threading
from contextlib import suppress


class LossyRelay:
    """In front of a server; use as a context manager."""

    def __init__(self, server: str, lost: float, seed: int = 0) -> None:
        """`server` is HOST:PORT; `lost` is the part of the packets that does not arrive."""
        host, _, port = server.partition(":")
        self._server = host, int(port)
        self._lost, self._random = lost, random.Random(seed)
        self.num_lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        self._client_ports: dict[tuple[int, int], tuple[int, int]] = {}
        """By those of the relay that stand for them."""

    def __enter__(self) -> LossyRelay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while text := source.recv(1 << 16):
                target.sendall(re.sub(rb"client_port=(\d+)-(\d+)", self._own_ports, text))

    def _own_ports(self, asked: re.Match[bytes]) -> bytes:
        """Ports of the relay in place of the client's; in an answer the other way round."""
        ports = int(asked[1]), int(asked[2])
        if ports not in self._client_ports:
            own = _two_sockets()
            self._open += own
            for each, port in zip(own, ports, strict=True):
                threading.Thread(target=self._lose_some, args=(each, port), daemon=True).start()
            first: int = own[0].getsockname()[1]
            self._client_ports[first, first + 1] = ports
            return b"client_port=%d-%d" % (first, first + 1)
        return b"client_port=%d-%d" % self._client_ports[ports]

    def _lose_some(self, own: socket.socket, client_port: int) -> None:
        with suppress(OSError):
            while packet := own.recv(1 << 16):
                if self._random.random() < self._lost:
                    self.num_lost += 1
                else:
                    own.sendto(packet, ("127.0.0.1", client_port))


def _two_sockets() -> list[socket.socket]:
    """Of UDP, at ports one after the other, the first one even, as RTP wants them."""
    while True:
        first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        with suppress(OSError):
            if port % 2 == 0:
                second.bind(("127.0.0.1", port + 1))
                return [first, second]
        first.close()
        second.close()
