"""What the stages hand to each other: one frozen message per edge of the graph.

Legend: `N` objects, `K` classes, `E` embedding size, `C` feature channels; `H W` the frame as
decoded, `h w` the picture as the network sees it (resized, without padding), `s4` stride 4.

Pictures and maps are numpy arrays, so that decode, encode and the driver need no torch; what only
the model stages exchange are torch tensors on the model's device. A received array is never
written to. Sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np

from configs.errors import MessageError

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]
"""(height, width) in pixels."""
LiveState = Literal["connecting", "live", "stalled", "reconnecting", "ended"]
"""Of a live source: what each means stands in docs/live.md. One that failed raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of a live source that nothing is known of."""

    start_s: float
    """When the last picture before it came: seconds since 1970, UTC."""
    end_s: float
    """When the first picture after it came."""
    reason: str
    """In words, without secrets."""

    @property
    def duration_s(self) -> float:
        """How long nothing came."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePoint:
    """How a live source stands: what a decode call has found, and all that the next one needs of it."""

    state: LiveState
    since_s: float
    """When the state began: seconds since 1970, UTC."""
    reason: str = ""
    """Why it is not live, in words, without secrets."""
    num_connections: int = 0
    """That brought pictures, so far."""
    num_dropped: int = 0
    """Pictures left out because newer ones came before a worker was free, so far."""
    num_jumps: int = 0
    """Times that the source's clock jumped, so far."""
    began_s: float | None = None
    """When its first picture came, which has time 0: seconds since 1970, UTC. None: none has come."""
    came_s: float | None = None
    """When the picture of the frame came."""
    gap: Gap | None = None
    """What is missing right before the frame."""
    num_gaps: int = 0
    """Before this frame and earlier ones."""
    lost_s: float = 0.0
    """How long they were, all together."""
    num_segments: int = 0
    """Up to that of the frame."""
    segment: int = 0
    """Index of the first frame of the segment that the frame belongs to."""
    segment_pts: int = 0
    """Time of that frame."""
    size: Size | None = None
    """(H, W) of the last frame."""
    follows: bool = True
    """Does the frame come right after the one before, in the same size?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where decoding stands after a frame: all that the next decode call needs of the past."""

    index: int
    """Index of the frame just read, from 0, no gaps; the number of frames read minus one at the end."""
    source_index: int
    """Position of that picture among the pictures of the source that could be decoded, from 0."""
    pts: int | None
    """Presentation time of the last picture read, in units of the source's time base; None before one."""
    corrupt_packets: int = 0
    """Packets that the decoder refused so far."""
    ended: bool = False
    """True when the source held no further frame: this cursor comes without one."""
    live: LivePoint | None = None
    """Of a live source. Its cursors may come without a frame although it has not ended: none has come yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundPacket:
    """Some hundredths of a second of sound, as the source has encoded it."""

    pts: int
    """Presentation time, in the frame's time base."""
    duration: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What was heard since the frame before."""

    track: bytes
    """A media file with one packet of the track: its codec, its rate, and what else a decoder needs."""
    packets: tuple[SoundPacket, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One decoded picture."""

    index: int
    """Position in the stream as processed, from 0, no gaps."""
    pts: int
    """Presentation time in units of `time_base`; strictly increasing within a stream."""
    time_base: Fraction
    """Seconds per unit of `pts` and `duration`."""
    duration: int
    """How long the picture stands, in units of `time_base`; at least 1."""
    image: np.ndarray
    """(H, W, 3) uint8, RGB, C-contiguous."""
    captured_s: float | None = None
    """When it came, of a live source: seconds since 1970, UTC."""
    gap: Gap | None = None
    """What is missing right before it, of a live source."""
    sound: Sound | None = None
    """Of a live source that has some."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise MessageError(
                f"frame {self.index}: image must be (H, W, 3) uint8, "
                f"got {self.image.shape} {self.image.dtype}"
            )

    @property
    def size(self) -> Size:
        """(H, W) of the picture."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def time_s(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The feature pyramid of one frame, before or after fusion with the previous frame."""

    index: int
    levels: tuple[Tensor, ...]
    """P2..P6, each (1, C, H_net / stride, W_net / stride) for strides 4, 8, 16, 32, 64."""
    network_size: Size
    """(h, w): the resized picture inside the network's input, which is padded right and below."""
    frame_size: Size
    """(H, W) of the decoded frame."""
    gap_s: float = 0.0
    """How much time is missing right before the frame, in seconds; 0: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """Backward flow from a frame to the one before: previous(x + flow(x)) shows what frame(x) shows."""

    index: int
    field: np.ndarray
    """(h_flow, w_flow, 2) float32: x then y displacement in pixels of the network's picture (h, w);
    the grid covers that picture at `stride` network pixels a cell."""
    stride: int
    """Network pixels per cell of `field`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Detections:
    """What one frame shows: N objects in descending score, and the semantic logits."""

    index: int
    boxes: Tensor
    """(N, 4) float32: x1, y1, x2, y2 in network pixels; width = x2 - x1."""
    scores: Tensor
    """(N,) float32 in (0, 1], descending."""
    classes: Tensor
    """(N,) int64: class index, a thing."""
    mask_logits: Tensor
    """(N, 28, 28) float32: mask logits of the object's own class inside its box."""
    embeddings: Tensor
    """(N, E) float32: appearance, for the matching with earlier frames."""
    semantic_logits: Tensor
    """(1, K, H_net / 4, W_net / 4) float32, padding included."""
    network_size: Size
    frame_size: Size
    gap_s: float = 0.0
    """How much time is missing right before the frame, in seconds; 0: nothing."""

    def __post_init__(self) -> None:
        count = self.boxes.shape[0]
        for name in ("scores", "classes", "mask_logits", "embeddings"):
            length = getattr(self, name).shape[0]
            if length != count:
                raise MessageError(f"frame {self.index}: {count} boxes but {length} {name}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackMemory:
    """All that tracking remembers: one slot per remembered object. A slot is a position, not an identity."""

    index: int
    """Frame after which this memory holds."""
    next_track_id: int
    """The identity that the next new object gets; identities start at 1 and are never given twice."""
    track_ids: np.ndarray
    """(S,) int64, ascending."""
    classes: np.ndarray
    """(S,) int64: class index at first sight; kept for life."""
    boxes: np.ndarray
    """(S, 4) float32: where last seen, network pixels."""
    embeddings: np.ndarray
    """(S, E) float32: appearance when last seen."""
    last_seen: np.ndarray
    """(S,) int64: frame index when last seen."""
    gap_index: int = 0
    """Index of the first frame after the last gap in the stream; 0: there was none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """All that the frames behind a run of frames need of the past, for another process to go on there."""

    cursor: Cursor | None
    """Where decoding goes on: before the last batch of the run, which is decoded again (None: at the start);
    of a live source, behind it."""
    memory: TrackMemory
    """After the last frame of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reunion:
    """What became of the objects over a gap, in the first frame behind it."""

    num_before: int
    """Objects in the last frame before the gap."""
    num_found_again: int
    """Identities of those that are in the first frame behind it."""
    num_new: int
    """Objects in that frame whose identity is a new one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tracks:
    """The identity of each detection of a frame."""

    index: int
    track_ids: np.ndarray
    """(N,) int64 >= 1, in the order of the detections, no value twice."""
    classes: np.ndarray
    """(N,) int64: class index of the identity (that of its first sight)."""
    reunion: Reunion | None = None
    """Of the first frame behind a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One region of a panoptic map: an object, or all of one stuff class."""

    segment_id: int
    """Constant over the stream for the same object and for the same stuff class; fits 24 bits."""
    class_index: int
    """Position in the settings' categories, whose ids the files carry."""
    is_thing: bool
    track_id: int | None
    """None for stuff."""
    score: float | None
    """Detection score of an object; None for stuff."""
    area_px: int
    bbox_px: tuple[int, int, int, int]
    """x, y, width, height of the visible pixels, in the decoded frame."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Panoptic:
    """The panoptic map of one frame at the size of the decoded frame."""

    index: int
    label_map: np.ndarray
    """(H, W) uint8 or uint16, C-contiguous: 0 = void, i = segments[i - 1]."""
    segments: tuple[Segment, ...]
    reunion: Reunion | None = None
    """Of the first frame behind a gap."""

    def __post_init__(self) -> None:
        if self.label_map.ndim != 2 or self.label_map.dtype not in (np.uint8, np.uint16):
            raise MessageError(
                f"frame {self.index}: label_map must be (H, W) uint8 or uint16, "
                f"got {self.label_map.shape} {self.label_map.dtype}"
            )
