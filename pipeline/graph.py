"""The order of the stages, in one place: which value each one makes, and of which values.

A link names a value of the same frame (`Now`) or of the frame before (`Before`; None for the first
frame). "source" is made by nobody: the driver gives it. Encoding stands outside the frame graph, as
it consumes whole runs of frames: `FRAME_RESULTS` of each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Now:
    """The value that belongs to the frame itself."""

    value: str


@dataclass(frozen=True, slots=True)
class Before:
    """The value that belongs to the frame before; None for the first frame."""

    value: str


Link = Now | Before


@dataclass(frozen=True, slots=True)
class Node:
    """One stage: a pure function from its inputs, in this order, to its outputs."""

    name: str
    inputs: tuple[Link, ...]
    outputs: tuple[str, ...]


GRAPH: tuple[Node, ...] = (
    Node("decode", (Now("source"), Before("cursor")), ("frame", "cursor")),
    Node("features", (Now("frame"),), ("features",)),
    Node("flow", (Now("frame"), Before("frame")), ("flow",)),
    Node("fuse", (Now("features"), Before("features"), Now("flow")), ("fused",)),
    Node("detect", (Now("fused"),), ("detections",)),
    Node("track", (Now("detections"), Before("memory")), ("tracks", "memory")),
    Node("panoptic", (Now("detections"), Now("tracks")), ("panoptic",)),
)
"""In an order in which every value of a frame is made before it is used."""

SOURCE = "source"
"""The value that the driver gives."""
DECODE = "decode"
TRACK = "track"
ENCODE = "encode"
MEMORY = "memory"
"""What tracking remembers: the one state that decoding a frame again cannot bring back."""
FRAME_RESULTS = ("frame", "panoptic", MEMORY)
"""What encoding takes of every frame; the memory for the checkpoint at the end of a run."""
DRIVER_READS = ("cursor",)
"""Small values that the driver looks at: the cursor tells the end of the stream."""
