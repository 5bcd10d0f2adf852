"""Opening a video, a file or what a server sends; what is wrong with it is said in one line."""

from __future__ import annotations

import logging
import os
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import av
import certifi
from av.container import InputContainer
from av.error import (
    FFmpegError,
    HTTPClientError,
    HTTPError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from av.video.stream import VideoStream

from configs.errors import SourceError
from stages.hardware import decoder
from stages.source import NO_START, check_frame_size

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel

    from stages.source import Source

log = logging.getLogger(__name__)

DECODER_THREADS = min(4, os.cpu_count() or 1)
_CAMERA_FORMAT = "v4l2"
"""FFmpeg's name of Linux's cameras."""
_PLAYLISTS = frozenset({"hls", "dash"})
"""FFmpeg's names of their formats."""


def open_container(source: Source, hwaccel: HWAccel | None = None) -> InputContainer:
    """The video with all its tracks; FFmpegError if that fails. `hwaccel` decodes its pictures."""
    path, rules = source.paths[0], source.rules
    options = {"max_pixels": str(rules.max_frame_px)}
    file_format, timeouts_s = None, None
    if source.is_live:
        timeouts_s = rules.open_timeout_s, None if source.is_pipe else rules.frame_timeout_s
        options |= _live_options(source)
        file_format = None if source.is_remote or source.is_pipe else _CAMERA_FORMAT
    elif source.is_remote:
        timeouts_s = rules.open_timeout_s, rules.read_timeout_s
        options |= _http_options(source)
    return av.open(
        path,
        format=file_format,
        metadata_errors="replace",
        options=options,
        timeout=timeouts_s,
        hwaccel=hwaccel,
    )


def _live_options(source: Source) -> dict[str, str]:
    if not source.is_remote:
        return {}
    options = {
        "rw_timeout": str(round(source.rules.frame_timeout_s * 1e6)),
        "tls_verify": "1",
        "ca_file": _trusted_certificates(),
    }
    if source.paths[0].lower().startswith("rtsp"):
        options |= {
            "rtsp_transport": source.rules.rtsp_transport,
            "allowed_media_types": "video+audio" if source.rules.sound else "video",
            "fflags": "nobuffer",  # what comes while it is probed is old, and would come in a burst
        }
    return options


def recognised(source: Source) -> Source:
    """The source; a live one, if what a server sends turns out to be that."""
    if source.is_live or not source.is_remote:
        return source
    container, _ = open_video(source)
    with container:
        is_file = not is_playlist(container) and container.size > 0
    if is_file:
        return source
    if source.start_s:
        raise SourceError(NO_START)
    log.warning(
        "%s: the server gives no length, so it is taken as live: connected to anew when it ends "
        "(--max-retries 0 ends with it), and what comes too fast is left out (--on-full wait waits)",
        source.label,
    )
    return replace(source, kind="live")


def is_playlist(container: InputContainer) -> bool:
    """Does a server send it piece by piece, as its list names them?"""
    return not _PLAYLISTS.isdisjoint(container.format.name.split(","))


def _trusted_certificates() -> str:
    return ssl.get_default_verify_paths().cafile or certifi.where()


def _http_options(source: Source) -> dict[str, str]:
    """When a server hangs up or cannot be reached, FFmpeg tries again, until a time-out ends that."""
    return {
        "reconnect": "1",  # without it, pictures behind a seek are lost without a word
        "reconnect_on_network_error": "1",
        "reconnect_delay_max": "8",
        "rw_timeout": str(round(source.rules.read_timeout_s * 1e6)),  # PyAV's own does not hold for a seek
        "tls_verify": "1",
        "ca_file": _trusted_certificates(),
    }


def open_video(source: Source) -> tuple[InputContainer, VideoStream]:
    """The container and its first video track; SourceError names what is wrong with it.

    Decoders refuse packets with larger pictures than the source allows.
    """
    began_s = time.monotonic()
    try:
        container = open_container(source, decoder(source.rules))
    except FFmpegError as error:
        raise SourceError(_why_unreadable(source, error, time.monotonic() - began_s)) from None
    try:
        return container, _first_track(source, container)
    except SourceError:
        container.close()
        raise


def _first_track(source: Source, container: InputContainer) -> VideoStream:
    tracks = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not tracks or tracks[0].time_base is None:
        raise SourceError(f"{source.label}: has no video track; name a file that has one")
    if tracks[0].codec_context is None:
        raise SourceError(f"{source.label}: its video codec cannot be decoded here; convert it to H.264")
    context = tracks[0].codec_context
    check_frame_size(source.label, (context.height, context.width), source.rules.max_frame_px)
    context.options = {"max_pixels": str(source.rules.max_frame_px)}
    tracks[0].thread_type = "SLICE" if source.is_live else "AUTO"  # threads for whole frames hold some back
    context.thread_count = DECODER_THREADS
    return tracks[0]


def _why_unreadable(source: Source, error: FFmpegError, waited_s: float) -> str:
    if source.is_remote:
        return f"{source.label}: {_why_not_sent(source, error, waited_s)}"
    path = source.label
    if source.is_pipe and waited_s >= source.rules.open_timeout_s:
        return f"{path}: nothing came within {source.rules.open_timeout_s:g} s; check what writes into it"
    if isinstance(error, FileNotFoundError):
        return f"{path}: no such file; check the path"
    if isinstance(error, PermissionError):
        return f"{path}: may not be read; check its permissions"
    if not source.is_live and _lacks_index(Path(path)):
        return (
            f"{path}: its index (moov) is missing, so no picture can be found in it; "
            "the copy or recording was cut off: copy the file again"
        )
    return f"{path}: is not a video that can be read ({error.strerror}); check the file, or convert it"


def _why_not_sent(source: Source, error: FFmpegError, waited_s: float) -> str:
    if waited_s >= source.rules.open_timeout_s:
        return (
            f"no server there has sent a video within {source.rules.open_timeout_s:g} s; check the address, "
            "or --set input.open_timeout_s=60"
        )
    if isinstance(error, HTTPUnauthorizedError | HTTPForbiddenError):
        scheme = source.label.partition(":")[0]
        return f"the server wants another user or password; write them as {scheme}://USER:PASSWORD@HOST/..."
    if isinstance(error, HTTPNotFoundError):
        return f"the server has no such {'stream' if source.is_live else 'file'}; check the address"
    if isinstance(error, HTTPError | HTTPClientError):
        return f"the server refuses ({error.strerror}); check the address, or try again later"
    if isinstance(error, InvalidDataError):
        return f"is not a video that can be read ({error.strerror}); check the address"
    if source.label.startswith(("https:", "rtsps:")):
        return (
            f"the server cannot be reached, or its certificate is not trusted ({error.strerror}); check the "
            "address; SSL_CERT_FILE names a file of trusted certificates"
        )
    return f"the server cannot be reached ({error.strerror}); check the address"


def _lacks_index(path: Path) -> bool:
    """Whether this is an MP4 or QuickTime file of which the index is missing."""
    names: list[bytes] = []
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            names.append(header[4:])
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(file.read(8), "big") - 8
            if length < 8 or names[0] not in (b"ftyp", b"mdat", b"wide"):
                break
            file.seek(length - 8, os.SEEK_CUR)
    return bool(names) and names[0] in (b"ftyp", b"mdat", b"wide") and b"moov" not in names
