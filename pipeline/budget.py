"""How much memory the frames in flight may hold, and the window and run length that fit into it.

Held at once: `window` frames between decoding and the panoptic map, each with what the model stages
hand to each other, then at most three runs of encoding (one gathering, two waiting) of frames with
their maps.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from configs.errors import SettingsError
from configs.schema import Settings
from pipeline.placement import window_frames
from stages.messages import Size

log = logging.getLogger(__name__)

MEGABYTE = 10**6
STORE_BYTES = 1000 * MEGABYTE
"""Ray's object store when the settings do not ask for a budget."""
STORE_SHARE = 0.4
"""Part of the store that frames in flight may hold; the rest absorbs what is being copied or freed."""
PENDING_RUNS = 2
"""Runs that wait for the encoder or are being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one stream may hold."""

    window_frames: int
    run_frames: int


def object_store_bytes(settings: Settings) -> int:
    """Size of Ray's object store."""
    budget = settings.run.memory_budget_mb * MEGABYTE
    return max(int(budget / STORE_SHARE), 100 * MEGABYTE) if budget else STORE_BYTES


def budget_bytes(settings: Settings) -> int:
    """What all frames in flight may hold."""
    if settings.run.memory_budget_mb:
        return settings.run.memory_budget_mb * MEGABYTE
    return int(STORE_SHARE * STORE_BYTES) if settings.run.executor == "ray" else 1000 * MEGABYTE


def needed_bytes(size: Size, settings: Settings, limits: Limits) -> int:
    """What a stream of that size holds at the most."""
    picture = size[0] * size[1] * 3
    label_map = size[0] * size[1] * 2
    in_flight = limits.window_frames * (picture + label_map + between_stages_bytes(size, settings))
    return in_flight + (1 + PENDING_RUNS) * limits.run_frames * (picture + label_map)


def between_stages_bytes(size: Size, settings: Settings) -> int:
    """Features, fused features, flow and semantic logits of one frame, when they go between hosts."""
    if settings.run.placement != "split":
        return 0
    scale = min(settings.input.short_side_px / min(size), settings.input.max_long_side_px / max(size))
    pixels = int(size[0] * size[1] * scale * scale)
    pyramid = pixels // 16 * 4 // 3 * settings.model.fpn_channels * 4
    logits = pixels // 16 * len(settings.categories) * 4
    return 2 * pyramid + logits + pixels // settings.flow.stride**2 * 8


def fit(size: Size, settings: Settings) -> Limits:
    """The settings' window and run length, made smaller until they fit: runs first, then the window."""
    run, window = settings.encode.run_frames, window_frames(settings)
    allowed = budget_bytes(settings)

    def needs(run: int, window: int) -> int:
        return needed_bytes(size, settings, Limits(window_frames=window, run_frames=run))

    while needs(run, window) > allowed and run * window > 1:
        run, window = (run - 1, window) if run > 1 else (run, window - 1)
    if needs(run, window) > allowed:
        raise SettingsError(
            f"run.memory_budget_mb: {allowed // MEGABYTE} MB is too little for frames of "
            f"{size[1]}x{size[0]}; it takes at least {-(-needs(run, window) // MEGABYTE)}"
        )
    if (run, window) != (settings.encode.run_frames, window_frames(settings)):
        log.info("to fit %d MB: runs of %d frames, %d in flight", allowed // MEGABYTE, run, window)
    return Limits(window_frames=window, run_frames=run)
