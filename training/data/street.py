"""Converts the street set (YOLO-seg polygons) to the packed format: `python -m training.data.street`.

OUT/{train,val}/images/NAME.jpg, OUT/{train,val}/panoptic/NAME.png and OUT/{train,val}/panoptic.json,
as `training.data.packed` reads them. Pictures are widened to their original 2:1.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import yaml

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from training.data.command import exit_code_of
from training.data.packing import Packed, close_split, open_split, write_picture
from training.data.street_labels import Meaning, Polygon, Split, meaning_of, paint, read_polygons, split_of

RAW_FOLDERS = ("train", "valid", "test")
"""Folders of the set as it is distributed; its own split is not ours."""
_NAME_END = "_leftImg8bit"
SPLITS: tuple[Split, ...] = ("train", "val")

_EXPECTED = {"person": 16483, "car": 24075, "bicycle": 3379, "rider": 1604, "motorcycle": 683,
             "truck": 422, "bus": 348, "train": 144}  # fmt: skip
"""Polygons over all 18 cities, the reserved ones included: a whole download has these."""


@dataclass(frozen=True, slots=True)
class RawPicture:
    """One picture of the set as distributed."""

    name: str
    """Cityscapes' name, e.g. `ulm_000001_000019`: the same photograph has the same name."""
    image: Path
    labels: Path

    @property
    def city(self) -> str:
        """First part of the name."""
        return self.name.split("_", 1)[0]


def list_pictures(raw: Path) -> list[RawPicture]:
    """All pictures of the set by name, each photograph once (the first found stays)."""
    found: dict[str, RawPicture] = {}
    for folder in RAW_FOLDERS:
        for image in sorted((raw / folder / "images").glob("*.jpg")):
            name = image.name.split(_NAME_END, 1)[0]
            labels = raw / folder / "labels" / f"{image.stem}.txt"
            found.setdefault(name, RawPicture(name, image, labels))
    if not found:
        raise SourceError(f"{raw}: no pictures in {'/, '.join(RAW_FOLDERS)}/images; is it the unpacked set?")
    return [found[name] for name in sorted(found)]


def by_split(pictures: Sequence[RawPicture]) -> dict[Split, list[RawPicture]]:
    """The pictures of each split; those of reserved cities are in none."""
    return {split: [p for p in pictures if split_of(p.city) == split] for split in SPLITS}


def read_names(raw: Path) -> list[str]:
    """Class names by the index that the label files use."""
    path = raw / "data.yaml"
    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise SourceError(f"{path}: no list of `names` can be read ({error!r})") from error
    return [str(name) for name in names]


def convert_picture(picture: RawPicture, meanings: Sequence[Meaning], folder: Path, height: int) -> Packed:
    """Writes picture and map of one picture into a split's folder."""
    cv2.setNumThreads(1)
    if split_of(picture.city) is None:
        raise SourceError(f"{picture.image}: city {picture.city!r} is reserved and must not be converted")
    image = cv2.imread(str(picture.image), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(f"{picture.image}: cannot be read as a picture")
    size = (height, 2 * height)
    ids = paint(read_polygons(picture.labels, len(meanings)), meanings, size)
    rows = cv2.resize(image, (image.shape[1], height), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(rows, (2 * height, height), interpolation=cv2.INTER_CUBIC)
    return write_picture(folder, picture.name, wide, ids)


def convert(raw: Path, out: Path, height: int, processes: int) -> dict[Split, list[Packed]]:
    """Converts the whole set; panoptic.json is written last, so an interrupted split is not taken for one."""
    meanings = [meaning_of(name) for name in read_names(raw)]
    result: dict[Split, list[Packed]] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for split, pictures in by_split(list_pictures(raw)).items():
            folder = out / split
            open_split(folder)
            work = partial(convert_picture, meanings=meanings, folder=folder, height=height)
            result[split] = list(pool.map(work, pictures, chunksize=16))
            close_split(folder, result[split])
    return result


def count_polygons(raw: Path) -> Counter[str]:
    """Polygons per class name over every label file, for the comparison with a whole download."""
    names = read_names(raw)
    return Counter(names[polygon.name_index] for polygon in _all_polygons(raw, len(names)))


def _all_polygons(raw: Path, names: int) -> Iterator[Polygon]:
    for picture in list_pictures(raw):
        yield from read_polygons(picture.labels, names)


def _report(raw: Path, result: dict[Split, list[Packed]]) -> None:
    for split, converted in result.items():
        things = Counter(
            CITYSCAPES[segment.category_id].name for picture in converted for segment in picture.objects()
        )
        void = sum(c.void_px for c in converted) / max(sum(c.size[0] * c.size[1] for c in converted), 1)
        shown = ", ".join(f"{count} {name}" for name, count in things.most_common())
        print(f"{split}: {len(converted)} pictures, {void:.1%} void; visible: {shown}")
    polygons = count_polygons(raw)
    for name, expected in _EXPECTED.items():
        remark = "" if polygons[name] == expected else f"  (a whole download has {expected})"
        print(f"polygons of {name}, reserved cities included: {polygons[name]}{remark}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.street", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="the unpacked set, with its data.yaml")
    parser.add_argument("--out", type=Path, required=True, help="where train/ and val/ are written")
    parser.add_argument(
        "--height", type=int, default=512, help="height of the pictures; the width is twice that"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)

    def work() -> None:
        _report(options.raw, convert(options.raw, options.out, options.height, options.processes))

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
