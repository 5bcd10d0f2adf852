"""Labelled sets drawn by hand, written to and read from a folder, and what of their labels must stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs.categories import Category
from evaluation.document import to_document
from evaluation.evaluate import evaluate
from evaluation.formats.id_png import write_ids
from evaluation.formats.labelled import LabelledFrame, LabelledSet, Labels, Writer
from evaluation.segments import LabelledSegment
from tests.evaluation.drawing import drawing

Json = dict[str, Any]
Region = tuple[int, bool, frozenset[tuple[int, int]]]
"""Category, crowd and pixels (y, x) of a segment."""


class DrawnSet(LabelledSet):
    """Frames in memory, as a reader would give them."""

    def __init__(
        self, categories: Sequence[Category], labels: Mapping[str, Sequence[Labels]], names: str = "{:06d}"
    ) -> None:
        """`labels` of each video, frame by frame; `names` gives the stem from the number of a frame."""
        self._labels = {
            f"{video}/{names.format(number)}": frame_labels
            for video, frames in labels.items()
            for number, frame_labels in enumerate(frames)
        }
        frames = [
            LabelledFrame(
                video=image_id.partition("/")[0],
                image_id=image_id,
                file_name=f"{image_id}.png",
                path=Path(f"{image_id}.png"),
            )
            for image_id in self._labels
        ]
        super().__init__(Path("drawn"), categories, frames)

    def read(self, frame: LabelledFrame) -> Labels:
        return self._labels[frame.file_name.removesuffix(".png")]


def labels(rows: str, *segments: LabelledSegment) -> Labels:
    """A map of ids, one digit a pixel and rows parted by blanks, and its segments."""
    return drawing(*rows.split()), segments


def write(labelled: LabelledSet, writer: Writer) -> None:
    for frame in labelled.frames:
        writer.add(frame, labelled.read(frame))
    writer.close()


def regions(found: Labels) -> set[Region]:
    """What labels say, whatever the numbers used as ids."""
    ids, segments = found
    return {(s.category_id, s.is_crowd, _pixels(ids, s.id)) for s in segments}


def all_regions(labelled: LabelledSet) -> dict[str, list[set[Region]]]:
    """Of each video, frame by frame."""
    found: dict[str, list[set[Region]]] = {}
    for frame in labelled.frames:
        found.setdefault(frame.video, []).append(regions(labelled.read(frame)))
    return found


def id_at(labelled: LabelledSet, y: int, x: int) -> list[int]:
    """The id of one pixel in each frame."""
    return [int(labelled.read(frame)[0][y, x]) for frame in labelled.frames]


def figures(truth: LabelledSet, prediction: LabelledSet) -> Json:
    return to_document(evaluate(truth, prediction, ("pq", "vpq", "stq"), (1, 2)))


def figures_without_vpq(truth: LabelledSet, prediction: LabelledSet) -> Json:
    """What must stay in formats whose numbers contain the class.

    An id whose class changes is one tube of VPQ, but two in such a format; STQ always takes it as two.
    """
    return to_document(evaluate(truth, prediction, ("pq", "stq"), (1,)))


def annotation(
    image_id: int | str, *segments: tuple[int, int], file_name: str | None = None, **more: object
) -> Json:
    """An entry of COCO's `annotations`; segments are id and category."""
    return {
        "image_id": image_id,
        "file_name": file_name or f"{image_id}.png",
        "segments_info": [{"id": number, "category_id": category} for number, category in segments],
        **more,
    }


def category_entries(categories: Sequence[Category]) -> list[Json]:
    return [{"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in categories]


def write_description(path: Path, annotations: object, categories: Sequence[Category]) -> Path:
    """A COCO description without what may be left out."""
    return write_text(path, {"annotations": annotations, "categories": category_entries(categories)})


def write_text(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_maps(folder: Path, maps: Mapping[str, str]) -> Path:
    """PNG files of ids, by their names without ending."""
    for name, rows in maps.items():
        write_ids(folder / f"{name}.png", drawing(*rows.split()))
    return folder


def _pixels(ids: np.ndarray, number: int) -> frozenset[tuple[int, int]]:
    return frozenset((int(y), int(x)) for y, x in zip(*np.nonzero(ids == number), strict=True))
