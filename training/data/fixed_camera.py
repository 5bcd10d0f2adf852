"""Labels frames of a clip of a fixed camera: `python -m training.data.fixed_camera`.

What does not move was drawn once by hand, in `backgrounds/`; what moves comes from a teacher
(`training.data.teacher`). An object that the teacher doubts, or that is too small, is void. The end of
the clip becomes `train`, its beginning `val`, with a gap between them. Both show the same place, and
some objects are in both: `val` says how well a model knows that place, not how it does elsewhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from training.data.clip_labels import DOUBTED, frames_of, with_objects
from training.data.command import exit_code_of
from training.data.packing import Packed, close_split, open_split, segment_id, write_picture
from training.data.teacher import InstanceTeacher, Teacher

BACKGROUNDS = Path(__file__).resolve().parent / "backgrounds"
GAP = 0.1
"""Part of the clip, in its middle, that neither split gets."""


def read_background(path: Path) -> np.ndarray:
    """The drawing as segment ids, (H, W) int32."""
    ids_of = {category.name: segment_id(category.id, 0) for category in CITYSCAPES} | {"void": 0}
    try:
        drawing = json.loads(path.read_text(encoding="utf-8"))
        width, height = drawing["size"]
        ids = np.zeros((height, width), np.int32)
        for region in drawing["regions"]:
            cv2.fillPoly(ids, [np.array(region["points"], np.int32)], ids_of[region["class"]])
    except FileNotFoundError as error:
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        raise SourceError(f"{path}: no such drawing; there are: {names}") from error
    except (OSError, ValueError, KeyError, TypeError, cv2.error) as error:
        raise SourceError(f"{path}: not a drawing of a background ({error!r})") from error
    return ids


def convert(clip: Path, background: np.ndarray, out: Path, every: int, teacher: Teacher) -> list[Packed]:
    """Every so many frames of the end of the clip for training, and of its beginning for validation."""
    count = sum(1 for _ in _frames(clip, every, background.shape))
    gap = int(count * GAP)
    starts = {"val": 0, "train": (count + gap) // 2}
    ends = {"val": (count - gap) // 2, "train": count}
    if not ends["val"]:
        raise SourceError(
            f"{clip}: {count} of its frames, one of every {every}, cannot be split; lower --every"
        )
    result: list[Packed] = []
    for split, start in starts.items():
        open_split(out / split)
        frames = islice(_frames(clip, every, background.shape), start, ends[split])
        pictures = [
            write_picture(
                out / split, f"{clip.stem}_{index:06d}", image, with_objects(background, teacher(image))
            )
            for index, image in frames
        ]
        close_split(out / split, pictures)
        result += pictures
    return result


def _frames(clip: Path, every: int, size: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    for index, image in frames_of(clip, every):
        if image.shape[:2] != size:
            raise SourceError(
                f"{clip}: {image.shape[1]}x{image.shape[0]}, but the background was drawn on "
                f"{size[1]}x{size[0]}"
            )
        yield index, image


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.fixed_camera", description=__doc__)
    parser.add_argument("--clip", type=Path, required=True, help="the video")
    parser.add_argument("--background", required=True, help="name of a drawing in backgrounds/")
    parser.add_argument("--out", type=Path, required=True, help="where train/ and val/ are written")
    parser.add_argument("--every", type=int, default=10, help="take one frame of so many")
    options = parser.parse_args(arguments)
    if options.every < 1:
        parser.error(f"--every: {options.every} is not a whole number of 1 or more")

    def work() -> None:
        background = read_background(BACKGROUNDS / f"{options.background}.json")
        teacher = InstanceTeacher(long_side_px=1280, min_score=DOUBTED)
        pictures = convert(options.clip, background, options.out, options.every, teacher)
        print(f"{len(pictures)} pictures, {sum(len(picture.objects()) for picture in pictures)} objects")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
