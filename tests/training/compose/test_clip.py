"""A composed clip: what is drawn where, and that the truth is exact."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.compose.stills import CAR, PERSON, ROAD, SIZE, drawn_still
from training.compose.boards import mirrored, project
from training.compose.camera import CameraPath, Pose
from training.compose.clip import ComposedFrame, Script, compose, numbered
from training.compose.dismantle import Scene, dismantle
from training.compose.exposure import Exposure
from training.compose.motion import Way, is_possible, standing
from training.photometric import Look

CAR_BOX = (100, 60, 140, 90)
STILL = drawn_still(objects={4: (CAR, CAR_BOX)})
NOWHERE = CameraPath(
    speed_m=0.0,
    yaw_per_frame=0.0,
    swing=(0.0, 0.0, 0.0),
    period_frames=(1.0, 1.0, 1.0),
    phase=(0.0, 0.0, 0.0),
)


def _script(
    scene: Scene, ways: list[Way], path: CameraPath = NOWHERE, frames: int = 3, shutter: float = 0.0
) -> Script:
    return Script(
        stage=scene.stage,
        actors=numbered(list(zip(scene.groups, ways, strict=True)), 1),
        camera=scene.stage.camera,
        path=path,
        shutter=shutter,
        exposure=Exposure(looks=(Look(),) * frames, jpeg_quality=100, seed=0),
        num_frames=frames,
    )


def _to_the_right(scene: Scene, pixels: float) -> Way:
    """So many pixels per frame at the car's distance."""
    (group,) = scene.groups
    speed = pixels * group.depth_m / scene.stage.camera.focal_px
    return Way(start_m=group.place_m, speed_m=(speed, 0.0), turn_frame=100.0)


def _clip(pixels: float, path: CameraPath = NOWHERE, shutter: float = 0.0) -> list[ComposedFrame]:
    scene = dismantle(STILL)
    return list(compose(_script(scene, [_to_the_right(scene, pixels)], path, shutter=shutter)))


def test_when_nothing_moves_the_clip_is_the_still() -> None:
    scene = dismantle(STILL)
    for frame in compose(_script(scene, [standing(scene.groups[0])])):
        assert np.array_equal(frame.classes, STILL.class_map)
        assert np.array_equal(frame.instances > 0, STILL.instance_map > 0)
        assert np.median(np.abs(frame.image.astype(int) - STILL.image)) <= 1


def test_a_car_moves_by_the_pixels_of_its_speed_and_keeps_its_number() -> None:
    for index, frame in enumerate(_clip(5.0)):
        rows, columns = np.nonzero(frame.instances == 1)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.array(box) - np.add(CAR_BOX, (5 * index, 0, 5 * index, 0))).max() <= 1
        assert set(frame.classes[frame.instances == 1].tolist()) == {CAR}


def test_the_flow_of_a_car_is_its_motion_and_that_of_the_road_is_none() -> None:
    frame = _clip(5.0)[1]
    assert frame.flow is not None
    assert frame.flow[75, 120] == pytest.approx([-5.0, 0.0], abs=1e-3)
    assert frame.flow[120, 20] == pytest.approx([0.0, 0.0], abs=1e-3)


def test_what_the_car_uncovers_was_hidden_before_and_the_car_was_not() -> None:
    frame = _clip(5.0)[1]
    assert frame.hidden is not None
    assert frame.hidden[65:85, 101:104].all()
    assert not frame.hidden[65:85, 108:140].any()
    assert set(frame.classes[72:85, 101:104].ravel().tolist()) == {ROAD}


def test_the_frame_before_warped_by_the_flow_is_the_frame() -> None:
    path = CameraPath.random(np.random.default_rng(2), 3, standing=False)
    before, frame = _clip(3.0, path)[:2]
    assert frame.flow is not None
    assert frame.hidden is not None
    pixels = np.mgrid[0 : SIZE[0], 0 : SIZE[1]][::-1].transpose(1, 2, 0)
    at = (pixels + frame.flow).astype(np.float32)
    warped = cv2.remap(before.image, at, np.empty(0, np.float32), cv2.INTER_LINEAR)
    inside = ((at > 0) & (at < (SIZE[1] - 1, SIZE[0] - 1))).all(-1)
    seen = inside & ~frame.hidden
    error = np.abs(warped.astype(int) - frame.image)[seen].mean()
    still = np.abs(before.image.astype(int) - frame.image)[seen].mean()
    assert error < 0.35 * still


