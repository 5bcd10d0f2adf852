"""Sources that a server sends: which addresses are read, and how they are told about.

An address may hold a password (USER:PASSWORD@) or a key (?token=...). Nothing but `shown` may go into a
message, a file or a name.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from configs.errors import SourceError

SCHEMES = ("http", "https")
"""Of files and of HLS playlists that end."""
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


def is_address(text: str) -> bool:
    """Does it name something on a server rather than a file?"""
    return _ADDRESS.match(text) is not None


def check_address(address: str) -> None:
    """SourceError if it is none of those that are read."""
    scheme = address.partition("://")[0].lower()
    if scheme not in SCHEMES:  # the rest is not repeated: it may hold a password
        raise SourceError(
            f"{scheme}://... is a network stream, which is not supported yet; record it to a file first"
        )
    try:
        has_host = bool(urlsplit(address).hostname) and urlsplit(address).port != 0
    except ValueError:
        has_host = False
    if not has_host:
        raise SourceError(f"{scheme}://... is no address; expected {scheme}://HOST/PATH")


def shown(address: str) -> str:
    """The address without user, password and query."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port is not None else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}{'?...' if parts.query else ''}"


def name_of(address: str) -> str:
    """For the stream: the last part of the path, else the host."""
    parts = urlsplit(address)
    return PurePosixPath(unquote(parts.path)).stem or parts.hostname or "stream"
