"""The surface of what stands still, and which place of it a view shows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.compose.stills import ROAD_ROW, SIZE, drawn_still
from training.compose.camera import Camera, CameraPath, Pose
from training.compose.dismantle import dismantle
from training.compose.stage import Stage

AT_REST = Pose(np.eye(3), np.zeros(3))


@pytest.fixture(scope="module")
def stage() -> Stage:
    return dismantle(drawn_still()).stage


def _pixels(size: tuple[int, int]) -> np.ndarray:
    pixels: np.ndarray = np.mgrid[0 : size[0], 0 : size[1]][::-1].transpose(1, 2, 0)
    return pixels


def test_a_camera_at_rest_sees_every_place_where_it_is(stage: Stage) -> None:
    assert np.abs(stage.places_seen(stage.camera, AT_REST) - _pixels(SIZE)).max() < 1e-6


def test_the_road_is_as_far_as_its_row_and_the_wall_as_far_as_its_foot(stage: Stage) -> None:
    depth = 1 / stage.inverse_depth[:, 128]
    assert depth[100] == pytest.approx(stage.camera.depth_of_ground(100.5), rel=1e-4)
    foot = stage.camera.depth_of_ground(ROAD_ROW + 0.5)
    assert depth[[0, 40, ROAD_ROW - 1]] == pytest.approx([foot] * 3, rel=1e-3)


def test_a_view_of_a_drive_shows_the_places_that_it_says(stage: Stage) -> None:
    view = stage.camera.part((96, 192), (30.0, 12.0), 190.0)
    path = CameraPath.random(np.random.default_rng(1), 10, standing=False)
    places = None
    for time in range(10):
        pose = path.at(time)
        places = stage.places_seen(view, pose, places)
        error = np.abs(stage.project(places, view, pose) - _pixels(view.size)).max(-1)
        # larger only where the road bends up into the wall
        assert np.percentile(error, 99) < 0.05, time
        assert error.max() < 0.5, time


def test_driving_ahead_the_road_comes_down_and_the_middle_of_the_horizon_stays(stage: Stage) -> None:
    pose = Pose(np.eye(3), np.array([0.0, 0.0, 2.0]))
    x, y = stage.camera.centre
    places = np.array([[128.0, 100.0], [x - 0.5, y - 0.5]])
    road, far = stage.project(places, stage.camera, pose).tolist()
    assert road[1] > 110
    assert far == pytest.approx(places[1].tolist())


def test_without_any_ground_the_stage_is_a_far_wall() -> None:
    picture = drawn_still(stuff={10: (0, 0, 256, 128)})
    depth = 1 / dismantle(picture).stage.inverse_depth
    assert depth[:57].min() == pytest.approx(80.0, rel=1e-3)


def test_a_camera_of_the_street_set_looks_at_the_horizon_above_the_middle() -> None:
    camera = Camera.of_still((512, 1024))
    assert [*camera.centre, camera.focal_px] == pytest.approx([512, 213.5, 1131.5], abs=0.1)
