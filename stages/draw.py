"""Drawing a panoptic map over its frame: colours, contours and the objects' labels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from configs.categories import Category
from stages.messages import Frame, Panoptic, Segment, Size
from stages.palette import Colour, paint, track_colour

VOID: Colour = (0, 0, 0)
FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT_HEIGHT_FRACTION = 1 / 46
"""Height of a capital letter, of the height of the picture."""
TEXT_HEIGHT_MIN_PX = 8
LABEL_AREA_MIN = 2.5e-4
"""Objects that cover less of the picture carry no label."""
LABEL_BACKGROUND = 0.35
"""How much of the picture shows through behind a label."""


def draw(
    frame: Frame, panoptic: Panoptic, categories: Sequence[Category], *, opacity: float, labels: bool
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the frame with its segments in colour; void stays as it is."""
    colours = [VOID, *(segment_colour(segment, categories) for segment in panoptic.segments)]
    painted = paint(panoptic.label_map, colours)
    picture = cv2.addWeighted(frame.image, 1 - opacity, painted, opacity, 0)
    void = (panoptic.label_map == 0).view(np.uint8)
    if void.any():
        cv2.copyTo(frame.image, void, picture)
    _draw_contours(picture, painted, panoptic)
    if labels:
        _draw_labels(picture, panoptic.segments, categories)
    return np.asarray(picture)


def segment_colour(segment: Segment, categories: Sequence[Category]) -> Colour:
    """An object's own colour, or that of the stuff's category."""
    if segment.is_thing and segment.track_id is not None:
        return track_colour(segment.track_id)
    return categories[segment.class_index].color


def _draw_contours(picture: np.ndarray, painted: np.ndarray, panoptic: Panoptic) -> None:
    """A line of one pixel where segments meet: full colour, and white around objects."""
    label_map = panoptic.label_map
    edges = np.zeros(label_map.shape, np.bool_)
    edges[:, 1:] = label_map[:, 1:] != label_map[:, :-1]
    edges[1:] |= label_map[1:] != label_map[:-1]
    is_thing = np.array([0, *(255 * segment.is_thing for segment in panoptic.segments)], np.uint8)
    things = is_thing.take(label_map)
    # an edge lies to the right of the border or below it: on the object, or just outside
    white = things.copy()
    white[:, 1:] |= things[:, :-1]
    white[1:] |= things[:-1]
    lines = cv2.max(painted, cv2.merge([white, white, white]))
    cv2.copyTo(lines, edges.view(np.uint8), picture)


def _draw_labels(picture: np.ndarray, segments: Sequence[Segment], categories: Sequence[Category]) -> None:
    """The near, large objects last, so that theirs lie on top."""
    things = [segment for segment in segments if segment.is_thing]
    smallest_px = LABEL_AREA_MIN * picture.shape[0] * picture.shape[1]
    for segment in sorted(things, key=lambda thing: thing.area_px):
        if segment.area_px >= smallest_px:
            name = categories[segment.class_index].name
            text = name if segment.track_id is None else f"{name} {segment.track_id}"
            _draw_label(picture, text, segment)


def _draw_label(picture: np.ndarray, text: str, segment: Segment) -> None:
    height_px = max(TEXT_HEIGHT_MIN_PX, picture.shape[0] * TEXT_HEIGHT_FRACTION)
    scale = cv2.getFontScaleFromHeight(FONT, round(height_px), 1)
    thickness = max(1, round(scale * 1.6))
    (width, height), below = cv2.getTextSize(text, FONT, scale, thickness)
    pad = 2
    box = (height + below + 2 * pad, width + 2 * pad)
    top, left = label_place(segment, box, (picture.shape[0], picture.shape[1]))
    ground = picture[top : top + box[0], left : left + box[1]]
    ground[:] = (ground * LABEL_BACKGROUND).astype(np.uint8)
    place = (left + pad, top + pad + height)
    colour = track_colour(segment.track_id) if segment.track_id is not None else (255, 255, 255)
    cv2.putText(picture, text, place, FONT, scale, colour, thickness, cv2.LINE_AA)


def label_place(segment: Segment, box: Size, size: Size) -> tuple[int, int]:
    """Top and left of a label of size `box`: above the object, or as near as the picture of `size` allows."""
    x, y, width, _ = segment.bbox_px
    top = y - box[0] - 1
    left = x + (width - box[1]) // 2
    return max(0, min(top, size[0] - box[0])), max(0, min(left, size[1] - box[1]))
