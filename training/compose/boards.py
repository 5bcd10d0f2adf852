"""Upright boards: objects, and what stands alone on the ground like poles, cut from a still.

A board stands where its lowest row meets the ground. Several boards that belong together, a rider and the
bicycle, share one foot and move as one.
Legend: `a b` size of a cutting.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.compose.camera import CAMERA_HEIGHT_M, Camera, Pose

_BORDER_PX = 2
"""Pixels around the shape that are cut out with it, so that its edge can be smooth."""
_COARSEST = 0.6
"""A board shown smaller than this is reduced first, or its details would flicker."""
_NEAREST_M = 0.8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Board:
    """A cutting; its pixels are those of the still it was cut from, at its place there."""

    image: np.ndarray
    """(a, b, 3) uint8, RGB."""
    shape: np.ndarray
    """(a, b) uint8: 255 where the object is."""
    corner: tuple[int, int]
    """x, y of its left upper pixel in the still."""
    category_id: int
    is_thing: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Boards that stand at one foot."""

    boards: tuple[Board, ...]
    camera: Camera
    """That of the still."""
    foot: tuple[float, float]
    """x, y in the still: the middle of the lowest row."""
    is_whole: bool
    """Nothing nearer hides a part of it, nor does the still's border cut it."""

    @property
    def depth_m(self) -> float:
        """Distance in the still."""
        return self.camera.depth_of_ground(self.foot[1])

    @property
    def place_m(self) -> tuple[float, float]:
        """x and z of the foot in the still's world."""
        return (self.foot[0] - self.camera.centre[0]) * self.depth_m / self.camera.focal_px, self.depth_m

    @property
    def size_px(self) -> tuple[int, int]:
        """(height, width) of all boards together in the still."""
        left = min(board.corner[0] for board in self.boards)
        top = min(board.corner[1] for board in self.boards)
        right = max(board.corner[0] + board.shape.shape[1] for board in self.boards)
        bottom = max(board.corner[1] + board.shape.shape[0] for board in self.boards)
        return bottom - top, right - left


def mirrored(group: Group) -> Group:
    """The same seen in a mirror, its foot in the same place."""
    boards = tuple(
        Board(
            image=board.image[:, ::-1],
            shape=board.shape[:, ::-1],
            corner=(round(2 * group.foot[0]) - board.corner[0] - board.shape.shape[1], board.corner[1]),
            category_id=board.category_id,
            is_thing=board.is_thing,
        )
        for board in group.boards
    )
    return Group(boards=boards, camera=group.camera, foot=group.foot, is_whole=group.is_whole)


def cut(image: np.ndarray, mask: np.ndarray, category_id: int, *, is_thing: bool) -> Board:
    """The board of a mask (H, W) bool that is not empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    left, top = max(x - _BORDER_PX, 0), max(y - _BORDER_PX, 0)
    window = np.s_[top : y + height + _BORDER_PX, left : x + width + _BORDER_PX]
    return Board(
        image=_spread(image[window], mask[window]),
        shape=mask[window].astype(np.uint8) * 255,
        corner=(left, top),
        category_id=category_id,
        is_thing=is_thing,
    )


def _spread(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with its colours grown over the mask's edge, so that nothing of what was behind shows."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    weight = cv2.blur(inner.astype(np.float32), (5, 5))
    colours = cv2.blur(image.astype(np.float32) * inner[..., None], (5, 5))
    known = (weight > 0) & (inner == 0)
    spread = image.copy()
    spread[known] = (colours[known] / weight[known][:, None]).astype(np.uint8)
    return spread


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Projection:
    """Where a view shows a board."""

    matrix: np.ndarray
    """(3, 3): from the board's pixels to the view's."""
    depth_m: float
    window: tuple[slice, slice]
    """Rows and columns of the view that it may touch."""


def project(
    board: Board, group: Group, place_m: tuple[float, float], camera: Camera, pose: Pose
) -> Projection | None:
    """`place_m`: x and z of the foot in the world. None if the board is behind the camera or out of sight."""
    height, width = board.shape.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    metres = group.depth_m / group.camera.focal_px
    offset = (corners + board.corner - np.array(group.foot)) * metres
    world = np.column_stack(
        (offset[:, 0] + place_m[0], offset[:, 1] + CAMERA_HEIGHT_M, np.full(4, place_m[1]))
    )
    pixels, depths = pose.project(camera, world)
    if depths.min() < _NEAREST_M:
        return None
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), pixels.astype(np.float32))
    low = np.clip(np.floor(pixels.min(0)).astype(int) - 1, 0, None)
    high = np.minimum(np.ceil(pixels.max(0)).astype(int) + 2, (camera.size[1], camera.size[0]))
    if (low >= high).any():
        return None
    window = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    return Projection(matrix=matrix, depth_m=float(depths.mean()), window=window)


def render(board: Board, projection: Projection) -> tuple[np.ndarray, np.ndarray]:
    """The window of a view: (h, w, 3) uint8 and how much of each pixel the board covers, (h, w) float32."""
    rows, columns = projection.window
    image, shape, matrix = board.image, board.shape, projection.matrix
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    while scale < _COARSEST and min(image.shape[:2]) >= 8:
        halves = (image.shape[1] // 2, image.shape[0] // 2)
        back = np.diag([image.shape[1] / halves[0], image.shape[0] / halves[1], 1.0])
        image, shape = (cv2.resize(part, halves, interpolation=cv2.INTER_AREA) for part in (image, shape))
        matrix, scale = matrix @ back, scale * 2
    moved = np.array([[1.0, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1]]) @ matrix @ _TO_CENTRES
    flat = (columns.stop - columns.start, rows.stop - rows.start)
    moved = _FROM_CENTRES @ moved
    shown = cv2.warpPerspective(image, moved, flat, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(shape, moved, flat, flags=cv2.INTER_LINEAR, borderValue=(0,))
    return shown, cover.astype(np.float32) / 255


# OpenCV's positions are pixel centres; corners here are pixel edges
_TO_CENTRES = np.array([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_FROM_CENTRES = np.array([[1.0, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
