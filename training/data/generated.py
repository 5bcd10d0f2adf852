"""Clips drawn by the computer, with the exact truth of every pixel: what a network must be able to learn.

A road with a sky above it, and one to four objects that move in front of each other: cars are boxes,
persons ellipses, each with its own colour and stripes. Objects move steadily, and come in and go out at
the sides; or they change places, so that only their looks tell who is who. Of what shows a sliver only,
nobody could tell the class, so slivers are void. A clip is a pure function of its seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.data.packed import PanopticPicture
from training.data.packing import VOID_CLASS

ROAD, SKY, PERSON, CAR = 0, 10, 11, 13
"""Class indices of configs.categories.CITYSCAPES."""

_ROAD_RGB = (96, 88, 92)
_SKY_RGB = (128, 172, 216)
_CAR_RGB = ((30, 40, 150), (170, 30, 40), (225, 225, 220), (30, 120, 60), (20, 20, 24), (220, 180, 40))
_PERSON_RGB = ((230, 90, 160), (110, 40, 130), (240, 130, 50), (60, 200, 190), (250, 220, 170))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipShape:
    """How large and how busy a clip is."""

    height_px: int = 128
    width_px: int = 192
    num_frames: int = 12
    min_objects: int = 1
    max_objects: int = 4
    object_scale: float = 1.0
    """Times the usual size of an object."""
    max_speed_px: float = 5.0
    """Pixels per frame of a steady motion."""
    change_places: bool = False
    """With every frame each object takes the place of another instead, and hides who is behind it; now and
    then it is away for a frame."""
    min_visible_px: int = 48
    """An object of which a frame shows fewer pixels is void there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Actor:
    """An object of a clip."""

    category: int
    texture: np.ndarray
    """(h, w, 3) uint8, RGB."""
    shape: np.ndarray
    """(h, w) bool: which pixels of the texture it covers."""
    corners: tuple[tuple[int, int], ...]
    """x, y of its left upper corner, frame by frame."""


def generate_clip(seed: int, shape: ClipShape | None = None) -> list[PanopticPicture]:
    """The frames of a clip; an object has the same instance number, 1 or more, in all of them."""
    shape = shape or ClipShape()
    rng = np.random.default_rng(seed)
    background, classes = _background(shape, rng)
    count = int(rng.integers(shape.min_objects, shape.max_objects + 1))
    car_colours, person_colours = rng.permutation(_CAR_RGB), rng.permutation(_PERSON_RGB)
    actors = []
    for position in range(count):
        is_car = bool(rng.random() < 0.5)
        colours = car_colours if is_car else person_colours
        colour = colours[position % len(colours)]
        actors.append(_make_actor(position, count, colour, shape, rng, is_car=is_car))
    pictures = []
    for index in range(shape.num_frames):
        picture = _draw_frame(f"{seed:06d}_{index:04d}", index, background, classes, actors)
        pictures.append(_without_slivers(picture, shape.min_visible_px))
    return pictures


