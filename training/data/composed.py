"""Video with exact truth, composed from labelled stills: `python -m training.data.composed`.

OUT/{train,val} in the packed format, each frame an entry with its clip as `video_id`: clips clear-NNN and
hard-NNN, of which every second one is hard. Stills and objects of train/ come from train/ of the set,
those of val/ from its val/. The same numbers give the same bytes.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from configs.categories import CITYSCAPES
from training.compose.boards import Group
from training.compose.casting import ClipShape, write_script
from training.compose.clip import ComposedFrame, compose
from training.compose.dismantle import dismantle
from training.data.command import exit_code_of
from training.data.packed import PackedSet
from training.data.packing import Packed, close_split, open_split, packed_ids, write_picture

_SEEDS = {"train": 1, "val": 2}
_GUEST_STILLS = 60
"""Stills that the guests of a clip may come from."""
_SHARING = 20
"""So many clips have their guests from the same stills, which are taken apart once."""
_GUESTS = 12
_TRIES = 20


def compose_frames(data: Path, split: str, number: int, shape: ClipShape) -> Iterator[ComposedFrame]:
    """The frames of clip `number` of a split."""
    cv2.setNumThreads(1)
    stills = PackedSet(data, split, CITYSCAPES)
    rng = np.random.default_rng((_SEEDS[split], number))
    # a still in which nothing can be moved makes a dull clip
    for position in rng.permutation(len(stills))[:_TRIES].tolist():
        scene = dismantle(stills[position])
        if any(group.is_whole for group in scene.groups):
            break
    guests = _guests(data, split, number // _SHARING)
    yield from compose(write_script(scene, _rarest_more_often(guests, rng), shape, rng))


def clip_name(number: int) -> str:
    """Name of the clip of that number: what it is called in `video_id` and in file names."""
    return f"{'hard' if number % 2 else 'clear'}-{number:03d}"


def clip_shape(number: int, num_frames: int) -> ClipShape:
    """Shape of the clip of that number."""
    return ClipShape(num_frames=num_frames, hard=bool(number % 2))


@lru_cache(maxsize=1)
def _guests(data: Path, split: str, round_number: int) -> list[Group]:
    stills = PackedSet(data, split, CITYSCAPES)
    rng = np.random.default_rng((_SEEDS[split], 1_000_000 + round_number))
    chosen = rng.permutation(len(stills))[:_GUEST_STILLS].tolist()
    return [group for position in chosen for group in dismantle(stills[position]).groups if group.is_whole]


def _rarest_more_often(guests: Sequence[Group], rng: np.random.Generator) -> list[Group]:
    if not guests:
        return []
    kinds = [guest.boards[0].category_id for guest in guests]
    count = Counter(kinds)
    weights = np.array([count[kind] ** -0.5 for kind in kinds])
    drawn = rng.choice(len(guests), min(_GUESTS, len(guests)), replace=False, p=weights / weights.sum())
    return [guests[position] for position in drawn.tolist()]


def _write_clip(data: Path, folder: Path, split: str, num_frames: int, number: int) -> list[Packed]:
    return [
        write_picture(
            folder,
            f"{clip_name(number)}_{index:04d}",
            cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
            packed_ids(frame.classes, frame.instances),
        )
        for index, frame in enumerate(compose_frames(data, split, number, clip_shape(number, num_frames)))
    ]


def write_clips(data: Path, out: Path, split: str, clips: int, num_frames: int, processes: int) -> int:
    """Writes a split; returns the number of its objects."""
    folder = out / split
    open_split(folder)
    work = partial(_write_clip, data, folder, split, num_frames)
    # spawned: a forked process would inherit OpenCV's threads as locks that nobody opens
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        written = sorted(pool.map(work, range(clips), chunksize=_SHARING), key=lambda clip: clip[0].name)
    pictures = [picture for clip in written for picture in clip]
    close_split(folder, pictures, are_frames=True)
    return len({(p.name.rsplit("_", 1)[0], segment.id) for p in pictures for segment in p.objects()})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.composed", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a packed set of stills")
    parser.add_argument("--out", type=Path, required=True, help="where train/ and val/ are written")
    parser.add_argument("--train-clips", type=int, default=400)
    parser.add_argument("--train-frames", type=int, default=6)
    parser.add_argument("--val-clips", type=int, default=40)
    parser.add_argument("--val-frames", type=int, default=30)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)

    def work() -> None:
        for split, clips, frames in (
            ("train", options.train_clips, options.train_frames),
            ("val", options.val_clips, options.val_frames),
        ):
            if clips:
                objects = write_clips(options.data, options.out, split, clips, frames, options.processes)
                print(f"{split}: {clips} clips of {frames} frames, {objects} objects")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
