"""A pinhole camera, and how it moves.

World: the still's camera, metres, x right, y down, z ahead. The ground is the plane y = CAMERA_HEIGHT_M. The
camera is taken as level: its principal row is the horizon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CAMERA_HEIGHT_M = 1.22
_FOCAL_IN_WIDTHS = 1.105
_HORIZON_IN_HEIGHTS = 0.417
"""Cityscapes' camera: 2262 px of 2048, and tilted down by 2.2 degrees."""
_FARTHEST_M = 6.0
FRAMES_PER_S = 17.0
"""Cityscapes' rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What a view is taken with."""

    size: tuple[int, int]
    """(height, width) in pixels."""
    focal_px: float
    centre: tuple[float, float]
    """x, y in pixels of what lies straight ahead on the horizon."""

    @classmethod
    def of_still(cls, size: tuple[int, int]) -> Camera:
        """The one that took a picture of the street set."""
        height, width = size
        return cls(
            size=size, focal_px=_FOCAL_IN_WIDTHS * width, centre=(width / 2, _HORIZON_IN_HEIGHTS * height)
        )

    def part(self, size: tuple[int, int], corner: tuple[float, float], width: float) -> Camera:
        """A part of this camera's picture, `width` pixels wide from `corner` (x, y), shown at `size`."""
        scale = size[1] / width
        centre = ((self.centre[0] - corner[0]) * scale, (self.centre[1] - corner[1]) * scale)
        return Camera(size=size, focal_px=self.focal_px * scale, centre=centre)

    def depth_of_ground(self, row: float) -> float:
        """Distance in metres of the ground seen in a row below the horizon."""
        return self.focal_px * CAMERA_HEIGHT_M / (row - self.centre[1])


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where the camera is, and where it looks."""

    rotation: np.ndarray
    """(3, 3): from the world's axes to the camera's."""
    position: np.ndarray
    """(3,) in metres."""

    def project(self, camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> pixels (..., 2) and depths (...) in metres."""
        local = (points - self.position) @ self.rotation.T
        depth = local[..., 2]
        safe = np.maximum(depth, 1e-3)[..., None]
        return local[..., :2] / safe * camera.focal_px + np.array(camera.centre), depth


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraPath:
    """A drive: steady ahead and in a bend, with the suspension's swing. Angles in radians."""

    speed_m: float
    """Ahead, per frame."""
    yaw_per_frame: float
    swing: tuple[float, float, float]
    """Amplitudes of yaw, pitch and roll."""
    period_frames: tuple[float, float, float]
    phase: tuple[float, float, float]

    @classmethod
    def random(
        cls, rng: np.random.Generator, num_frames: int, *, standing: bool, farthest_m: float = _FARTHEST_M
    ) -> CameraPath:
        """A drive of up to 6 metres, or as far as is allowed; or none."""
        travel = 0.0 if standing else float(rng.uniform(0.2, 1.0)) * min(_FARTHEST_M, farthest_m)
        turn = 0.0 if standing else math.radians(float(rng.uniform(-3.0, 3.0)))
        strength = 0.15 if standing else 1.0
        swing = [math.radians(limit) * strength * float(rng.uniform(0.2, 1.0)) for limit in (0.4, 0.25, 0.5)]
        return cls(
            speed_m=travel / num_frames,
            yaw_per_frame=turn / num_frames,
            swing=(swing[0], swing[1], swing[2]),
            period_frames=(float(rng.uniform(20, 50)), float(rng.uniform(8, 20)), float(rng.uniform(12, 30))),
            phase=(float(rng.uniform(0, 6.28)), float(rng.uniform(0, 6.28)), float(rng.uniform(0, 6.28))),
        )

    def at(self, time: float) -> Pose:
        """The pose at a time in frames; at 0 it is that of the still, but for the swing."""
        yaw, pitch, roll = (
            amplitude * math.sin(2 * math.pi * time / period + phase)
            for amplitude, period, phase in zip(self.swing, self.period_frames, self.phase, strict=True)
        )
        heading = self.yaw_per_frame * time
        # the chord of the bend
        position = np.array([math.sin(heading / 2), 0.0, math.cos(heading / 2)]) * self.speed_m * time
        return Pose(_rotation(yaw + heading, pitch, roll), position)


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """From world to camera: turned right by yaw, up by pitch, clockwise by roll."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    about_y = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
    about_z = np.array([[cr, sr, 0.0], [-sr, cr, 0.0], [0.0, 0.0, 1.0]])
    rotation: np.ndarray = about_z @ about_x @ about_y
    return rotation
