"""All stages of the model in one place, without pipeline: what a run is measured against."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Settings
from models.vpsnet import VPSNet
from stages.detect import DetectStage
from stages.features import FeaturesStage
from stages.flow import FlowStage
from stages.fuse import FuseStage
from stages.messages import Features, Frame, Panoptic, TrackMemory
from stages.network import load_network
from stages.panoptic import PanopticStage
from stages.track import TrackStage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """What a frame needs of the one before."""

    frame: Frame
    features: Features
    """Not fused."""
    memory: TrackMemory


class WholeModel:
    """From a frame and the past to its panoptic map, a pure function like the stages it consists of."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """`network` as `stages.network.prepare` makes it, with all parts; else the settings' weights."""
        network = network or load_network(settings)
        self._features = FeaturesStage(settings, network)
        self._flow = FlowStage(settings)
        self._fuse = FuseStage(settings, network)
        self._detect = DetectStage(settings, network)
        self._track = TrackStage(settings)
        self._panoptic = PanopticStage(settings)

    def __call__(self, frame: Frame, past: Past | None) -> tuple[Panoptic, Past]:
        """`past` is None for the first frame, which is fused with itself, and for a picture alone."""
        features = self._features(frame)
        flow = self._flow(frame, past.frame if past else None)
        fused = self._fuse(features, past.features if past else None, flow)
        detections = self._detect(fused)
        tracks, memory = self._track(detections, past.memory if past else None)
        return self._panoptic(detections, tracks), Past(frame=frame, features=features, memory=memory)
