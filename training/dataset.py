"""Samples for the loader's processes: a picture read, augmented, and the flow between its two views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackedViews:
    """Views of one size in a few tensors, as they travel between processes and to a device."""

    images: Tensor
    """(B, 3, h, w) uint8."""
    maps: Tensor
    """(B, 2, h, w) int16: `semantic` and `object_map`."""
    boxes: Tensor
    """(N, 4) float32: of all views, one after another; with them `classes` and `instances`, (N,) int64."""
    classes: Tensor
    instances: Tensor
    crowd_boxes: Tensor
    num_objects: list[int]
    """Of each view."""
    num_crowds: list[int]

    @classmethod
    def of(cls, views: Sequence[View]) -> StackedViews:
        """All of `views`, which have one size."""
        return cls(
            images=torch.stack([view.image for view in views]),
            maps=torch.stack([torch.stack((view.semantic.short(), view.object_map)) for view in views]),
            boxes=torch.cat([view.boxes for view in views]),
            classes=torch.cat([view.classes for view in views]),
            instances=torch.cat([view.instances for view in views]),
            crowd_boxes=torch.cat([view.crowd_boxes for view in views]),
            num_objects=[len(view.boxes) for view in views],
            num_crowds=[len(view.crowd_boxes) for view in views],
        )

    def views(self) -> list[View]:
        """One after another, on the same device."""
        parts = zip(
            self.images,
            self.maps,
            torch.split(self.boxes, self.num_objects),
            torch.split(self.classes, self.num_objects),
            torch.split(self.instances, self.num_objects),
            torch.split(self.crowd_boxes, self.num_crowds),
            strict=True,
        )
        return [
            View(
                image=image,
                semantic=maps[0].to(torch.uint8),
                boxes=boxes,
                classes=classes,
                instances=instances,
                object_map=maps[1],
                crowd_boxes=crowd_boxes,
            )
            for image, maps, boxes, classes, instances, crowd_boxes in parts
        ]

    def each(self, change: Callable[[Tensor], Tensor]) -> StackedViews:
        """With every tensor changed."""
        return StackedViews(
            images=change(self.images),
            maps=change(self.maps),
            boxes=change(self.boxes),
            classes=change(self.classes),
            instances=change(self.instances),
            crowd_boxes=change(self.crowd_boxes),
            num_objects=self.num_objects,
            num_crowds=self.num_crowds,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one training step sees."""

    current: StackedViews
    previous: StackedViews | None
    flow: Tensor | None
    """(B, 2, h / stride, w / stride) float32: from each view to its previous one, in pixels of the view."""

    def pin_memory(self) -> Batch:
        """The same in memory from which a graphics card can copy by itself."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        previous = None if self.previous is None else self.previous.each(change)
        return Batch(self.current.each(change), previous, None if self.flow is None else change(self.flow))


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
    current = StackedViews.of([sample[0] for sample in samples])
    previous = [sample[1] for sample in samples if sample[1] is not None]
    flows = [torch.from_numpy(sample[2]) for sample in samples if sample[2] is not None]
    return Batch(
        current, StackedViews.of(previous) if previous else None, torch.stack(flows) if flows else None
    )


def _flow(current: View, previous: View, stride: int) -> np.ndarray:
    """(2, h / stride, w / stride) float32, in pixels of the views."""
    small = [_reduced(view.image.permute(1, 2, 0).numpy(), stride) for view in (current, previous)]
    return np.ascontiguousarray(dense_inverse_search(small[0], small[1]).transpose(2, 0, 1) * stride)


def _reduced(image: np.ndarray, stride: int) -> np.ndarray:
    size = (image.shape[1] // stride, image.shape[0] // stride)
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
