"""flow: a frame and the one before -> backward flow between them. A pure function of both pictures."""

from __future__ import annotations

import numpy as np

from configs.errors import SettingsError, WeightsError
from configs.schema import Settings
from models.flow import FlowEstimator, RaftSmall, dense_inverse_search
from stages.messages import Flow, Frame
from stages.network import ROOT
from stages.preprocess import network_size, resized


class FlowStage:
    """DIS or RAFT-small on reduced pictures."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._estimate = _estimator(settings)

    def __call__(self, frame: Frame, previous: Frame | None) -> Flow | None:
        """None for the first frame, and when fusion is off."""
        if previous is None or not self._settings.model.fuse:
            return None
        stride = self._settings.flow.stride
        height, width = network_size(frame.size, self._settings.input)
        size = (max(height // stride, 1), max(width // stride, 1))
        small = self._estimate(resized(frame.image, size), resized(previous.image, size))
        scale = np.array([width / size[1], height / size[0]], np.float32)
        return Flow(index=frame.index, field=small * scale, stride=stride)


def _estimator(settings: Settings) -> FlowEstimator:
    if settings.flow.backend == "dis":
        return dense_inverse_search
    if settings.flow.raft_weights is None:
        raise SettingsError("flow.backend raft-small needs a weights file: --set flow.raft_weights=FILE")
    path = ROOT / settings.flow.raft_weights
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; name another with --set flow.raft_weights=FILE")
    try:
        return RaftSmall(path, settings.run.device)
    except ValueError as error:
        raise WeightsError(str(error)) from error
