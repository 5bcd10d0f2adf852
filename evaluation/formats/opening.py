"""The formats by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import SourceError, UsageError

if TYPE_CHECKING:
    from configs.categories import Category
    from evaluation.formats.labelled import LabelledSet, Writer

READ_FORMATS = ("coco", "cityscapes-vps", "kitti-step", "vipseg")
"""What can be evaluated."""
CONVERTED_FORMATS = (*READ_FORMATS, "mots")
WRITTEN_FORMATS = ("coco", "cityscapes-vps", "kitti-step", "vipseg", "vipseg-masks", "mots", "mots-txt")


def windows_of(name: str) -> tuple[int, ...]:
    """The windows that VPQ is published with for sets of this format, in labelled frames."""
    from evaluation.vpq import CITYSCAPES_VPS_WINDOWS, VIPSEG_WINDOWS

    return VIPSEG_WINDOWS if name == "vipseg" else CITYSCAPES_VPS_WINDOWS


def open_truth(name: str, description: Path | None, folder: Path) -> LabelledSet:
    """The labels in a folder, described by a JSON file where the format has one."""
    with _naming(folder):
        return _open(name, description, folder, None, is_truth=True)


def open_prediction(
    name: str, description: Path | None, folder: Path, categories: Sequence[Category]
) -> LabelledSet:
    """As `open_truth`; its categories are those of the truth."""
    with _naming(folder):
        return _open(name, description, folder, categories, is_truth=False)


def open_writer(name: str, folder: Path, categories: Sequence[Category]) -> Writer:
    """Writes labels into a folder."""
    from evaluation.formats import cityscapes_vps, coco, kitti_step, mots, vipseg

    writers: dict[str, Callable[[], Writer]] = {
        "coco": lambda: coco.CocoWriter(folder, categories),
        "cityscapes-vps": lambda: cityscapes_vps.CityscapesVpsWriter(folder, categories),
        "kitti-step": lambda: kitti_step.KittiStepWriter(folder),
        "vipseg": lambda: vipseg.VipsegWriter(folder, categories),
        "vipseg-masks": lambda: vipseg.VipsegMaskWriter(folder, categories),
        "mots": lambda: mots.MotsPictureWriter(folder, categories),
        "mots-txt": lambda: mots.MotsTextWriter(folder, categories),
    }
    check_format(name, WRITTEN_FORMATS)
    return writers[name]()


def check_format(name: str, known: Sequence[str]) -> None:
    """UsageError for a format that is none."""
    if name not in known:
        raise UsageError(f"unknown format {name!r}; use {', '.join(known)}")


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Turns a failure to look into a folder into an error that names it."""
    try:
        yield
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read ({error.strerror}); check the path") from None


def _open(
    name: str,
    description: Path | None,
    folder: Path,
    categories: Sequence[Category] | None,
    *,
    is_truth: bool,
) -> LabelledSet:
    from evaluation.formats import cityscapes_vps, coco, kitti_step, mots, vipseg

    check_format(name, CONVERTED_FORMATS)
    if name == "kitti-step":
        return kitti_step.open_kitti_step(folder, is_truth=is_truth)
    if name == "mots":
        return mots.open_mots(folder)
    if description is None:
        raise UsageError(f"format {name} needs the JSON file that describes {folder}")
    openers = {
        "coco": coco.open_coco,
        "cityscapes-vps": cityscapes_vps.open_cityscapes_vps,
        "vipseg": vipseg.open_vipseg,
    }
    return openers[name](description, folder, categories)
