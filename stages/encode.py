"""Encode: runs of frames become files; at the end the runs are joined.

A run is written whole or not at all: pictures of ids, a closed group of pictures, a checkpoint to go on
from, then its record, by which it counts. Writing it again gives the same bytes, so a call may be repeated.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from configs.errors import OutputError
from stages import results
from stages.draw import draw
from stages.messages import Checkpoint, Frame, Panoptic
from stages.palette import Colour, paint
from stages.results import Layout

if TYPE_CHECKING:
    from configs.schema import Settings
    from stages.source import Source

log = logging.getLogger(__name__)

PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)
"""Maps are flat: without a filter they are written four times faster, and hardly larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRun:
    """What was written by one call."""

    first_index: int
    num_frames: int
    seconds: dict[str, float]
    """Time spent on "draw", "png" and "video"."""


class EncodeStage:
    """Writes runs of frames, and joins them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.encode
        self._categories = settings.categories

    def __call__(
        self,
        source: Source,
        output: str,
        frames: Sequence[Frame],
        panoptics: Sequence[Panoptic],
        checkpoint: Checkpoint,
    ) -> EncodedRun:
        """Write one run, in the order of the frames, into the folder `output` of the stream."""
        layout, seconds = Layout(Path(output)), {"draw": 0.0, "png": 0.0, "video": 0.0}
        with results.naming_output(layout.directory):
            layout.parts.mkdir(parents=True, exist_ok=True)
            layout.pictures.mkdir(exist_ok=True)
            with _timing(seconds, "png"):
                for panoptic in panoptics:
                    _write_ids(layout, panoptic)
            self._write_video(layout, frames, panoptics, seconds)
            _write_sound(layout, frames)
            results.write_checkpoint(layout, frames[0].index, checkpoint)
            results.write_record(layout, source.name, frames, panoptics, self._categories)
        return EncodedRun(first_index=frames[0].index, num_frames=len(frames), seconds=seconds)

    def finish(self, source: Source, output: str, first_index: int = 0, *, keep_parts: bool = True) -> None:
        """Join all complete runs, from that frame on, into results; without a run, write nothing.

        `keep_parts`: the runs stay, so that they can be gone on with.
        """
        from stages.video_joiner import join_video

        layout = Layout(Path(output))
        with results.naming_output(layout.directory):
            results.remove_temporaries(layout)
            runs = results.complete_runs(layout, first_index)
            end_index = first_index + sum(len(run.pts) for run in runs)
            if runs:
                with results.replacing(layout.video) as path:
                    join_video(source, layout, runs, path)
                results.join_records(layout, runs, self._categories)
            elif not layout.video.exists():
                log.warning("%s: no run of frames was completed, so there is no result", layout.directory)
            if runs or not layout.video.exists():
                results.remove_pictures_from(layout, end_index)
            if not keep_parts:
                results.remove_parts(layout)

    def _write_video(
        self,
        layout: Layout,
        frames: Sequence[Frame],
        panoptics: Sequence[Panoptic],
        seconds: dict[str, float],
    ) -> None:
        from stages.video_writer import PartWriter

        first, settings = frames[0], self._settings
        with results.replacing(layout.part_video(first.index)) as path:
            with PartWriter(path, first.size, settings) as writer:
                for frame, panoptic in zip(frames, panoptics, strict=True):
                    with _timing(seconds, "draw"):
                        picture = draw(
                            frame,
                            panoptic,
                            self._categories,
                            opacity=settings.overlay_opacity,
                            labels=settings.labels,
                        )
                    with _timing(seconds, "video"):
                        writer.add(picture)
                start_s = time.monotonic()
            seconds["video"] += time.monotonic() - start_s


def _write_sound(layout: Layout, frames: Sequence[Frame]) -> None:
    sounds = [frame.sound for frame in frames if frame.sound is not None]
    if sounds:
        from stages.live_sound import write_sound

        with results.replacing(layout.part_sound(frames[0].index)) as path:
            write_sound(path, sounds)


def _write_ids(layout: Layout, panoptic: Panoptic) -> None:
    ids: list[Colour] = [(0, 0, 0), *(_as_colour(segment.segment_id) for segment in panoptic.segments)]
    done, encoded = cv2.imencode(".png", paint(panoptic.label_map, ids), PNG_OPTIONS)
    if not done:
        raise OutputError(f"{layout.picture(panoptic.index)}: the picture could not be encoded")
    temporary = layout.parts / f"{panoptic.index:06d}.{os.getpid()}.png"
    np.asarray(encoded).tofile(temporary)
    os.replace(temporary, layout.picture(panoptic.index))


def _as_colour(segment_id: int) -> Colour:
    """Blue, green, red, as OpenCV writes them: id = R + 256 G + 65536 B."""
    return segment_id >> 16, segment_id >> 8 & 255, segment_id & 255


@contextmanager
def _timing(seconds: dict[str, float], part: str) -> Iterator[None]:
    start_s = time.monotonic()
    yield
    seconds[part] += time.monotonic() - start_s
