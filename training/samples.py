"""Training samples: a picture and the frame before it, cut to one size, with their truth.

Legend: `h w` crop size, `n` objects in a view. Both views go through the same scale, crop and flip.
Of a video the frame before is the real one; for a still it is made from the picture itself, by a small
random homography and moved objects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from training.data.packed import CROWD_INSTANCE, PanopticPicture
from training.data.packing import VOID_CLASS
from training.photometric import Look

_MIN_OBJECT_PX = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One picture of a sample and what is to be seen in it."""

    image: Tensor
    """(3, h, w) uint8, RGB."""
    semantic: Tensor
    """(h, w) uint8: class index, 255 = void."""
    boxes: Tensor
    """(n, 4) float32: x1, y1, x2, y2 around the visible pixels."""
    classes: Tensor
    """(n,) int64: class index, a thing."""
    instances: Tensor
    """(n,) int64: the same number for the same object in both views."""
    object_map: Tensor
    """(h, w) int16: 1 + position of the object that each pixel shows, 0 = none."""
    crowd_boxes: Tensor
    """(m, 4) float32: regions where objects are not told apart."""

    @property
    def masks(self) -> Tensor:
        """(n, h, w) bool: visible pixels of each object."""
        numbers = torch.arange(1, len(self.boxes) + 1, dtype=torch.int16, device=self.object_map.device)
        return self.object_map == numbers[:, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How a picture becomes a sample."""

    crop_px: tuple[int, int]
    """(height, width)."""
    base_height_px: int
    """Height of the whole picture at scale 1."""
    scale_range: tuple[float, float]
    stretch: float = 0.1
    """Largest relative change of the width alone."""
    vary_look: bool = True
    """Expose each sample differently: colours, contrast, sharpness, noise."""
    shift_px: float = 24.0
    """Largest displacement of the second view's corners."""
    zoom: float = 0.04
    """Largest relative zoom of the second view."""
    move_fraction: float = 0.35
    """Largest displacement of an object, in units of its own width."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    image: np.ndarray
    classes: np.ndarray
    instances: np.ndarray

    def warped(self, matrix: np.ndarray, size: tuple[int, int]) -> _Scene:
        """Seen through a 3x3 matrix from this picture's pixels to a picture of `size` (h, w)."""
        flat = (size[1], size[0])
        image = cv2.warpPerspective(
            self.image, matrix, flat, flags=cv2.INTER_LINEAR, borderValue=(124, 116, 104)
        )
        classes = cv2.warpPerspective(
            self.classes, matrix, flat, flags=cv2.INTER_NEAREST, borderValue=(VOID_CLASS,)
        )
        # instance numbers need 16 bits, which nearest-neighbour warping of int16 keeps exactly
        instances = cv2.warpPerspective(
            self.instances.astype(np.int16), matrix, flat, flags=cv2.INTER_NEAREST, borderValue=(0,)
        )
        return _Scene(image=image, classes=classes, instances=instances)

    def exposed(self, look: Look, rng: np.random.Generator) -> _Scene:
        """The same truth, the picture exposed like this."""
        return replace(self, image=look.apply(self.image, rng))


def make_view(
    picture: PanopticPicture,
    augmentation: Augmentation,
    thing_ids: tuple[int, ...],
    rng: np.random.Generator,
) -> View:
    """The picture augmented."""
    matrix = _crop_matrix(picture.image.shape[:2], augmentation, rng)
    current = _scene(picture).warped(matrix, augmentation.crop_px)
    return _to_view(current.exposed(_look(augmentation, rng), rng), thing_ids)


def make_view_pair(
    picture: PanopticPicture,
    before: PanopticPicture | None,
    augmentation: Augmentation,
    thing_ids: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[View, View]:
    """The picture augmented, and the one before it through the same crop.

    `before` has the picture's size, and its numbers for the same objects. Without it, for a still, a
    view is made as if taken a moment earlier.
    """
    matrix = _crop_matrix(picture.image.shape[:2], augmentation, rng)
    current = _scene(picture).warped(matrix, augmentation.crop_px)
    look = _look(augmentation, rng)
    view = _to_view(current.exposed(look, rng), thing_ids)
    if before is None:
        previous = _moved_objects(current, augmentation, rng)
        previous = previous.warped(_small_homography(augmentation, rng), augmentation.crop_px)
        look = look.a_moment_earlier(rng)
    else:
        assert before.image.shape == picture.image.shape, (before.name, picture.name)
        previous = _scene(before).warped(matrix, augmentation.crop_px)
    return view, _to_view(previous.exposed(look, rng), thing_ids)


def as_view(picture: PanopticPicture, thing_ids: tuple[int, ...]) -> View:
    """The whole picture as it is."""
    return _to_view(_scene(picture), thing_ids)


def _scene(picture: PanopticPicture) -> _Scene:
    return _Scene(image=picture.image, classes=picture.class_map, instances=picture.instance_map)


def _look(augmentation: Augmentation, rng: np.random.Generator) -> Look:
    return Look.random(rng) if augmentation.vary_look else Look()


def _crop_matrix(size: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """From the whole picture to a crop of it: scale, random place, random flip."""
    height, width = augmentation.crop_px
    low, high = augmentation.scale_range
    scale = augmentation.base_height_px / size[0] * float(np.exp(rng.uniform(np.log(low), np.log(high))))
    stretch = 1.0 + float(rng.uniform(-augmentation.stretch, augmentation.stretch))
    spare_x, spare_y = size[1] * scale * stretch - width, size[0] * scale - height
    left = rng.uniform(min(spare_x, 0.0), max(spare_x, 0.0))
    top = rng.uniform(min(spare_y, 0.0), max(spare_y, 0.0))
    matrix = np.array([[scale * stretch, 0.0, -left], [0.0, scale, -top], [0.0, 0.0, 1.0]])
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
    return matrix


def _small_homography(augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """A camera that moved a little: common shift, zoom about the centre, and independent corners."""
    height, width = augmentation.crop_px
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    centre = np.array([width / 2, height / 2])
    shift = rng.uniform(-0.5, 0.5, 2) * augmentation.shift_px
    zoom = 1.0 + rng.uniform(-augmentation.zoom, augmentation.zoom)
    moved = centre + (corners - centre) * zoom + shift
    moved += rng.uniform(-0.25, 0.25, (4, 2)) * augmentation.shift_px
    return cv2.getPerspectiveTransform(corners.astype(np.float32), moved.astype(np.float32))


def _moved_objects(scene: _Scene, augmentation: Augmentation, rng: np.random.Generator) -> _Scene:
    """Some objects shifted by a part of their width; what they uncover is painted in and marked void."""
    image, classes, instances = scene.image.copy(), scene.classes.copy(), scene.instances.copy()
    numbers, areas = np.unique(instances[instances > 0], return_counts=True)
    large = numbers[(areas >= 200) & (areas < 0.15 * instances.size)]
    chosen = rng.permutation(large)[:3]
    hole = np.zeros(instances.shape, np.uint8)
    moves: list[tuple[np.ndarray, np.ndarray]] = []
    for number in chosen:
        mask = (scene.instances == number).astype(np.uint8)
        width = int(mask.any(0).sum())
        dx, dy = rng.uniform(-1, 1) * augmentation.move_fraction * width, rng.uniform(-2, 2)
        moves.append((mask, np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])))
        hole |= mask
    if not moves:
        return scene
    grown = cv2.dilate(hole, np.ones((3, 3), np.uint8))
    image = _fill_from_the_sides(image, grown.astype(bool))
    classes[hole.astype(bool)] = VOID_CLASS
    instances[hole.astype(bool)] = 0
    flat = (scene.classes.shape[1], scene.classes.shape[0])
    for mask, shift in moves:
        there = cv2.warpAffine(mask, shift, flat, flags=cv2.INTER_NEAREST).astype(bool)
        for target, source in ((image, scene.image), (classes, scene.classes), (instances, scene.instances)):
            moved = cv2.warpAffine(source, shift, flat, flags=cv2.INTER_NEAREST)
            target[there] = moved[there]
    return _Scene(image=image, classes=classes, instances=instances)


def _fill_from_the_sides(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Each pixel of the hole takes the colour of the nearest pixel outside it in its row."""
    columns = np.arange(hole.shape[1])
    left = np.maximum.accumulate(np.where(hole, -1, columns), axis=1)
    right = np.minimum.accumulate(np.where(hole, 10**6, columns)[:, ::-1], axis=1)[:, ::-1]
    use_left = (left >= 0) & ((columns - left <= right - columns) | (right >= 10**6))
    nearest = np.where(use_left, left, np.minimum(right, hole.shape[1] - 1))
    return np.take_along_axis(image, nearest[:, :, None], axis=1)


def _to_view(scene: _Scene, thing_ids: tuple[int, ...]) -> View:
    numbers, first = np.unique(scene.instances, return_index=True)
    kinds = scene.classes.reshape(-1)[first]
    object_map = np.zeros(scene.classes.shape, np.int16)
    boxes, classes, kept = [], [], []
    for number, kind in zip(numbers.tolist(), kinds.tolist(), strict=True):
        if number <= 0 or kind not in thing_ids:
            continue
        mask = scene.instances == number
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        if min(width, height) < 2 or int(mask.sum()) < _MIN_OBJECT_PX:
            continue
        boxes.append((x, y, x + width, y + height))
        classes.append(kind)
        kept.append(number)
        object_map[mask] = len(kept)
    return View(
        image=torch.from_numpy(np.ascontiguousarray(scene.image.transpose(2, 0, 1))),
        semantic=torch.from_numpy(np.ascontiguousarray(scene.classes)),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        classes=torch.tensor(classes, dtype=torch.int64),
        instances=torch.tensor(kept, dtype=torch.int64),
        object_map=torch.from_numpy(object_map),
        crowd_boxes=_crowd_boxes(scene, thing_ids),
    )


def _crowd_boxes(scene: _Scene, thing_ids: tuple[int, ...]) -> Tensor:
    is_crowd = scene.instances == CROWD_INSTANCE
    if not is_crowd.any():
        return torch.zeros(0, 4)
    crowd = (is_crowd & np.isin(scene.classes, thing_ids)).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(crowd, connectivity=8)
    boxes = [(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:].tolist()]
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