def _background(shape: ClipShape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sky over road with a tilted horizon: (H, W, 3) uint8 and (H, W) uint8."""
    rows, columns = np.mgrid[0 : shape.height_px, 0 : shape.width_px]
    horizon = shape.height_px * rng.uniform(0.3, 0.45) + columns * rng.uniform(-0.06, 0.06)
    is_sky = rows < horizon
    colour = np.where(is_sky[..., None], _SKY_RGB, _ROAD_RGB).astype(np.float32)
    # the sky gets paler downwards, the road is rough: two textures that differ in more than colour
    colour += (is_sky * rows / shape.height_px * 60.0)[..., None]
    noise = rng.normal(0.0, 1.0, rows.shape).astype(np.float32)
    colour += np.where(is_sky, noise * 2.0, noise * 14.0)[..., None]
    return _to_bytes(colour), np.where(is_sky, SKY, ROAD).astype(np.uint8)


def _make_actor(
    position: int, count: int, colour: np.ndarray, shape: ClipShape, rng: np.random.Generator, *, is_car: bool
) -> _Actor:
    """The object at this position of the depth order; nearer ones are drawn later, larger and lower."""
    nearness = (position + 1) / count
    base = shape.object_scale * shape.height_px * (0.16 + 0.14 * nearness) * rng.uniform(0.85, 1.15)
    height, width = (base, base * 1.7) if is_car else (base * 1.6, base * 0.75)
    height, width = max(4, round(height)), max(4, round(width))
    top = shape.height_px * (0.55 + 0.4 * nearness) - height
    if shape.change_places:
        corners = _changing_corners(position, count, width, top, shape, rng)
    else:
        corners = _steady_corners(width, top, shape, rng)
    return _Actor(
        category=CAR if is_car else PERSON,
        texture=_texture(height, width, colour, rng, is_car=is_car),
        shape=_silhouette(height, width, is_car=is_car),
        corners=corners,
    )


def _steady_corners(
    width: int, top: float, shape: ClipShape, rng: np.random.Generator
) -> tuple[tuple[int, int], ...]:
    left = rng.uniform(-1.2 * width, shape.width_px + 0.2 * width)
    speed = rng.uniform(-1.0, 1.0) * shape.max_speed_px
    if not 0 <= left + width / 2 <= shape.width_px:
        speed = float(np.copysign(speed, -left))  # what starts outside comes in
    fall = rng.uniform(-0.4, 0.4)
    return tuple((round(left + t * speed), round(top + t * fall)) for t in range(shape.num_frames))


def _changing_corners(
    position: int, count: int, width: int, top: float, shape: ClipShape, rng: np.random.Generator
) -> tuple[tuple[int, int], ...]:
    """One place further with every frame and up to 0.4 places beside it, but one time in ten outside."""
    spacing = shape.width_px / count
    places = (position + np.arange(shape.num_frames)) % count + 0.5
    centres = spacing * (places + rng.uniform(-0.4, 0.4, shape.num_frames))
    centres[rng.random(shape.num_frames) < 0.1] = -width
    tops = top + rng.uniform(-4.0, 4.0, shape.num_frames)
    return tuple((round(x - width / 2), round(y)) for x, y in zip(centres, tops, strict=True))


def _texture(
    height: int, width: int, colour: np.ndarray, rng: np.random.Generator, *, is_car: bool
) -> np.ndarray:
    """Stripes of the object's own width and strength over its colour, and dark windows on a car."""
    rows, columns = np.mgrid[0:height, 0:width]
    along = columns if is_car else rows
    stripes = np.sin(along * (2 * np.pi / rng.uniform(5.0, 12.0)) + rng.uniform(0.0, 6.0))
    texture = colour.astype(np.float32) + (stripes * rng.uniform(12.0, 30.0))[..., None]
    texture += rng.normal(0.0, 4.0, texture.shape)
    if is_car:
        texture[height // 6 : height // 2, width // 6 : width - width // 6] *= 0.45
    return _to_bytes(texture)


def _silhouette(height: int, width: int, *, is_car: bool) -> np.ndarray:
    if is_car:
        return np.ones((height, width), bool)
    mask = np.zeros((height, width), np.uint8)
    centre, axes = ((width - 1) * 8, (height - 1) * 8), ((width - 1) * 8, (height - 1) * 8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, cv2.FILLED, cv2.LINE_8, 4)
    return mask.astype(bool)


def _draw_frame(
    name: str, index: int, background: np.ndarray, classes: np.ndarray, actors: list[_Actor]
) -> PanopticPicture:
    image, class_map = background.copy(), classes.copy()
    instance_map = np.zeros(classes.shape, np.int32)
    for number, actor in enumerate(actors, 1):
        left, top = actor.corners[index]
        place, part = _visible(left, top, actor.shape.shape, classes.shape)
        covered = actor.shape[part]
        image[place][covered] = actor.texture[part][covered]
        class_map[place][covered] = actor.category
        instance_map[place][covered] = number
    return PanopticPicture(name=name, image=image, class_map=class_map, instance_map=instance_map)


def _without_slivers(picture: PanopticPicture, min_visible_px: int) -> PanopticPicture:
    areas = np.bincount(picture.instance_map.reshape(-1))
    areas[0] = min_visible_px
    sliver = (areas < min_visible_px)[picture.instance_map]
    picture.class_map[sliver] = VOID_CLASS
    picture.instance_map[sliver] = 0
    return picture


def _visible(
    left: int, top: int, size: tuple[int, ...], frame: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch lies in the frame, and which part of the patch that is; empty when outside."""
    rows, columns = _overlap(top, size[0], frame[0]), _overlap(left, size[1], frame[1])
    place = (slice(*rows), slice(*columns))
    part = (slice(rows[0] - top, rows[1] - top), slice(columns[0] - left, columns[1] - left))
    return place, part


def _overlap(start: int, length: int, limit: int) -> tuple[int, int]:
    first = min(max(start, 0), limit)
    last = min(max(start + length, first), limit)
    # wholly before the frame: an empty stretch that lies inside the patch as well
    return (first, last) if start + length > 0 else (0, 0)


def _to_bytes(colour: np.ndarray) -> np.ndarray:
    return np.clip(np.round(colour), 0, 255).astype(np.uint8)
