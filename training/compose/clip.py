"""A composed clip: every frame with its exact map of classes and objects, and the flow to the one before.

Far boards are drawn first. A frame is the mean of several moments while the shutter is open; its truth is
that of the middle one. A clip is a pure function of its script.
Legend: `h w` a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from training.compose.boards import Board, Group, Projection, project, render
from training.compose.camera import Camera, CameraPath, Pose
from training.compose.exposure import Exposure
from training.compose.motion import Way
from training.compose.stage import SHADE, Stage
from training.data.packed import CROWD_INSTANCE
from training.data.packing import VOID_CLASS

_MOMENTS = 5
_STAGE = -1
_MIN_VISIBLE_PX = 40
"""An object of which a frame shows less is void there: nobody could tell what it is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actor:
    """A group and its way through the clip."""

    group: Group
    way: Way
    first_number: int
    """Instance number of its first board that is a thing; the next ones follow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Script:
    """All that a clip is made from."""

    stage: Stage
    actors: tuple[Actor, ...]
    camera: Camera
    """Its size is that of the frames."""
    path: CameraPath
    shutter: float
    """How long it is open, in frames; 0: nothing is blurred."""
    exposure: Exposure
    num_frames: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ComposedFrame:
    """A frame and all its truth."""

    image: np.ndarray
    """(h, w, 3) uint8, RGB."""
    classes: np.ndarray
    """(h, w) uint8, 255 = void."""
    instances: np.ndarray
    """(h, w) int32: the same object has the same number in all frames; 0 none, -1 a crowd."""
    flow: np.ndarray | None
    """(h, w, 2) float32: from each pixel to where its place was in the frame before; None: the first."""
    hidden: np.ndarray | None
    """(h, w) bool: that place was hidden or out of sight in the frame before."""


def compose(script: Script) -> Iterator[ComposedFrame]:
    """The frames in order."""
    before: _Moment | None = None
    for index in range(script.num_frames):
        moment = _rendered(
            script, float(index), _places(script, float(index), before.places if before else None)
        )
        exposed = _while_the_shutter_is_open(script, moment, float(index))
        flow, hidden = (None, None) if before is None else _flow(script, moment, before)
        classes, instances = _truth(script, moment)
        yield ComposedFrame(
            image=script.exposure.apply(exposed, index),
            classes=classes,
            instances=instances,
            flow=flow,
            hidden=hidden,
        )
        before = moment


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A board that a moment shows."""

    board: Board
    projection: Projection
    key: tuple[int, int]
    """Actor and board: the same in all moments."""
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class _Moment:
    pose: Pose
    image: np.ndarray
    places: np.ndarray
    """(h, w, 2) float32: what of the stage each pixel would show."""
    owner: np.ndarray
    """(h, w) int16: _STAGE, or position in `shown`."""
    shown: list[_Shown]


def _places(script: Script, time: float, guess: np.ndarray | None) -> np.ndarray:
    return script.stage.places_seen(script.camera, script.path.at(time), guess).astype(np.float32)


