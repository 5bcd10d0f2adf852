"""How objects move on the ground, each kind in its own way, and whether they could have gone there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.compose.boards import Group
from training.compose.camera import CAMERA_HEIGHT_M, FRAMES_PER_S
from training.compose.dismantle import BICYCLE, GROUND, MOTORCYCLE, PERSON, RIDER, ROAD
from training.compose.stage import Stage

_SIDE_VIEW = 1.8
"""Width by height from which a vehicle is seen from its side, and drives across."""
_SCALES = (0.5, 1.7)
"""Smallest and largest size of an object, in its size in the still."""
_NEAREST_M = 4.5
_ON_GROUND_SHARE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A straight way on the ground, there and, for some, back again."""

    start_m: tuple[float, float]
    """x and z at frame 0."""
    speed_m: tuple[float, float]
    """Per frame."""
    turn_frame: float
    """When it turns round."""

    def at(self, time: float) -> tuple[float, float]:
        """x and z in metres at a time in frames."""
        gone = time if time <= self.turn_frame else 2 * self.turn_frame - time
        return self.start_m[0] + self.speed_m[0] * gone, self.start_m[1] + self.speed_m[1] * gone


def standing(group: Group) -> Way:
    """It stays where the still shows it."""
    return Way(start_m=group.place_m, speed_m=(0.0, 0.0), turn_frame=0.0)


def random_way(group: Group, place_m: tuple[float, float], num_frames: int, rng: np.random.Generator) -> Way:
    """A way that leads through `place_m` at some moment; one in three turns round on it."""
    speed = _random_speed(group, rng)
    moment = float(rng.uniform(0, num_frames))
    start = (place_m[0] - speed[0] * moment, place_m[1] - speed[1] * moment)
    turns = bool(rng.random() < 1 / 3)
    turn = float(rng.uniform(0.3, 0.7)) * num_frames if turns else float(num_frames)
    return Way(start_m=start, speed_m=speed, turn_frame=turn)


def _random_speed(group: Group, rng: np.random.Generator) -> tuple[float, float]:
    """x and z in metres per frame."""
    kind = group.boards[0].category_id
    height, width = group.size_px
    sign = 1.0 if rng.random() < 0.5 else -1.0
    if kind == PERSON:
        across, along = sign * rng.uniform(0.4, 2.0), rng.uniform(-0.6, 0.6)
    elif kind in (RIDER, MOTORCYCLE, BICYCLE):
        across, along = sign * rng.uniform(0.5, 4.0), rng.uniform(-2.0, 2.0)
    elif width > _SIDE_VIEW * height:
        across, along = sign * rng.uniform(2.0, 8.0), 0.0
    else:
        across, along = rng.uniform(-0.5, 0.5), sign * rng.uniform(0.5, 6.0)
    return float(across) / FRAMES_PER_S, float(along) / FRAMES_PER_S


def is_possible(way: Way, group: Group, stage: Stage, num_frames: int) -> bool:
    """Is it on ground, or out of sight, nearly all the time, and never too near or far for its pixels?

    Vehicles need road, who walks any ground.
    """
    places = np.array([way.at(time) for time in range(num_frames)])
    depths = places[:, 1]
    scales = group.depth_m / depths
    if depths.min() < _NEAREST_M or scales.min() < _SCALES[0] or scales.max() > _SCALES[1]:
        return False
    camera = stage.camera
    columns = places[:, 0] / depths * camera.focal_px + camera.centre[0]
    rows = CAMERA_HEIGHT_M / depths * camera.focal_px + camera.centre[1]
    inside = (columns >= 0) & (columns < camera.size[1]) & (rows < camera.size[0])
    if np.count_nonzero(inside) < num_frames / 3:
        return False
    below = stage.classes[rows[inside].astype(int), columns[inside].astype(int)]
    allowed = GROUND if group.boards[0].category_id == PERSON else (ROAD,)
    return bool(np.isin(below, allowed).mean() >= _ON_GROUND_SHARE)