def test_an_open_shutter_blurs_what_moves_and_leaves_the_truth_alone() -> None:
    sharp, blurred = _clip(8.0)[1], _clip(8.0, shutter=1.0)[1]
    assert np.array_equal(sharp.instances, blurred.instances)
    changed = np.abs(sharp.image.astype(int) - blurred.image).max(-1) > 20
    assert changed[75, [106, 150]].any()  # the edges of the car
    assert not changed[100:].any()


def test_the_nearer_car_hides_the_farther_one() -> None:
    scene = dismantle(drawn_still(objects={1: (CAR, (60, 60, 100, 90)), 2: (CAR, (150, 70, 210, 100))}))
    far, near = scene.groups
    way = Way(start_m=(near.place_m[0], far.place_m[1]), speed_m=(0.0, 0.0), turn_frame=1.0)
    frame = next(iter(compose(_script(scene, [way, standing(near)]))))
    assert np.count_nonzero(frame.instances == 2) == 60 * 30
    assert 0 < np.count_nonzero(frame.instances == 1) < 40 * 30


def test_an_object_of_which_a_sliver_shows_is_void() -> None:
    scene = dismantle(drawn_still(objects={1: (CAR, (60, 60, 100, 90)), 2: (CAR, (150, 60, 190, 91))}))
    far, near = scene.groups
    # behind the near one, which begins at column 150, but one pixel farther to the right
    x = (171 - far.camera.centre[0]) * far.depth_m / far.camera.focal_px
    way = Way(start_m=(x, far.depth_m), speed_m=(0.0, 0.0), turn_frame=1.0)
    frame = next(iter(compose(_script(scene, [way, standing(near)]))))
    assert set(np.unique(frame.instances).tolist()) == {0, 2}
    assert (frame.classes == 255).any()


def test_half_as_far_away_an_object_is_twice_as_large() -> None:
    (group,) = dismantle(STILL).groups
    seen = project(
        group.boards[0], group, (0.0, group.depth_m / 2), group.camera, Pose(np.eye(3), np.zeros(3))
    )
    assert seen is not None
    corners = cv2.perspectiveTransform(np.array([[[2.0, 2.0], [42.0, 32.0]]]), seen.matrix)[0]
    assert np.ptp(corners, axis=0) == pytest.approx([80, 60], rel=1e-4)


def test_behind_the_camera_nothing_is_seen() -> None:
    (group,) = dismantle(STILL).groups
    assert project(group.boards[0], group, (0.0, 0.5), group.camera, Pose(np.eye(3), np.zeros(3))) is None


def test_a_mirrored_group_stands_where_it_stood() -> None:
    (group,) = dismantle(drawn_still(objects={1: (PERSON, (60, 50, 80, 90))})).groups
    twice = mirrored(mirrored(group))
    assert mirrored(group).foot == group.foot
    assert mirrored(group).boards[0].corner == group.boards[0].corner  # it is symmetric about its foot
    assert np.array_equal(twice.boards[0].image, group.boards[0].image)


def test_a_way_there_and_back_ends_where_it_began() -> None:
    way = Way(start_m=(1.0, 10.0), speed_m=(0.5, 0.0), turn_frame=4.0)
    assert [way.at(time)[0] for time in (0, 4, 8)] == [1.0, 3.0, 1.0]


def test_a_car_may_go_on_the_road_and_not_into_the_wall_or_on_a_sidewalk() -> None:
    scene = dismantle(STILL)
    (group,) = scene.groups
    stays = standing(group)
    into_the_wall = Way(start_m=group.place_m, speed_m=(0.0, 3.0), turn_frame=100.0)
    assert is_possible(stays, group, scene.stage, 10)
    assert not is_possible(into_the_wall, group, scene.stage, 10)
    on_a_sidewalk = dismantle(drawn_still(objects={4: (CAR, CAR_BOX)}, stuff={1: (0, 70, 256, 128)})).stage
    assert not is_possible(stays, group, on_a_sidewalk, 10)
