"""Where a camera sees a point, and how it drives."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.compose.camera import CAMERA_HEIGHT_M, Camera, CameraPath, Pose

CAMERA = Camera(size=(100, 200), focal_px=200.0, centre=(100.0, 40.0))
AT_REST = Pose(np.eye(3), np.zeros(3))


def _path(**changes: float) -> CameraPath:
    return CameraPath(
        speed_m=changes.get("speed_m", 0.0),
        yaw_per_frame=changes.get("yaw_per_frame", 0.0),
        swing=(changes.get("yaw", 0.0), changes.get("pitch", 0.0), changes.get("roll", 0.0)),
        period_frames=(4.0, 4.0, 4.0),
        phase=(0.0, 0.0, 0.0),
    )


def _seen(pose: Pose, point: tuple[float, float, float]) -> list[float]:
    pixels, _ = pose.project(CAMERA, np.array(point))
    return [float(value) for value in pixels]


def test_what_lies_straight_ahead_is_at_the_centre() -> None:
    assert _seen(AT_REST, (0, 0, 10)) == [100, 40]


def test_a_metre_to_the_right_at_ten_metres_is_a_tenth_of_the_focal_length_beside_it() -> None:
    assert _seen(AT_REST, (1, 0, 10)) == [120, 40]


def test_the_ground_is_as_far_as_its_row_says() -> None:
    depth = CAMERA.depth_of_ground(64.4)
    assert depth == pytest.approx(10.0)
    assert _seen(AT_REST, (0, CAMERA_HEIGHT_M, depth)) == pytest.approx([100, 64.4])


def test_half_way_there_things_are_twice_as_large() -> None:
    pose = _path(speed_m=0.5).at(10)
    assert _seen(pose, (1, 0, 10)) == pytest.approx([140, 40])


def test_turned_to_the_right_everything_moves_to_the_left() -> None:
    right = _path(yaw=math.radians(5)).at(1)  # a quarter of the period: all of the swing
    assert _seen(right, (0, 0, 10)) == pytest.approx([100 - 200 * math.tan(math.radians(5)), 40])


def test_turned_up_everything_moves_down() -> None:
    up = _path(pitch=math.radians(5)).at(1)
    assert _seen(up, (0, 0, 10))[1] == pytest.approx(40 + 200 * math.tan(math.radians(5)))


def test_a_part_of_the_picture_shows_the_same_places() -> None:
    part = CAMERA.part((50, 50), (90.0, 20.0), 25.0)  # from x 90 to 115, twice as large
    pixels, _ = AT_REST.project(part, np.array((1, 0, 10)))
    assert pixels.tolist() == [(120 - 90) * 2, (40 - 20) * 2]


def test_a_random_drive_is_a_function_of_its_seed() -> None:
    one, two = (CameraPath.random(np.random.default_rng(3), 30, standing=False) for _ in range(2))
    assert one == two
    assert 0.2 * 6 / 30 <= one.speed_m <= 6 / 30
