"""What the segments of truth and prediction share: all that the measures need to know of a frame.

Legend: `G` segments of the truth, `P` predicted segments, `M` pairs of them that share a pixel.

The pixels are looked at once per frame, here; PQ, VPQ, STQ, IDF1 and HOTA are arithmetic on the result.
The overlap of a window of frames is the sum of the overlaps of its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from configs.errors import SourceError
from evaluation.segments import LabelledSegment, check_counts, check_map, position_table

if TYPE_CHECKING:
    from torch import Tensor

IdMap: TypeAlias = "np.ndarray | Tensor"
"""(H, W) integers, 0 = void; a tensor may be on any device."""

_Side: TypeAlias = "tuple[IdMap, Sequence[LabelledSegment], str]"
"""Map, list and name."""

_CHUNK_PX = 1 << 16
"""Pixels counted at a time: what is computed of them stays in the processor's cache."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """The segments of one side, in the order of their first appearance."""

    ids: np.ndarray
    """(N,) int64."""
    categories: np.ndarray
    """(N,) int64: category ids; of a tube, that of the first frame which shows it."""
    crowd: np.ndarray
    """(N,) bool; of a tube, that of the first frame which shows it."""
    areas: np.ndarray
    """(N,) int64: pixels, summed over the frames."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Overlap:
    """What truth and prediction of a frame, or of a window of frames, share."""

    truth: Segments
    prediction: Segments
    truth_at: np.ndarray
    """(M,) int64: 0 = void, i = the truth's segment i - 1."""
    prediction_at: np.ndarray
    """(M,) int64: 0 = void, i = the prediction's segment i - 1."""
    shared: np.ndarray
    """(M,) int64: pixels that the pair shares, at least 1."""


def frame_overlap(
    gt_ids: IdMap,
    gt_segments: Sequence[LabelledSegment],
    pred_ids: IdMap,
    pred_segments: Sequence[LabelledSegment],
    *,
    gt_name: str = "truth",
    pred_name: str = "prediction",
) -> Overlap:
    """Compares the id maps of one frame.

    Each map must hold exactly the ids of its list, and void; an error calls it by its name. With a
    tensor on either side, both are counted on that tensor's device.
    """
    if gt_ids.shape != pred_ids.shape:
        raise SourceError(
            f"{pred_name}: size {_size(pred_ids)} differs from {_size(gt_ids)} of {gt_name}; "
            "resize the prediction by nearest neighbour"
        )
    gt, pred = (gt_ids, gt_segments, gt_name), (pred_ids, pred_segments, pred_name)
    if isinstance(gt_ids, np.ndarray) and isinstance(pred_ids, np.ndarray):
        codes, counts = _count(gt, pred)
    else:
        codes, counts = _count_tensors(gt, pred)
    columns = len(pred_segments) + 2
    rows, columns_of = np.divmod(codes, columns)
    gt_areas = _sums(rows, counts, len(gt_segments) + 2)
    pred_areas = _sums(columns_of, counts, columns)
    for (ids, segments, name), areas in ((gt, gt_areas), (pred, pred_areas)):
        check_counts(areas, _as_array(ids, areas), segments, name)
    return Overlap(
        truth=_described(gt_segments, _stated(gt_segments, gt_areas[2:])),
        prediction=_described(pred_segments, pred_areas[2:]),
        truth_at=rows - 1,
        prediction_at=columns_of - 1,
        shared=counts,
    )


def join(overlaps: Sequence[Overlap]) -> Overlap:
    """The overlap of a window: segments of one id become a tube.

    Areas add up; category and crowd are those of the first frame that shows the id, as in the reference.
    """
    if len(overlaps) == 1:
        return overlaps[0]
    truth, truth_places = _join_segments([overlap.truth for overlap in overlaps])
    prediction, prediction_places = _join_segments([overlap.prediction for overlap in overlaps])
    rows = np.concatenate([p[o.truth_at] for p, o in zip(truth_places, overlaps, strict=True)])
    columns = np.concatenate([p[o.prediction_at] for p, o in zip(prediction_places, overlaps, strict=True)])
    num_columns = len(prediction.ids) + 1
    codes, inverse = np.unique(rows * num_columns + columns, return_inverse=True)
    shared = np.concatenate([overlap.shared for overlap in overlaps])
    return Overlap(
        truth=truth,
        prediction=prediction,
        truth_at=codes // num_columns,
        prediction_at=codes % num_columns,
        shared=_sums(inverse, shared, len(codes)),
    )


