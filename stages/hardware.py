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


def usable(rules: InputSettings) -> InputSettings:
    """The rules; with decoding on the processor, which a line says, where the hardware is missing."""
    if rules.hwaccel == NONE or _is_there(rules.hwaccel):
        return rules
    return rules.model_copy(update={"hwaccel": NONE})


def decoder(rules: InputSettings) -> HWAccel | None:
    """For `av.open`; the processor decodes what the hardware refuses."""
    return None if rules.hwaccel == NONE else HWAccel(rules.hwaccel)


def tell_if_refused(label: str, rules: InputSettings, context: VideoCodecContext) -> None:
    """Say so in a line if the processor decodes what the hardware should; when one picture is decoded."""
    if rules.hwaccel not in (NONE, context.pix_fmt):
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
