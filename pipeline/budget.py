"""How much memory the frames in flight may hold, and the window and run length that fit into it.

Held at once: `window` frames between decoding and the panoptic map, each with what the model stages
hand to each other, then at most three runs of encoding (one gathering, two waiting) of frames with
their maps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.errors import SettingsError
from configs.schema import Settings
from pipeline.placement import window_frames
from stages.messages import Size

if TYPE_CHECKING:
    from stages.source import Source

log = logging.getLogger(__name__)

MEGABYTE = 10**6
STORE_BYTES = 1000 * MEGABYTE
"""Ray's object store when the settings do not ask for a budget."""
STORE_SHARE = 0.4
"""Part of the store that frames in flight may hold; the rest absorbs what is being copied or freed."""
LIVE_WINDOW_FRAMES = 2
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


def budget_bytes(settings: Settings, store_bytes: int = STORE_BYTES) -> int:
    """What all frames in flight may hold, in an object store of that size if Ray runs them."""
    if settings.run.memory_budget_mb:
        return settings.run.memory_budget_mb * MEGABYTE
    return int(STORE_SHARE * store_bytes) if settings.run.executor == "ray" else 1000 * MEGABYTE


def needed_bytes(size: Size, settings: Settings, limits: Limits) -> int:
    """What a stream of that size holds at the most."""
    picture = size[0] * size[1] * 3
    label_map = size[0] * size[1] * 2
    in_flight = limits.window_frames * (picture + label_map + between_stages_bytes(size, settings))
    return in_flight + (1 + PENDING_RUNS) * limits.run_frames * (picture + label_map)


def between_stages_bytes(size: Size, settings: Settings) -> int:
    """What goes between the hosts of the model: logits with replicas; when split, features and flow, too."""
    scale = min(settings.input.short_side_px / min(size), settings.input.max_long_side_px / max(size))
    pixels = int(size[0] * size[1] * scale * scale)
    pyramid = pixels // 16 * 4 // 3 * settings.model.fpn_channels * 4
    logits = pixels // 16 * len(settings.categories) * 4
    if settings.run.placement == "split":
        return 2 * pyramid + logits + pixels // settings.flow.stride**2 * 8
    return logits if settings.run.replicas > 1 else 0


def fit(size: Size, settings: Settings, allowed: int) -> Limits:
    """Window and run length for frames that may hold so many bytes (`budget_bytes`).

    A run is a closed group of pictures, so its length decides on the bytes of the video: it follows from the
    size of the frames and `run.memory_budget_mb` alone. The window follows from all that needs memory.
    """
    run = run_frames(size, settings)

    def needs(window: int) -> int:
        return needed_bytes(size, settings, Limits(window_frames=window, run_frames=run))

    wanted, batch = window_frames(settings), settings.run.batch_frames
    window = next((count for count in range(wanted, batch, -batch) if needs(count) <= allowed), batch)
    if needs(window) > allowed:
        raise SettingsError(
            f"run.memory_budget_mb: {allowed // MEGABYTE} MB is too little for frames of "
            f"{size[1]}x{size[0]} in runs of {run}; {_remedy(size, settings, allowed, needs(window))}"
        )
    if (run, window) != (settings.encode.run_frames, wanted):
        log.info("to fit %d MB: runs of %d frames, %d in flight", allowed // MEGABYTE, run, window)
    if settings.run.replicas > 1 and window < wanted:
        log.warning(
            "only %d frames of %dx%d in flight fit into %d MB, and %d replicas want %d: raise "
            "run.memory_budget_mb",
            *(window, size[1], size[0], allowed // MEGABYTE, settings.run.replicas, wanted),
        )
    return Limits(window_frames=window, run_frames=run)


def _remedy(size: Size, settings: Settings, allowed: int, needed: int) -> str:
    if not settings.run.memory_budget_mb:  # a cluster's store, and the length of runs does not depend on it
        megabytes = allowed // MEGABYTE
        run = settings.run.model_copy(update={"memory_budget_mb": megabytes})
        with suppress(SettingsError):
            fit(size, settings.model_copy(update={"run": run}), megabytes * MEGABYTE)
            return f"in so small a store, set it to {megabytes}: runs of frames are shorter then"
    return f"it takes at least {-(-needed // MEGABYTE)}"


def for_live(settings: Settings) -> Settings:
    """The settings, with as few frames in flight as keep the workers busy: those that wait grow old."""
    run = settings.run.model_copy(update={"window_frames": LIVE_WINDOW_FRAMES, "batch_frames": 1})
    return settings.model_copy(update={"run": run})


def for_sources(sources: Sequence[Source], settings: Settings) -> Settings:
    """The settings, with all live sources at once: one that waited for another to end might wait for ever."""
    num_live = sum(source.is_live for source in sources)
    run = settings.run.model_copy(update={"streams_at_once": max(settings.run.streams_at_once, num_live)})
    return settings.model_copy(update={"run": run})


def check_room(needs: Sequence[int], allowed: int) -> None:
    """SettingsError if live sources, which need so many bytes each, cannot all be under way at once."""
    if sum(needs) > allowed:
        raise SettingsError(
            f"run.memory_budget_mb: {allowed // MEGABYTE} MB is too little for {len(needs)} live sources at "
            f"once; it takes at least {-(-sum(needs) // MEGABYTE)}"
        )


def run_frames(size: Size, settings: Settings) -> int:
    """The settings' run length, or the longest that leaves room for the settings' window: whole batches."""
    frame = size[0] * size[1] * 5
    budget = settings.run.memory_budget_mb * MEGABYTE or int(STORE_SHARE * STORE_BYTES)
    batch = settings.run.batch_frames
    longest = (budget // frame - max(settings.run.window_frames, batch)) // (1 + PENDING_RUNS)
    return max(batch, min(settings.encode.run_frames, longest) // batch * batch)