def _join_segments(frames: Sequence[Segments]) -> tuple[Segments, list[np.ndarray]]:
    """The tubes; and for each frame the place (void and segments -> 0 = void, i = tube i - 1)."""
    ids, first, inverse = np.unique(
        np.concatenate([frame.ids for frame in frames]), return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    place = np.empty(len(ids), np.int64)
    place[order] = np.arange(len(ids))
    tube_of, first = place[inverse], first[order]
    areas = np.concatenate([frame.areas for frame in frames])
    tubes = Segments(
        ids=ids[order],
        categories=np.concatenate([frame.categories for frame in frames])[first],
        crowd=np.concatenate([frame.crowd for frame in frames])[first],
        areas=_sums(tube_of, areas, len(ids)),
    )
    ends = np.cumsum([len(frame.ids) for frame in frames])[:-1]
    return tubes, [np.concatenate([[0], part + 1]) for part in np.split(tube_of, ends)]


def _stated(segments: Sequence[LabelledSegment], counted: np.ndarray) -> np.ndarray:
    """Areas as the truth's file states them, else as counted. Those of predictions are always counted."""
    areas = [
        int(area) if segment.area_px is None else segment.area_px
        for segment, area in zip(segments, counted, strict=True)
    ]
    return np.array(areas, np.int64)


def _described(segments: Sequence[LabelledSegment], areas: np.ndarray) -> Segments:
    return Segments(
        ids=np.array([segment.id for segment in segments], np.int64),
        categories=np.array([segment.category_id for segment in segments], np.int64),
        crowd=np.array([segment.is_crowd for segment in segments], bool),
        areas=areas,
    )


def _count(gt: _Side, pred: _Side) -> tuple[np.ndarray, np.ndarray]:
    """Codes row * columns + column of the pairs that occur, ascending, and their pixels; (M,) int64 each.

    Row and column are the places of a `position_table`.
    """
    columns = len(pred[1]) + 2
    num_codes = (len(gt[1]) + 2) * columns
    truth, gt_table = _flat(gt, columns)
    predicted, pred_table = _flat(pred, 1)
    if num_codes > 4 * max(truth.size, _CHUNK_PX):  # a count per code would be mostly zeros
        found, numbers = np.unique(gt_table[truth] + pred_table[predicted], return_counts=True)
        return found, numbers
    counts = np.zeros(num_codes, np.int64)
    step = max(_CHUNK_PX, num_codes)
    for start in range(0, truth.size, step):
        codes = gt_table[truth[start : start + step]]
        codes += pred_table[predicted[start : start + step]]
        counts += np.bincount(codes, minlength=num_codes)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _flat(side: _Side, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The map as one row, and the table of its ids."""
    ids, segments, name = side
    ids = np.asarray(ids)
    return ids.reshape(-1), position_table(segments, check_map(ids, segments, name), step)


def _count_tensors(gt: _Side, pred: _Side) -> tuple[np.ndarray, np.ndarray]:
    """`_count` on a device: only the pairs leave it."""
    import torch

    device = next(ids.device for ids, _, _ in (gt, pred) if isinstance(ids, torch.Tensor))
    columns = len(pred[1]) + 2
    codes = torch.zeros(tuple(gt[0].shape), dtype=torch.int64, device=device)
    for (ids, segments, name), step in ((gt, columns), (pred, 1)):
        on_device = torch.as_tensor(ids, device=device)
        kind = on_device.dtype
        if on_device.ndim != 2 or kind.is_floating_point or kind.is_complex or kind == torch.bool:
            shape = tuple(on_device.shape)
            raise SourceError(f"{name}: a map of ids must be (H, W) integers, got {shape} {kind}")
        on_device = on_device.long()  # also because unsigned tensors have no extremes
        extremes = on_device.aminmax() if on_device.numel() else (0, 0)
        largest = check_map(np.array([[int(extreme) for extreme in extremes]]), segments, name)
        codes += torch.from_numpy(position_table(segments, largest, step)).to(device)[on_device]
    found, counts = torch.unique(codes, return_counts=True)
    return found.cpu().numpy(), counts.cpu().numpy()


def _sums(places: np.ndarray, pixels: np.ndarray, length: int) -> np.ndarray:
    """Pixels summed by place, (length,) int64; float64 inside, which is exact up to 2^53 pixels."""
    return np.bincount(places, weights=pixels, minlength=length).astype(np.int64)


def _as_array(ids: IdMap, areas: np.ndarray) -> np.ndarray:
    """The map for an error's sake; brought from a device only if there is one."""
    if isinstance(ids, np.ndarray):
        return ids
    return np.asarray(ids.cpu()) if areas[0] else np.empty(0, np.int64)


def _size(ids: IdMap) -> str:
    return "x".join(str(length) for length in reversed(ids.shape))
