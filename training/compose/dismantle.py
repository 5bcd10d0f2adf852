"""A labelled still taken apart: boards that can be moved, and the stage without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from configs.categories import CITYSCAPES
from training.compose.boards import Board, Group, cut
from training.compose.camera import Camera
from training.compose.stage import Stage, depth_of_surface
from training.data.packed import PanopticPicture
from training.data.packing import VOID_CLASS

ROAD = 0
GROUND = (ROAD, 1, 9)
"""Road, sidewalk, terrain."""
_UPRIGHT_STUFF = (5, 6, 7)
"""Pole, traffic light, traffic sign."""
PERSON, RIDER, MOTORCYCLE, BICYCLE = 11, 12, 17, 18
_MIN_OBJECT_PX = 150
_MIN_POLE_PX = 60
_NEAREST_HORIZON_PX = 12
"""What stands on rows closer to the horizon than this stays part of the stage."""
_WHOLE_TOUCH = 0.04
"""Of an object's outline that nearer objects may touch."""
_FILL_RADIUS_PX = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A still that was taken apart."""

    stage: Stage
    groups: tuple[Group, ...]


def dismantle(picture: PanopticPicture) -> Scene:
    """Every object that stands on the ground becomes a board; what is behind it is painted in."""
    height, width = picture.image.shape[:2]
    camera = Camera.of_still((height, width))
    masks = _object_masks(picture, camera)
    groups = [_group_of(picture, camera, part) for part in _together(masks)]
    poles = _poles(picture, camera)
    groups += [_group_of(picture, camera, parts) for parts in poles]
    removed = np.zeros((height, width), bool)
    for mask, _ in [*masks, *(part for parts in poles for part in parts)]:
        removed |= mask
    classes = _classes_behind(picture.class_map, removed)
    stage = Stage(
        camera=camera,
        image=_painted(picture.image, removed),
        classes=classes,
        numbers=np.where(removed, 0, picture.instance_map).astype(np.int16),
        inverse_depth=depth_of_surface(camera, np.isin(classes, GROUND)),
    )
    return Scene(stage=stage, groups=tuple(groups))


_Part = tuple[np.ndarray, int]
"""A mask (H, W) bool and its class."""


def _object_masks(picture: PanopticPicture, camera: Camera) -> list[_Part]:
    numbers, areas = np.unique(picture.instance_map[picture.instance_map > 0], return_counts=True)
    parts = []
    for number in numbers[areas >= _MIN_OBJECT_PX].tolist():
        mask = picture.instance_map == number
        if _lowest(mask) >= camera.centre[1] + _NEAREST_HORIZON_PX:
            parts.append((mask, int(picture.class_map[mask][0])))
    return parts


def _together(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Each rider with the vehicle that touches most of the outline; all others by themselves."""
    free = [part for part in parts if part[1] in (MOTORCYCLE, BICYCLE)]
    groups = [[part] for part in parts if part[1] not in (RIDER, MOTORCYCLE, BICYCLE)]
    for rider in (part for part in parts if part[1] == RIDER):
        around = _outline(rider[0], 7)
        touched = [int(np.count_nonzero(around & mask)) for mask, _ in free]
        best = int(np.argmax(touched)) if touched else -1
        groups.append([rider, free.pop(best)] if best >= 0 and touched[best] else [rider])
    return groups + [[part] for part in free]


def _poles(picture: PanopticPicture, camera: Camera) -> list[list[_Part]]:
    """Poles that stand on ground, each with its lights and signs.

    What hangs on something else has no place of its own, and stays part of the stage.
    """
    upright = np.isin(picture.class_map, _UPRIGHT_STUFF)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(upright.astype(np.uint8), connectivity=8)
    poles = []
    for label in range(1, count):
        area = int(stats[label, cv2.CC_STAT_AREA])
        mask = labels == label
        row = _lowest(mask)
        below = picture.class_map[min(row + 2, mask.shape[0] - 1), np.flatnonzero(mask[row])]
        stands = np.isin(below, GROUND).any() and row >= camera.centre[1] + _NEAREST_HORIZON_PX
        if area >= _MIN_POLE_PX and stands:
            parts = [(mask & (picture.class_map == category), category) for category in _UPRIGHT_STUFF]
            poles.append([part for part in parts if part[0].any()])
    return poles


def _group_of(picture: PanopticPicture, camera: Camera, parts: Sequence[_Part]) -> Group:
    union = np.logical_or.reduce([mask for mask, _ in parts])
    row = _lowest(union)
    columns = np.flatnonzero(union[row])
    boards = tuple(_board(picture, part) for part in parts)
    return Group(
        boards=boards,
        camera=camera,
        foot=(float(columns.mean()) + 0.5, row + 1.0),
        is_whole=boards[0].is_thing and _is_whole(picture, union, row),
    )


def _board(picture: PanopticPicture, part: _Part) -> Board:
    mask, category = part
    return cut(picture.image, mask, category, is_thing=CITYSCAPES[category].is_thing)


def _is_whole(picture: PanopticPicture, mask: np.ndarray, row: int) -> bool:
    border = np.ones_like(mask)
    border[2:-2, 2:-2] = False
    if (mask & border).any():
        return False
    around = _outline(mask, 5)
    below = picture.instance_map[row + 1 :]
    nearer = np.isin(picture.instance_map, np.unique(below[below > 0])) | (picture.instance_map == -1)
    hidden = around & (nearer | np.isin(picture.class_map, _UPRIGHT_STUFF))
    return bool(np.count_nonzero(hidden) <= _WHOLE_TOUCH * np.count_nonzero(around))


def _outline(mask: np.ndarray, size: int) -> np.ndarray:
    around: np.ndarray = (
        cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool) & ~mask
    )
    return around


def _lowest(mask: np.ndarray) -> int:
    return int(np.flatnonzero(mask.any(1))[-1])


def _painted(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The hole and its edge painted in from around it, at half size: what is behind is blurred anyway."""
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8))
    half = (image.shape[1] // 2, image.shape[0] // 2)
    small = cv2.inpaint(
        cv2.resize(image, half, interpolation=cv2.INTER_AREA),
        (cv2.resize(grown, half, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8),
        _FILL_RADIUS_PX,
        cv2.INPAINT_TELEA,
    )
    large = cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(grown[..., None] > 0, large, image).astype(np.uint8)


def _classes_behind(class_map: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """In the hole: the class at both its ends in the row, if that is one kind of stuff; else void."""
    columns = np.arange(hole.shape[1])
    left = np.maximum.accumulate(np.where(hole, -1, columns), axis=1)
    right = np.minimum.accumulate(np.where(hole, hole.shape[1], columns)[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(hole.shape[0])[:, None]
    at_left = class_map[rows, np.maximum(left, 0)]
    at_right = class_map[rows, np.minimum(right, hole.shape[1] - 1)]
    things = [category.id for category in CITYSCAPES if category.is_thing]
    known = (at_left == at_right) & (left >= 0) & (right < hole.shape[1]) & ~np.isin(at_left, things)
    behind: np.ndarray = np.where(hole, np.where(known, at_left, VOID_CLASS), class_map).astype(np.uint8)
    return behind
