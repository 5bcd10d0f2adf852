"""What happens to a frame: the messages, and one file per stage.

A stage is built by name; only what it needs is imported, so decode and encode never load torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from configs.errors import SettingsError

if TYPE_CHECKING:
    from configs.schema import Settings

__all__ = ["Stage", "build_stage"]


Message = Any
"""Any of the messages, or what a stage of the caller's own exchanges."""


class Stage(Protocol):
    """A pure function of its inputs, in the order of the graph.

    A stage that can do several consecutive frames at once also has `batch`: of each input a sequence, a
    value a frame, and of the output too.
    """

    def __call__(self, *inputs: Message) -> Message: ...


def build_stage(name: str, settings: Settings) -> Stage:
    """The stage of that name; loads its weights."""
    match name:
        case "decode":
            from stages.decode import DecodeStage

            return DecodeStage(settings)
        case "features":
            from stages.features import FeaturesStage

            return FeaturesStage(settings)
        case "flow":
            from stages.flow import FlowStage

            return FlowStage(settings)
        case "fuse":
            from stages.fuse import FuseStage

            return FuseStage(settings)
        case "detect":
            from stages.detect import DetectStage

            return DetectStage(settings)
        case "track":
            from stages.track import TrackStage

            return TrackStage(settings)
        case "panoptic":
            from stages.panoptic import PanopticStage

            return PanopticStage(settings)
        case "encode":
            from stages.encode import EncodeStage

            return EncodeStage(settings)
    raise SettingsError(f"no stage is named {name!r}")
