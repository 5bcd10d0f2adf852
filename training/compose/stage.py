"""What stands still: the ground and, upright at its far edge, all that lies behind it, as one bent surface.

The surface is continuous, so a view of it has no holes: a pixel of a view shows one place of the still.
Legend: `H W` the still, `h w` a view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.compose.camera import CAMERA_HEIGHT_M, Camera, Pose

_FARTHEST_M = 80.0
_SMOOTHING = 0.04
"""Of the far edge, in widths of the still."""
_GRID_PX = 2
"""Positions are sought at every second pixel of a view, and interpolated between."""
_ITERATIONS = 6
_FOLDING = 0.5
"""At 1 places that lie side by side fall on one pixel."""
_CENTRE = 0.5
"""A camera measures from the picture's edge, places and pixels are numbered at their centres."""
SHADE = (124, 116, 104)
"""What lies beyond the still's borders is shown in this colour, and is void."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """A still as a surface in space."""

    camera: Camera
    image: np.ndarray
    """(H, W, 3) uint8, RGB."""
    classes: np.ndarray
    """(H, W) uint8, 255 = void."""
    numbers: np.ndarray
    """(H, W) int16: objects that stay part of the stage; 0 none, -1 a crowd."""
    inverse_depth: np.ndarray
    """(H, W) float32, 1 / metres."""

    def clear_m(self) -> float:
        """How far the camera may drive ahead before one part of the surface hides another."""
        slopes = np.diff(self.inverse_depth, axis=1)
        aside = np.arange(1, self.inverse_depth.shape[1]) - self.camera.centre[0]
        return _FOLDING / max(float(np.abs(slopes * aside).max()), 1e-6)

    def project(self, places: np.ndarray, camera: Camera, pose: Pose) -> np.ndarray:
        """Where a view shows places (..., 2) of the still: x, y, whole numbers at the centres of pixels."""
        return self._projected(places, self._inverse_depths(places), camera, pose)

    def places_seen(self, camera: Camera, pose: Pose, guess: np.ndarray | None = None) -> np.ndarray:
        """(h, w, 2) float32: the place of the still that each pixel of a view shows.

        `guess`: those of a view that is much the same, which saves time.
        """
        height, width = camera.size
        grid = np.mgrid[0 : height + _GRID_PX : _GRID_PX, 0 : width + _GRID_PX : _GRID_PX]
        target = grid[::-1].transpose(1, 2, 0).astype(np.float64)
        zoom = camera.focal_px / self.camera.focal_px
        if guess is None:
            places = (target + _CENTRE - camera.centre) / zoom + self.camera.centre - _CENTRE
        else:
            places = _resized(guess, target)
        for _ in range(_ITERATIONS if guess is not None else 3 * _ITERATIONS):
            inverse = self._inverse_depths(places)
            error = target - self._projected(places, inverse, camera, pose)
            places = places + error * self._shrinking(places, inverse, pose) / zoom
        return _resized(places, np.mgrid[0:height, 0:width][::-1].transpose(1, 2, 0) / _GRID_PX)

    def _shrinking(self, places: np.ndarray, inverse_depth: np.ndarray, pose: Pose) -> np.ndarray:
        """How much closer together places are than pixels, from having driven ahead: along x and y."""
        nearer = 1 - pose.position[2] * inverse_depth
        row_says = (places[..., 1] + _CENTRE - self.camera.centre[1]) / (
            self.camera.focal_px * CAMERA_HEIGHT_M
        )
        # rows of the ground spread with the square of the distance
        return np.stack((nearer, np.where(row_says > inverse_depth - 1e-6, nearer**2, nearer)), axis=-1)

    def _projected(
        self, places: np.ndarray, inverse_depth: np.ndarray, camera: Camera, pose: Pose
    ) -> np.ndarray:
        rays = (places + _CENTRE - np.array(self.camera.centre)) / self.camera.focal_px
        world = np.concatenate((rays, np.ones_like(rays[..., :1])), axis=-1) / inverse_depth[..., None]
        pixels, _ = pose.project(camera, world)
        return pixels - _CENTRE

    def _inverse_depths(self, places: np.ndarray) -> np.ndarray:
        return _sampled(self.inverse_depth, places)


def _resized(field: np.ndarray, at: np.ndarray) -> np.ndarray:
    """A field (a, b, 2) read at positions (..., 2) in its own cells."""
    return np.stack([_sampled(np.ascontiguousarray(part), at) for part in (field[..., 0], field[..., 1])], -1)


def _sampled(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear values (a, b) at positions (..., 2) as x, y; the border's beyond it. In float64."""
    x = np.clip(at[..., 0], 0, values.shape[1] - 1)
    y = np.clip(at[..., 1], 0, values.shape[0] - 1)
    left, top = np.minimum(x.astype(int), values.shape[1] - 2), np.minimum(y.astype(int), values.shape[0] - 2)
    x, y = x - left, y - top
    flat, start = values.ravel(), top * values.shape[1] + left
    upper = flat[start] * (1 - x) + flat[start + 1] * x
    lower = flat[start + values.shape[1]] * (1 - x) + flat[start + values.shape[1] + 1] * x
    sampled: np.ndarray = upper * (1 - y) + lower * y
    return sampled


def depth_of_surface(camera: Camera, is_ground: np.ndarray) -> np.ndarray:
    """(H, W) float32, 1 / metres, from where the ground is seen (H, W) bool.

    A place on the ground is as far as its row says; what lies above a column's highest ground as far as that.
    """
    height, width = camera.size
    horizon, scale = camera.centre[1], camera.focal_px * CAMERA_HEIGHT_M
    nearest_edge = horizon + scale / _FARTHEST_M
    rows = np.arange(height)[:, None] + _CENTRE
    below = is_ground & (rows > nearest_edge)
    highest = np.where(below.any(0), below.argmax(0) + _CENTRE, 0).astype(np.float32)
    known = highest > 0
    if not known.any():
        highest[:] = nearest_edge
    else:
        highest = np.interp(np.arange(width), np.flatnonzero(known), highest[known]).astype(np.float32)
    size = int(_SMOOTHING * width) | 1
    edge = cv2.GaussianBlur(cv2.blur(highest[None], (size, 1)), (4 * size + 1, 1), size)[0]
    inverse = (np.maximum(rows, np.maximum(edge, nearest_edge)[None]) - horizon) / scale
    depth: np.ndarray = inverse.astype(np.float32)
    return depth