def _rendered(script: Script, time: float, places: np.ndarray) -> _Moment:
    pose, camera, stage = script.path.at(time), script.camera, script.stage
    image = cv2.remap(
        stage.image,
        places,
        np.empty(0, np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=SHADE,
    )
    owner = np.full(camera.size, _STAGE, np.int16)
    shown = _boards_shown(script, time, pose)
    for position, one in enumerate(shown):
        window = one.projection.window
        picture, cover = render(one.board, one.projection)
        under = image[window]
        image[window] = np.rint(under + (picture.astype(np.float32) - under) * cover[..., None])
        owner[window][cover > 0.5] = position
    return _Moment(pose, image, places, owner, shown)


def _while_the_shutter_is_open(script: Script, middle: _Moment, time: float) -> np.ndarray:
    """(h, w, 3) uint8: the mean of the moments around one."""
    if script.shutter == 0:
        return middle.image
    first, last = time - script.shutter / 2, time + script.shutter / 2
    # in so short a time every place moves in a straight line
    ends = [_places(script, when, middle.places) for when in (first, last)]
    total = np.zeros(middle.image.shape, np.float32)
    for share in np.linspace(0.0, 1.0, _MOMENTS):
        when = first + script.shutter * float(share)
        places = ends[0] + (ends[1] - ends[0]) * np.float32(share)
        total += _rendered(script, when, places).image
    return np.rint(total / _MOMENTS).astype(np.uint8)


def _boards_shown(script: Script, time: float, pose: Pose) -> list[_Shown]:
    """The farthest first."""
    shown = []
    for which, actor in enumerate(script.actors):
        number = actor.first_number
        for part, board in enumerate(actor.group.boards):
            seen = project(board, actor.group, actor.way.at(time), script.camera, pose)
            if seen is not None:
                shown.append(_Shown(board, seen, (which, part), number if board.is_thing else 0))
            number += board.is_thing
    return sorted(shown, key=lambda one: -one.projection.depth_m)


def _truth(script: Script, moment: _Moment) -> tuple[np.ndarray, np.ndarray]:
    stage = script.stage
    nearest = np.rint(moment.places)
    classes = _looked_up(stage.classes, nearest, VOID_CLASS)
    instances = _looked_up(stage.numbers, nearest, 0).astype(np.int32)
    for position, one in enumerate(moment.shown):
        mine = moment.owner == position
        classes[mine], instances[mine] = one.board.category_id, one.number
    numbers, areas = np.unique(instances, return_counts=True)
    slivers = numbers[(areas < _MIN_VISIBLE_PX) & (numbers != 0) & (numbers != CROWD_INSTANCE)]
    gone = np.isin(instances, slivers)
    classes[gone], instances[gone] = VOID_CLASS, 0
    return classes, instances


def _looked_up(values: np.ndarray, places: np.ndarray, outside: int) -> np.ndarray:
    x, y = places[..., 0].astype(int), places[..., 1].astype(int)
    inside = (x >= 0) & (y >= 0) & (x < values.shape[1]) & (y < values.shape[0])
    found = values[np.clip(y, 0, values.shape[0] - 1), np.clip(x, 0, values.shape[1] - 1)]
    looked_up: np.ndarray = np.where(inside, found, outside).astype(values.dtype)
    return looked_up


def _flow(script: Script, moment: _Moment, before: _Moment) -> tuple[np.ndarray, np.ndarray]:
    height, width = script.camera.size
    pixels = np.mgrid[0:height, 0:width][::-1].transpose(1, 2, 0).astype(np.float64)
    was = script.stage.project(moment.places.astype(np.float64), script.camera, before.pose)
    position_before = {one.key: position for position, one in enumerate(before.shown)}
    owner_before = np.full(len(moment.shown) + 1, _STAGE)
    gone = np.zeros(len(moment.shown) + 1, bool)
    for position, one in enumerate(moment.shown):
        mine = moment.owner == position
        earlier = position_before.get(one.key)
        if earlier is None or not mine.any():
            gone[position] = True
            continue
        owner_before[position] = earlier
        matrix = before.shown[earlier].projection.matrix @ np.linalg.inv(one.projection.matrix)
        was[mine] = cv2.perspectiveTransform(pixels[mine][None] + 0.5, matrix)[0] - 0.5
    # _STAGE indexes the last entries
    owner_there = _looked_up(before.owner, np.rint(was), -2)
    hidden = (owner_there != owner_before[moment.owner]) | gone[moment.owner]
    return (was - pixels).astype(np.float32), hidden


def numbered(groups: Sequence[tuple[Group, Way]], first: int) -> tuple[Actor, ...]:
    """Actors with instance numbers from `first` on."""
    actors = []
    for group, way in groups:
        actors.append(Actor(group=group, way=way, first_number=first))
        first += sum(board.is_thing for board in group.boards)
    return tuple(actors)
