"""A random script: which still, which objects move and where, how the camera drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.compose.boards import Group, mirrored
from training.compose.camera import Camera, CameraPath
from training.compose.clip import Script, numbered
from training.compose.dismantle import Scene
from training.compose.exposure import Exposure
from training.compose.motion import Way, is_possible, random_way, standing
from training.compose.stage import Stage

_TRIES = 25
_PARTS = (0.75, 0.92)
"""Width of the frames' view in the first frame, in widths of the still: the rest is room to turn."""
_MOVING_SHARE = 0.6
"""Of the still's own whole objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipShape:
    """How large, how long and how hard a clip is."""

    size: tuple[int, int] = (384, 768)
    """(height, width)."""
    num_frames: int = 30
    hard: bool = False
    """More guests that cross each other's way, a long shutter, worse light and compression."""


def write_script(scene: Scene, guests: Sequence[Group], shape: ClipShape, rng: np.random.Generator) -> Script:
    """A clip of that scene, with some of those whole groups of other scenes as guests."""
    num_frames = shape.num_frames
    cast: list[tuple[Group, Way]] = []
    for group in scene.groups:
        moves = group.is_whole and rng.random() < _MOVING_SHARE
        way = _way_from(group, group.place_m, scene.stage, num_frames, rng) if moves else None
        cast.append((group, way or standing(group)))
    wanted = int(rng.integers(5, 10) if shape.hard else rng.integers(1, 5))
    for position in rng.permutation(len(guests))[:wanted].tolist():
        guest = mirrored(guests[position]) if rng.random() < 0.5 else guests[position]
        way = _way_of_guest(guest, scene.stage, num_frames, rng)
        if way is not None:
            cast.append((guest, way))
    width = float(rng.uniform(*_PARTS)) * scene.stage.camera.size[1]
    spare_x = scene.stage.camera.size[1] - width
    spare_y = scene.stage.camera.size[0] - width * shape.size[0] / shape.size[1]
    corner = (spare_x * float(rng.uniform(0.35, 0.65)), spare_y * float(rng.uniform(0.0, 0.3)))
    first = int(scene.stage.numbers.max(initial=0)) + 1
    return Script(
        stage=scene.stage,
        actors=numbered(cast, max(first, 1)),
        camera=scene.stage.camera.part(shape.size, corner, width),
        path=CameraPath.random(
            rng, num_frames, standing=bool(rng.random() < 0.4), farthest_m=scene.stage.clear_m()
        ),
        shutter=float(rng.uniform(0.5, 1.0) if shape.hard else rng.uniform(0.0, 0.2)),
        exposure=Exposure.random(rng, num_frames, hard=shape.hard),
        num_frames=num_frames,
    )


def _way_of_guest(group: Group, stage: Stage, num_frames: int, rng: np.random.Generator) -> Way | None:
    camera: Camera = stage.camera
    for _ in range(_TRIES):
        depth = group.depth_m * float(rng.uniform(0.7, 1.6))
        column = float(rng.uniform(0.1, 0.9)) * camera.size[1]
        place = ((column - camera.centre[0]) * depth / camera.focal_px, depth)
        way = _way_from(group, place, stage, num_frames, rng, tries=1)
        if way is not None:
            return way
    return None


def _way_from(
    group: Group,
    place_m: tuple[float, float],
    stage: Stage,
    num_frames: int,
    rng: np.random.Generator,
    tries: int = 5,
) -> Way | None:
    for _ in range(tries):
        way = random_way(group, place_m, num_frames, rng)
        if is_possible(way, group, stage, num_frames):
            return way
    return None
