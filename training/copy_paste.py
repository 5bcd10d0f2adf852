"""Copy-paste of objects between pictures (Ghiasi et al. 2021): rare things are seen in more places.

An object keeps its height in the picture. Cameras of one set stand alike, so its size fits the ground there,
and what stands lower is nearer and hides it. A rider takes the vehicle along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from training.data.packed import PanopticPicture, Pictures

_MIN_AREA_PX = 500
_MARGIN_PX = 2
"""Around an object: to see what is below it, and for a soft edge."""
_TRIES = 3
_SHIFT = 0.25
"""Largest displacement to the side, in widths of the picture."""
_GROUND = ("road", "sidewalk", "terrain")
_GROUND_SHARE = 0.5
"""Of the pixels right below an object that must be ground."""
_RIDERS = ("rider",)
_RIDDEN = ("motorcycle", "bicycle")


@dataclass(frozen=True, slots=True)
class Donor:
    """Where an object is to be had."""

    picture: int
    number: int
    """Its instance number there."""
    category_id: int


@dataclass(frozen=True, slots=True, eq=False)
class _Cutting:
    """What is copied: a window of the picture it comes from, wider than the object where the picture is."""

    image: np.ndarray
    classes: np.ndarray
    numbers: np.ndarray
    """(h, w) uint8: 0 outside; 1, 2 the objects."""
    top: int
    left: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Where it lies in the picture."""
        height, width = self.numbers.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def to_the_side(self, shift: int, picture_width: int, *, mirrored: bool) -> _Cutting:
        """Mirrored about the picture's middle or not, then shifted; what leaves the picture is cut off."""
        width = self.numbers.shape[1]
        left = (picture_width - self.left - width if mirrored else self.left) + shift
        first = min(max(-left, 0), width)
        last = max(min(width, picture_width - left), first)
        columns = np.arange(first, last)
        if mirrored:
            columns = width - 1 - columns
        return _Cutting(
            self.image[:, columns],
            self.classes[:, columns],
            self.numbers[:, columns],
            self.top,
            left + first,
        )


class ObjectBank:
    """The objects of some pictures, and how they are put into another."""

    def __init__(
        self, pictures: Pictures, donors: Sequence[Donor], class_names: Sequence[str], max_objects: int
    ) -> None:
        """None to `max_objects` are put into a picture; the rarer a class, the more often it is drawn."""
        count = Counter(donor.category_id for donor in donors)
        weights = np.array([count[donor.category_id] ** -1.5 for donor in donors])
        self._pictures = pictures
        self._donors = list(donors)
        self._probabilities = weights / weights.sum() if len(weights) else weights
        self._max_objects = max_objects
        self._ground = [class_names.index(name) for name in _GROUND if name in class_names]
        riders, ridden = (
            {class_names.index(name) for name in names if name in class_names} for names in (_RIDERS, _RIDDEN)
        )
        self._partners = dict.fromkeys(riders, ridden) | dict.fromkeys(ridden, riders)

    def added_to(self, picture: PanopticPicture, rng: np.random.Generator) -> PanopticPicture:
        """The picture with some more objects; what finds no ground to stand on is left out."""
        if not self._donors:
            return picture
        for _ in range(int(rng.integers(0, self._max_objects + 1))):
            donor = self._donors[int(rng.choice(len(self._donors), p=self._probabilities))]
            source = self._pictures[donor.picture]
            if source.image.shape == picture.image.shape:
                picture = self._pasted(picture, self._cut(source, donor), rng)
        return picture

    def _cut(self, source: PanopticPicture, donor: Donor) -> _Cutting:
        mask = source.instance_map == donor.number
        numbers = mask.astype(np.uint8)
        if partners := self._partners.get(donor.category_id):
            near = cv2.dilate(numbers, np.ones((5, 5), np.uint8)).astype(bool)
            beside = near & np.isin(source.class_map, list(partners)) & (source.instance_map > 0)
            if beside.any():
                partner = np.bincount(source.instance_map[beside]).argmax()
                numbers[source.instance_map == partner] = 2
        x, y, width, height = cv2.boundingRect(numbers)
        top, left = max(y - _MARGIN_PX, 0), max(x - _MARGIN_PX, 0)
        window = slice(top, y + height + _MARGIN_PX), slice(left, x + width + _MARGIN_PX)
        return _Cutting(source.image[window], source.class_map[window], numbers[window], top, left)

    def _pasted(
        self, picture: PanopticPicture, cutting: _Cutting, rng: np.random.Generator
    ) -> PanopticPicture:
        for _ in range(_TRIES):
            moved = _moved(cutting, picture.image.shape[1], rng)
            mask = moved.numbers > 0
            nearer = _nearer(picture, moved)
            visible, below = mask & ~nearer, _below(mask)
            # behind a nearer object there may be ground
            stands = (nearer | np.isin(picture.class_map[moved.window], self._ground))[below]
            if np.count_nonzero(visible) >= _MIN_AREA_PX and stands.sum() >= _GROUND_SHARE * max(
                stands.size, 1
            ):
                return _over(picture, moved, visible)
        return picture


