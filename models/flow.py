"""Optical flow from a picture to the one before: OpenCV's DIS and RAFT-small behind one interface.

Both answer with the backward flow that warping needs: previous(x + flow(x)) shows what current(x) shows.
Legend: `h w` size of the pictures given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
import torchvision
from torch import Tensor
from torch.nn import functional

_MIN_SIDE_PX = 32
"""The smallest picture whose coarsest level still holds a patch of DIS."""


class FlowEstimator(Protocol):
    """Anything that estimates flow."""

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 RGB twice -> (h, w, 2) float32: x then y displacement in pixels."""


def dense_inverse_search(current: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """DIS (Kroeger et al. 2016), OpenCV's, on luminance: see FlowEstimator.

    Its result depends on cv2's thread count. Pictures under 32 px give zero flow.
    """
    if min(current.shape[:2]) < _MIN_SIDE_PX:
        return np.zeros((*current.shape[:2], 2), np.float32)
    # a new one for every pair: for pictures of some sizes it answers a second call differently
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (current, previous)]
    flow = np.zeros((*gray[0].shape, 2), np.float32)
    return np.asarray(dis.calc(gray[0], gray[1], flow), dtype=np.float32)


class RaftSmall:
    """RAFT-small (Teed and Deng 2020), torchvision's network with weights from a file."""

    _multiple = 8
    _min_side_px = 128  # four correlation levels at stride 8 need 16 cells

    def __init__(self, weights: Path, device: str) -> None:
        self._device = torch.device(device)
        self._network = torchvision.models.optical_flow.raft_small(weights=None)
        self._network.load_state_dict(raft_state(weights, self._network.state_dict()))
        self._network.eval().to(self._device)

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        """See FlowEstimator."""
        height, width = current.shape[:2]
        pair = [self._prepare(image) for image in (current, previous)]
        with torch.inference_mode():
            flow = self._network(pair[0], pair[1], num_flow_updates=12)[-1]
        return np.ascontiguousarray(flow[0, :, :height, :width].permute(1, 2, 0).cpu().numpy())

    def _prepare(self, image: np.ndarray) -> Tensor:
        height, width = image.shape[:2]
        below = max(-height % self._multiple, self._min_side_px - height)
        right = max(-width % self._multiple, self._min_side_px - width)
        x = torch.from_numpy(image).to(self._device).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        return functional.pad(x, (0, right, 0, below), mode="replicate")


def raft_state(weights: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """The parameters in a file: torchvision's, or the authors', with its tensors in the same order.

    ValueError when neither names nor shapes in order agree.
    """
    state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    if state.keys() == wanted.keys():
        return state
    in_order = dict(zip(wanted, state.values(), strict=False))
    shapes = [tuple(value.shape) for value in state.values()]
    if shapes != [tuple(value.shape) for value in wanted.values()]:
        raise ValueError(f"{weights}: not RAFT-small ({len(state)} tensors, {len(wanted)} expected)")
    return in_order
