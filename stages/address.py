"""Sources that a server sends: which addresses are read, and how they are told about.

An address may hold a password (USER:PASSWORD@) or a key (?token=...). Nothing but `shown` may go into a
message, a file or a name.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit

from configs.errors import SourceError

FILE_SCHEMES = ("http", "https")
"""Of files that a server sends."""
LIVE_SCHEMES = ("rtsp", "rtsps")
"""Of streams that never repeat."""
STANDARD_INPUT = "-"
PLAYLIST_SUFFIXES = (".m3u8", ".mpd")
"""Of lists of what a stream showed last, HLS and DASH."""
SCHEMES = FILE_SCHEMES + LIVE_SCHEMES
_ADDRESS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_SECRET = re.compile(r"(pass(?:word|wd)?|pwd|token|secret|key)=[^&;/]*", re.IGNORECASE)
"""As cameras write it: rtsp://HOST/user=admin&password=...&channel=1."""
_NAME_CHARACTERS = 80


def is_address(text: str) -> bool:
    """Does it name something on a server rather than a file?"""
    return _ADDRESS.match(text) is not None


def is_live(text: str) -> bool:
    """Does it name a stream that never repeats, as far as it tells?"""
    if not is_address(text):
        return False
    return _scheme(text) in LIVE_SCHEMES or urlsplit(text).path.lower().endswith(PLAYLIST_SUFFIXES)


def check_address(address: str) -> None:
    """SourceError if it is none of those that are read; it does not repeat what may be a password."""
    scheme = _scheme(address)
    if scheme == "file":
        raise SourceError("file://...: write the path alone")
    if scheme not in SCHEMES:
        raise SourceError(
            f"{scheme}://... cannot be read; expected {', '.join(SCHEMES)}, or record it to a file first"
        )
    try:
        parts = urlsplit(address)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host:
        raise SourceError(f"{scheme}://... is no address; expected {scheme}://HOST/PATH")
    if "@" not in parts.netloc and parts.port is not None and re.search(r"[^/]@", address):
        raise SourceError(
            f"{scheme}://...: if a password stands before the @, write its /, ? and # as %2F, %3F and %23; "
            "if none does, write the @ as %40"
        )


def shown(address: str) -> str:
    """The address without user, password and query, nor what is named a password in the path."""
    parts = urlsplit(address)
    port = f":{parts.port}" if parts.port is not None else ""
    path = _SECRET.sub(r"\1=...", parts.path)
    return f"{parts.scheme}://{_host(parts)}{port}{path}{'?...' if parts.query else ''}"


def name_of(address: str) -> str:
    """For the stream and its folder: the last part of the path, else the host."""
    parts = urlsplit(address)
    stem = PurePosixPath(unquote(parts.path)).stem
    if _SECRET.search(parts.path):
        return _host(parts)
    name = "".join(character if character.isprintable() else "_" for character in stem)
    return name.lstrip(".").strip()[:_NAME_CHARACTERS] or _host(parts)


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower()


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host