def donors_of(pictures: Sequence[Sequence[tuple[int, int, int]]]) -> list[Donor]:
    """From the objects (number, category, area in pixels) of each picture: those large enough to copy."""
    return [
        Donor(position, number, category_id)
        for position, objects in enumerate(pictures)
        for number, category_id, area_px in objects
        if area_px >= _MIN_AREA_PX
    ]


def _moved(cutting: _Cutting, picture_width: int, rng: np.random.Generator) -> _Cutting:
    """Mirrored or not, and shifted to the side, unless the picture's side cuts it."""
    is_whole = not cutting.numbers[:, [0, -1]].any()
    shift = round(rng.uniform(-_SHIFT, _SHIFT) * picture_width) if is_whole else 0
    return cutting.to_the_side(shift, picture_width, mirrored=rng.random() < 0.5)


def _lowest_row(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(1))
    return int(rows[-1]) if len(rows) else -1


def _nearer(picture: PanopticPicture, cutting: _Cutting) -> np.ndarray:
    """(h, w) bool of the cutting's window: pixels of the picture's objects that stand lower than it."""
    below = picture.instance_map[cutting.top + _lowest_row(cutting.numbers > 0) + 1 :]
    # one place more: -1, a crowd, is the last
    is_nearer = np.zeros(int(picture.instance_map.max(initial=0)) + 2, bool)
    is_nearer[below[below > 0]] = True
    nearer: np.ndarray = is_nearer[picture.instance_map[cutting.window]]
    return nearer


def _below(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool: the pixels right below the lowest quarter of the mask."""
    last = _lowest_row(mask)
    first = int(np.flatnonzero(mask.any(1))[0]) if last >= 0 else 0
    edge = np.zeros_like(mask)
    edge[1:] = mask[:-1] & ~mask[1:]
    edge[: first + (last - first) * 3 // 4] = False
    return edge


def _over(picture: PanopticPicture, cutting: _Cutting, visible: np.ndarray) -> PanopticPicture:
    """The picture with the cutting's visible pixels over it; along their edge they let it shine through."""
    alpha = cv2.GaussianBlur(visible.astype(np.float32), (3, 3), 0.7)[..., None] * visible[..., None]
    image, classes, instances = (
        whole.copy() for whole in (picture.image, picture.class_map, picture.instance_map)
    )
    first = int(instances.max(initial=0))
    window = cutting.window
    image[window] = (image[window] * (1 - alpha) + cutting.image * alpha).astype(np.uint8)
    classes[window][visible] = cutting.classes[visible]
    instances[window][visible] = first + cutting.numbers[visible].astype(np.int32)
    return replace(picture, image=image, class_map=classes, instance_map=instances)
