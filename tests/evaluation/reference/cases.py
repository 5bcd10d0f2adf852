"""Small videos for comparing the measures with their reference implementations.

A case is drawn from its seed by whole random numbers alone. Objects are rectangles that move; the
prediction copies them with faults. Among the cases are: void on both sides, frames that are all void,
predictions without a segment, crowds (several of a class; some only in some frames), classes on one side
only, predictions that cover one half exactly, objects that change class or id on the way, ids of 24 bits,
categories with any numbers, areas that the truth states (some too large), and videos shorter than the
longest window.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from configs.categories import Category
from evaluation.segments import MAX_ID, LabelledSegment

NUM_CASES = 40
WINDOWS = (1, 2, 3, 4, 6)

_Value = TypeVar("_Value")

Labelled = tuple[np.ndarray, list[LabelledSegment]]
"""Map of ids, and its segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFrame:
    """Truth and prediction of one frame."""

    video: str
    truth: Labelled
    prediction: Labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One or more videos over one list of categories."""

    seed: int
    categories: tuple[Category, ...]
    frames: tuple[CaseFrame, ...]

    @property
    def digest(self) -> str:
        """A few digits that change with any pixel, segment or category."""
        parts: list[object] = [[(category.id, category.is_thing) for category in self.categories]]
        for frame in self.frames:
            for ids, segments in (frame.truth, frame.prediction):
                parts += [frame.video, ids.tolist(), [_fields(segment) for segment in segments]]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """A rectangle on its way through a video; one entry a frame."""

    categories: list[int]
    crowd: list[bool]
    pixels: list[np.ndarray]
    """(H, W) bool each."""


def draw_case(seed: int) -> Case:
    """The case of that seed."""
    rng = np.random.default_rng(seed)
    categories = _categories(rng)
    stated = _one_in(rng, 2)
    frames = [
        frame
        for number in range(int(rng.integers(1, 4)))
        for frame in _video(rng, categories, f"video {number}", stated=stated)
    ]
    return Case(seed=seed, categories=categories, frames=tuple(frames))


def _categories(rng: np.random.Generator) -> tuple[Category, ...]:
    number = int(rng.integers(2, 6))
    any_numbers = _one_in(rng, 2)
    ids = _different(rng, number, 1000) if any_numbers else list(range(number))
    return tuple(Category(i, f"class {i}", not _one_in(rng, 3), (0, 0, 0)) for i in ids)


def _video(
    rng: np.random.Generator, categories: Sequence[Category], name: str, *, stated: bool
) -> list[CaseFrame]:
    length, height, width = (int(rng.integers(low, high)) for low, high in ((1, 8), (3, 7), (4, 9)))
    size = (length, height, width)
    truth = [_thing(rng, categories, size) for _ in range(int(rng.integers(1, 7)))]
    if not _one_in(rng, 3):
        truth.insert(0, _background(rng, categories, size))
    visible = _paint(truth, size)
    visible[[t for t in range(length) if _one_in(rng, 12)]] = 0
    guesses, places = _predict(rng, categories, truth, visible)
    name_truth, name_guess = _names(rng), _names(rng)
    frames = []
    for t in range(length):
        labelled = _labelled(rng, truth, visible[t], t, name_truth, stated=stated)
        guess = _labelled(rng, guesses, places[t], t, name_guess, stated=False)
        frames.append(CaseFrame(video=name, truth=labelled, prediction=guess))
    return frames


def _thing(rng: np.random.Generator, categories: Sequence[Category], size: tuple[int, int, int]) -> _Thing:
    length, height, width = size
    top, left = int(rng.integers(height)), int(rng.integers(width))
    tall, wide = int(rng.integers(1, height)), int(rng.integers(1, width))
    down, right = (int(step) for step in rng.integers(-1, 2, 2))
    pixels = np.zeros(size, bool)
    for t in range(length):
        y, x = max(top + t * down, 0), max(left + t * right, 0)
        pixels[t, y : y + tall, x : x + wide] = not _one_in(rng, 6)
    return _Thing(
        categories=_changing(rng, lambda: categories[int(rng.integers(len(categories)))].id, length, 4),
        crowd=_changing(rng, lambda: _one_in(rng, 3), length, 2),
        pixels=list(pixels),
    )


def _background(
    rng: np.random.Generator, categories: Sequence[Category], size: tuple[int, int, int]
) -> _Thing:
    category = categories[int(rng.integers(len(categories)))].id
    return _Thing(categories=[category] * size[0], crowd=[False] * size[0], pixels=list(np.ones(size, bool)))


def _paint(things: Sequence[_Thing], size: tuple[int, int, int]) -> np.ndarray:
    """(T, H, W): number of the thing on top, from 1; 0 where there is none."""
    places = np.zeros(size, np.int64)
    for number, thing in enumerate(things, 1):
        places[np.stack(thing.pixels)] = number
    return places


def _predict(
    rng: np.random.Generator, categories: Sequence[Category], truth: Sequence[_Thing], visible: np.ndarray
) -> tuple[list[_Thing], np.ndarray]:
    """Copies with faults of what is visible; then false alarms, holes and single wrong pixels."""
    length, height, width = visible.shape
    guesses: list[_Thing] = []
    for number, thing in enumerate(truth, 1):
        guesses += _copies(rng, categories, thing, visible == number)
    for _ in range(int(rng.integers(0, 3))):
        false_alarm = _thing(rng, categories, visible.shape)
        guesses.append(replace(false_alarm, crowd=[False] * length))
    places = _paint(guesses, visible.shape)
    if _one_in(rng, 3):
        places[np.stack(_thing(rng, categories, visible.shape).pixels)] = 0
    for _ in range(int(rng.integers(0, 6))):
        t, y, x = (int(rng.integers(end)) for end in (length, height, width))
        places[t, y, x] = int(rng.integers(len(guesses) + 1))
    places[[t for t in range(length) if _one_in(rng, 12)]] = 0
    return guesses, places


def _copies(
    rng: np.random.Generator, categories: Sequence[Category], thing: _Thing, seen: np.ndarray
) -> list[_Thing]:
    """What is made of an object: nothing, itself, a shifted one, its half, two ids, or another class."""
    length = len(seen)
    fault, change = int(rng.integers(6)), int(rng.integers(length + 1))
    classes = list(thing.categories)
    if fault == 0:
        return []
    if fault == 1:
        seen = np.roll(seen, int(rng.integers(-1, 2)), axis=int(rng.integers(1, 3)))
    if fault == 2:
        seen = _half(seen)
    if fault == 3:
        classes[change:] = [categories[int(rng.integers(len(categories)))].id] * (length - change)
    later = np.arange(length)[:, None, None] >= (change if fault == 4 else length)
    return [
        _Thing(categories=classes, crowd=[False] * length, pixels=list(part))
        for part in (seen & ~later, seen & later)
        if part.any()
    ]


def _half(seen: np.ndarray) -> np.ndarray:
    """Every other pixel of each frame: IoU 1/2 exactly if their number is even."""
    ranks = np.cumsum(seen.reshape(len(seen), -1), axis=1).reshape(seen.shape)
    half: np.ndarray = seen & (ranks % 2 == 0)
    return half


def _labelled(
    rng: np.random.Generator,
    things: Sequence[_Thing],
    places: np.ndarray,
    t: int,
    name: Callable[[int], int],
    *,
    stated: bool,
) -> Labelled:
    """The frame's map with ids for numbers, and its segments in any order."""
    numbers = [int(number) for number in np.unique(places) if number]
    table = np.array([0, *(name(number) for number in range(1, len(things) + 1))], np.int64)
    segments = [
        LabelledSegment(
            id=name(number),
            category_id=things[number - 1].categories[t],
            is_crowd=things[number - 1].crowd[t],
            area_px=int((places == number).sum() + rng.integers(0, 3) // 2) if stated else None,
        )
        for number in numbers
    ]
    return table[places], _shuffled(rng, segments)


def _names(rng: np.random.Generator) -> Callable[[int], int]:
    """Ids of things by number: small ones in any order, or any of 24 bits."""
    ids = _different(rng, 40, 41 if _one_in(rng, 2) else MAX_ID + 1)
    return lambda number: ids[number]


def _different(rng: np.random.Generator, number: int, end: int) -> list[int]:
    """Different numbers of 1..end - 1."""
    found: dict[int, None] = {}
    while len(found) < number:
        found[int(rng.integers(1, end))] = None
    return list(found)


def _changing(rng: np.random.Generator, draw: Callable[[], _Value], length: int, one_in: int) -> list[_Value]:
    """A value that is the same in all frames, but in one of `one_in` cases changes once."""
    change = int(rng.integers(length + 1)) if _one_in(rng, one_in) else length
    return [draw()] * change + [draw()] * (length - change)


def _shuffled(rng: np.random.Generator, segments: list[LabelledSegment]) -> list[LabelledSegment]:
    order = np.argsort(rng.integers(0, 1 << 30, len(segments)), kind="stable")
    return [segments[place] for place in order]


def _fields(segment: LabelledSegment) -> tuple[int, int, bool, int | None]:
    return segment.id, segment.category_id, segment.is_crowd, segment.area_px


def _one_in(rng: np.random.Generator, number: int) -> bool:
    return int(rng.integers(number)) == 0
