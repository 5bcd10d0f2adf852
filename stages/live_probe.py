"""What a live source is: it is connected to, until its first picture has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from configs.errors import ConnectionLostError, SourceError
from stages.conversion import upright_rgb
from stages.hardware import tell_if_refused
from stages.live_clock import TIME_BASE
from stages.live_connection import LiveConnection
from stages.live_sound import tell_if_left_out
from stages.source import SourceInfo

if TYPE_CHECKING:
    from stages.source import Source


def probe_live(source: Source) -> SourceInfo:
    """What it says and shows; SourceError if no picture comes."""
    connection = LiveConnection(source)
    try:
        picture = next(connection.pictures(), None)
        if source.rules.sound:
            tell_if_left_out(source.label, connection.container)
        tell_if_refused(source.label, source.rules, connection.stream.codec_context)
    except ConnectionLostError as error:
        raise SourceError(
            f"{source.label}: shows no picture ({error}); check the camera or the server"
        ) from None
    finally:
        connection.close()
    if picture is None:
        raise SourceError(f"{source.label}: ends without a picture; check what writes into it")
    height, width = upright_rgb(picture, (picture.height, picture.width), deinterlace=False).shape[:2]
    return SourceInfo(
        size=(height, width),
        time_base=TIME_BASE,
        average_rate=connection.rate / source.stride,
        num_frames=None,
        num_frames_slack=None,
        end_s=None,
        stride=source.stride,
        duration_s=None,
        codec=connection.stream.codec_context.name,
        has_audio=bool(connection.container.streams.audio),
        num_bytes=None,
        is_live=True,
    )
