"""A packed set of generated clips: labelled videos to train on and to judge by, with exact truth.

    python -m training.data.generated_set --out DIR [--train-clips 60] [--val-clips 10]

The name of a frame is <clip>_<frame>, so each clip is a video to the evaluation. The same numbers give the
same set.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2

from training.data.command import exit_code_of
from training.data.generated import ClipShape, generate_clip
from training.data.packing import Packed, close_split, open_split, packed_ids, write_picture

_FIRST_SEED = {"train": 0, "val": 100_000}
"""No clip is in both splits."""


def write_clips(folder: Path, seeds: Iterable[int], shape: ClipShape) -> list[Packed]:
    """Writes the clips of those seeds as one split."""
    open_split(folder)
    pictures = [
        write_picture(
            folder,
            frame.name,
            cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR),
            packed_ids(frame.class_map, frame.instance_map),
        )
        for seed in seeds
        for frame in generate_clip(seed, shape)
    ]
    close_split(folder, pictures, are_frames=True)
    return pictures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.generated_set", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where train/ and val/ are written")
    parser.add_argument("--train-clips", type=int, default=60)
    parser.add_argument("--val-clips", type=int, default=10)
    options = parser.parse_args(arguments)

    def work() -> None:
        for split, count in (("train", options.train_clips), ("val", options.val_clips)):
            first = _FIRST_SEED[split]
            pictures = write_clips(options.out / split, range(first, first + count), ClipShape())
            print(f"{split}: {count} clips, {len(pictures)} frames")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
