"""Samples for the loader's processes: a picture read, augmented, and the flow between its two views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.flow import dense_inverse_search
from training.copy_paste import ObjectBank
from training.data.packed import Pictures
from training.samples import Augmentation, View, make_view, make_view_pair
from training.sampling import Draw


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one training step sees."""

    current: list[View]
    previous: list[View] | None
    flow: Tensor | None
    """(B, 2, h / stride, w / stride) float32: from each view to its previous one, in pixels of the view."""

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        if device.type == "cpu":
            return self
        previous = None if self.previous is None else [_view_to(view, device) for view in self.previous]
        flow = None if self.flow is None else self.flow.to(device)
        return Batch([_view_to(view, device) for view in self.current], previous, flow)


def _view_to(view: View, device: torch.device) -> View:
    return replace(view, **{field.name: getattr(view, field.name).to(device) for field in fields(view)})


class SampleSource(Dataset[tuple[View, View | None, np.ndarray | None]]):
    """Makes the sample of a draw."""

    def __init__(
        self,
        pictures: Pictures,
        augmentation: Augmentation,
        thing_ids: tuple[int, ...],
        *,
        with_previous: bool,
        flow_stride: int,
        earlier: Sequence[Sequence[int]] | None = None,
        bank: ObjectBank | None = None,
    ) -> None:
        """`earlier`: for each picture the positions of frames before it in its video, none for a still.

        One of them is drawn. `bank`: objects to be put into stills.
        """
        self._bank = bank
        self._pictures = pictures
        self._earlier = earlier
        self._augmentation = augmentation
        self._thing_ids = thing_ids
        self._with_previous = with_previous
        self._flow_stride = flow_stride

    def __getitem__(self, draw: Draw) -> tuple[View, View | None, np.ndarray | None]:
        rng = np.random.default_rng(draw.seed)
        picture = self._pictures[draw.picture]
        earlier = self._earlier[draw.picture] if self._earlier is not None else []
        if self._bank is not None and not earlier:
            picture = self._bank.added_to(picture, rng)
        if not self._with_previous:
            return make_view(picture, self._augmentation, self._thing_ids, rng), None, None
        before = self._pictures[int(rng.choice(earlier))] if earlier else None
        current, previous = make_view_pair(picture, before, self._augmentation, self._thing_ids, rng)
        return current, previous, _flow(current, previous, self._flow_stride)


def collate(samples: list[tuple[View, View | None, np.ndarray | None]]) -> Batch:
    """Samples to a batch; either all have a previous view or none has."""
    current = [sample[0] for sample in samples]
    previous = [sample[1] for sample in samples if sample[1] is not None]
    flows = [torch.from_numpy(sample[2]) for sample in samples if sample[2] is not None]
    return Batch(current, previous or None, torch.stack(flows) if flows else None)


def _flow(current: View, previous: View, stride: int) -> np.ndarray:
    """(2, h / stride, w / stride) float32, in pixels of the views."""
    small = [_reduced(view.image.permute(1, 2, 0).numpy(), stride) for view in (current, previous)]
    return np.ascontiguousarray(dense_inverse_search(small[0], small[1]).transpose(2, 0, 1) * stride)


def _reduced(image: np.ndarray, stride: int) -> np.ndarray:
    size = (image.shape[1] // stride, image.shape[0] // stride)
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
