"""All stages of the model in one place, without pipeline: what a run is measured against."""

from __future__ import annotations

from dataclasses import dataclass

from configs.schema import Settings
from models.vpsnet import VPSNet
from stages.detect import DetectStage
from stages.features import FeaturesStage
from stages.flow import FlowStage
from stages.fuse import FuseStage
from stages.messages import Detections, Features, Frame, Panoptic, TrackMemory
from stages.network import load_network
from stages.panoptic import PanopticStage
from stages.track import TrackStage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What detection needs of the frame before."""

    frame: Frame
    features: Features
    """Not fused."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Past:
    """What a frame needs of the one before."""

    seen: Seen
    memory: TrackMemory


class Detector:
    """The stages up to detect: from a frame and the one before to its objects and semantic logits."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """`network` as `stages.network.prepare` makes it, with all parts; else the settings' weights."""
        network = network or load_network(settings)
        self._features = FeaturesStage(settings, network)
        self._flow = FlowStage(settings)
        self._fuse = FuseStage(settings, network)
        self._detect = DetectStage(settings, network)

    def __call__(self, frame: Frame, before: Seen | None) -> tuple[Detections, Seen]:
        """`before` is None for the first frame, which is fused with itself, and for a picture alone."""
        features = self._features(frame)
        flow = self._flow(frame, before.frame if before else None)
        fused = self._fuse(features, before.features if before else None, flow)
        return self._detect(fused), Seen(frame=frame, features=features)


class WholeModel:
    """From a frame and the past to its panoptic map, a pure function like the stages it consists of."""

    def __init__(self, settings: Settings, network: VPSNet | None = None) -> None:
        """`network` as for `Detector`."""
        self._detector = Detector(settings, network)
        self._track = TrackStage(settings)
        self._panoptic = PanopticStage(settings)

    def __call__(self, frame: Frame, past: Past | None) -> tuple[Panoptic, Past]:
        """`past` is None for the first frame and for a picture alone."""
        detections, seen = self._detector(frame, past.seen if past else None)
        tracks, memory = self._track(detections, past.memory if past else None)
        return self._panoptic(detections, tracks), Past(seen=seen, memory=memory)
