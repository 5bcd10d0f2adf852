"""Decoding on a graphics card: whether it can be had here, and a line where it cannot."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from av.codec import Codec
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

    from configs.schema import InputSettings

log = logging.getLogger(__name__)

NONE = "none"


def decoder(rules: InputSettings) -> HWAccel | None:
    """For `av.open`; None, which a line says, where this process sees no such hardware.

    The processor decodes what the hardware refuses.
    """
    is_usable = rules.hwaccel != NONE and _is_there(rules.hwaccel)
    return HWAccel(rules.hwaccel) if is_usable else None


def tell_if_refused(label: str, rules: InputSettings, context: VideoCodecContext) -> None:
    """Say so in a line if the processor decodes what the hardware should; when one picture is decoded."""
    if decoder(rules) is not None and context.pix_fmt != rules.hwaccel:
        log.warning(
            "%s: %s decodes no %s (%s), so the processor does",
            label,
            rules.hwaccel,
            context.name,
            context.pix_fmt,
        )


@cache
def _is_there(kind: str) -> bool:
    try:
        HWAccel(kind).create(Codec("h264", "r"))
    except (FFmpegError, NotImplementedError) as error:
        log.warning("input.hwaccel: there is no %s here (%s), so the processor decodes", kind, error)
        return False
    return True
