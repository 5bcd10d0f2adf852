"""PQ equals that of torchmetrics where both are defined.

It knows no crowd, makes one segment of all pixels of a class of stuff, and takes predicted void for
ignored; so here are none of the first, one segment for each class of stuff, and void in the truth only.
It divides in float32, hence the tolerance.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.detection import PanopticQuality as TorchPanopticQuality

from evaluation.overlap import frame_overlap
from evaluation.pq import PanopticQuality
from tests.evaluation.drawing import CAR, CATEGORIES, PERSON, ROAD, SKY, Labelled, segment

UNKNOWN = 99
"""A class of neither list: void."""

NUM_IDS = 6
"""1 and 2 are road and sky, the others things."""


def random_pair(rng: np.random.Generator) -> tuple[Labelled, Labelled]:
    """Blocks of 2 x 2 pixels; the prediction differs in some pixels and in the classes of things."""
    blocks = rng.integers(0, NUM_IDS + 1, (4, 5))
    truth = np.kron(blocks, np.ones((2, 2), np.int64))
    predicted = np.where(
        rng.integers(0, 6, truth.shape) == 0, rng.integers(1, NUM_IDS + 1, truth.shape), truth
    )
    predicted[predicted == 0] = rng.integers(1, NUM_IDS + 1)
    classes = [ROAD, SKY, *(int(c) for c in rng.integers(CAR, PERSON + 1, NUM_IDS - 2))]
    others = list(classes)
    others[-1] = PERSON
    return labelled(truth, classes), labelled(predicted, others)


def labelled(ids: np.ndarray, classes: list[int]) -> Labelled:
    return ids, [segment(int(number), classes[number - 1]) for number in np.unique(ids) if number]


def coloured(side: Labelled) -> torch.Tensor:
    """(1, H, W, 2): class and instance."""
    ids, segments = side
    classes = np.full(ids.shape, UNKNOWN)
    for part in segments:
        classes[ids == part.id] = part.category_id
    return torch.from_numpy(np.stack([classes, ids], axis=-1)[None])


@pytest.mark.parametrize("seed", range(6))
def test_panoptic_quality_is_that_of_torchmetrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours = PanopticQuality(CATEGORIES)
    theirs = TorchPanopticQuality(
        things={CAR, PERSON}, stuffs={ROAD, SKY}, return_sq_and_rq=True, return_per_class=True
    )
    for _ in range(20):
        truth, prediction = random_pair(rng)
        ours.add(frame_overlap(*truth, *prediction))
        theirs.update(coloured(prediction), coloured(truth))
    per_class = ours.result().per_class
    expected = theirs.compute().reshape(4, 3).tolist()  # things first
    for category, row in zip((CAR, PERSON, ROAD, SKY), expected, strict=True):
        part = per_class[category]
        assert 0.0 < part.pq < 1.0
        assert [part.pq, part.sq, part.rq] == pytest.approx(row, abs=1e-6)
