"""Which pictures a step trains on: rare classes more often, and the same ones after a resume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


def repeat_factors(classes_of: Sequence[frozenset[int]], threshold: float) -> np.ndarray:
    """How often each picture should be drawn, relative to one with common classes only.

    LVIS's rule (Gupta et al. 2019): a class in a fraction f < threshold of the pictures asks for
    sqrt(threshold / f); a picture follows its rarest class. (number of pictures,) float64 >= 1.
    """
    count = max(len(classes_of), 1)
    present: dict[int, int] = {}
    for classes in classes_of:
        for index in classes:
            present[index] = present.get(index, 0) + 1
    wish = {index: max(1.0, (threshold * count / seen) ** 0.5) for index, seen in present.items()}
    return np.array([max((wish[index] for index in classes), default=1.0) for classes in classes_of])


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to make: which picture, and the seed of its augmentation."""

    picture: int
    seed: tuple[int, int, int]


class StepSampler:
    """The draws of each step, a pure function of (seed, step), from `first_step` to `steps`."""

    def __init__(
        self, weights: np.ndarray, batch_pictures: int, first_step: int, steps: int, seed: int
    ) -> None:
        self._probabilities = weights / weights.sum()
        self._batch = batch_pictures
        self._steps = range(first_step, steps)
        self._seed = seed

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in self._steps:
            rng = np.random.default_rng((self._seed, step))
            pictures = rng.choice(len(self._probabilities), self._batch, p=self._probabilities)
            yield [Draw(int(p), (self._seed, step, slot)) for slot, p in enumerate(pictures)]
