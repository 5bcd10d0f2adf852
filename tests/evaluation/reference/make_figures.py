"""Runs the reference implementations on the cases and writes figures.json; by hand, never by a test.

    python -m tests.evaluation.reference.make_figures \\
        --panopticapi DIR --vps DIR --deeplab2 DIR --trackeval DIR

Each DIR is a checkout of:

    panopticapi  github.com/cocodataset/panopticapi    7bb4655548f98f3fedc07bf37e9040a992b054b0  PQ
    vps          github.com/mcahny/vps                 138503edbc9e70de744dc0c9fa4b71c799a94d5d  VPQ
    deeplab2     github.com/google-research/deeplab2   64bc1c1a6505b6cd1779b65f9127180840b8a4fa  STQ
    trackeval    github.com/JonathonLuiten/TrackEval   12c8791b303e0a0b50f753af204249e622d0281a  HOTA, IDF1

They are run as they are, but for two things. deeplab2 adds its pixels in float32, which is good for seven
digits; its source is read here with float64 in that place. TrackEval asks for numpy's old names of
Python's own types. TrackEval knows nothing of panoptic maps: what it is given, IoU between the objects
of one class and no prediction that is excused, is counted here mask by mask.

The digest beside them tells a changed case from a changed measure.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import sys
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from PIL import Image

from evaluation.identity import MEASURES
from evaluation.segments import LabelledSegment
from tests.evaluation.reference.cases import NUM_CASES, WINDOWS, Case, CaseFrame, Labelled, draw_case

FIGURES = Path(__file__).with_name("figures.json")

_VOID_CLASS = 255
_INSTANCE_BITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The loaded implementations."""

    panopticapi: ModuleType
    vps: ModuleType
    deeplab2: ModuleType
    hota: Any
    """Its metric objects."""
    identity: Any


class _ClassCounts(Protocol):
    tp: int
    fp: int
    fn: int
    iou: float


class _Counts(Protocol):
    """What panopticapi and VPSNet call PQStat."""

    def __getitem__(self, category: int) -> _ClassCounts: ...

    def pq_average(
        self, categories: dict[int, dict[str, Any]], isthing: bool | None
    ) -> tuple[dict[str, Any], object]: ...


def load(*, panopticapi: Path, vps: Path, deeplab2: Path, trackeval: Path) -> References:
    """Loads each from its checkout."""
    vars(np).update(float=float, int=int)
    sys.path[:0] = [str(panopticapi), str(vps / "tools"), str(trackeval)]
    stq = deeplab2 / "evaluation" / "numpy" / "segmentation_and_tracking_quality.py"
    metrics = importlib.import_module("trackeval.metrics")
    return References(
        panopticapi=importlib.import_module("panopticapi.evaluation"),
        vps=importlib.import_module("eval_vpq"),
        deeplab2=_in_float64(stq),
        hota=metrics.HOTA(),
        identity=metrics.Identity({"PRINT_CONFIG": False}),
    )


def _in_float64(path: Path) -> ModuleType:
    source = path.read_text()
    assert source.count("np.float32") == 1
    module = ModuleType("stq_in_float64")
    exec(compile(source.replace("np.float32", "np.float64"), str(path), "exec"), module.__dict__)
    return module


def figures(case: Case, references: References) -> dict[str, Any]:
    """Everything that the references say of a case."""
    with contextlib.redirect_stdout(io.StringIO()):
        return {
            "pq": _pq(case, references.panopticapi),
            "vpq": {str(length): _vpq(case, references.vps, length) for length in WINDOWS},
            "stq": _stq(case, references.deeplab2),
            "identity": _identity(case, references),
        }


def _pq(case: Case, panopticapi: ModuleType) -> dict[str, Any]:
    categories = _reference_categories(case)
    with tempfile.TemporaryDirectory() as folder:
        annotations = []
        for number, frame in enumerate(case.frames):
            pair = []
            for side, (ids, segments) in (("truth", frame.truth), ("guess", frame.prediction)):
                name = f"{side}{number}.png"
                Image.fromarray(_rgb(ids)).save(Path(folder, name))
                pair.append({"image_id": number, "file_name": name, **_annotation(ids, segments)})
            annotations.append(tuple(pair))
        counts = panopticapi.pq_compute_single_core(0, annotations, folder, folder, categories)
    return _panoptic(counts, categories)


def _vpq(case: Case, vps: ModuleType, length: int) -> dict[str, Any]:
    categories, counts = _reference_categories(case), vps.PQStat()
    for frames in _by_video(case).values():
        counts += vps.vpq_compute_single_core([_vps_frame(f) for f in frames], categories, nframes=length)
    return _panoptic(counts, categories)


def _vps_frame(frame: CaseFrame) -> tuple[Any, ...]:
    (truth, guess) = frame.truth, frame.prediction
    return (_annotation(*truth), _annotation(*guess), _rgb(truth[0]), _rgb(guess[0]), {})


def _panoptic(counts: _Counts, categories: dict[int, dict[str, Any]]) -> dict[str, Any]:
    per_class = {}
    for number in categories:
        found = counts[number]
        if found.tp + found.fp + found.fn:
            per_class[str(number)] = [found.tp, found.fp, found.fn, float(found.iou)]
    result: dict[str, Any] = {"per_class": per_class}
    for group, is_thing in (("all", None), ("things", True), ("stuff", False)):
        try:
            mean, _ = counts.pq_average(categories, is_thing)
        except ZeroDivisionError:
            result[group] = None
        else:
            result[group] = [float(mean[key]) for key in ("pq", "sq", "rq")] + [mean["n"]]
    return result


def _stq(case: Case, deeplab2: ModuleType) -> dict[str, Any]:
    places = {category.id: place for place, category in enumerate(case.categories)}
    things = [place for place, category in enumerate(case.categories) if category.is_thing]
    measure = deeplab2.STQuality(len(places), things, _VOID_CLASS, _INSTANCE_BITS, 1 << 24)
    for video, frames in _by_video(case).items():
        truth_numbers = _instances([frame.truth for frame in frames])
        guess_numbers = _instances([frame.prediction for frame in frames])
        for frame in frames:
            measure.update_state(
                _class_and_instance(frame.truth, places, things, truth_numbers),
                _class_and_instance(frame.prediction, places, things, guess_numbers),
                video,
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 of a video without a labelled pixel
        found = measure.result()
    each = zip(found["ID_per_seq"], *(found[f"{key}_per_seq"] for key in ("STQ", "AQ", "IoU")), strict=True)
    return {
        "total": _numbers(found[key] for key in ("STQ", "AQ", "IoU")),
        "per_video": {video: _numbers(values) for video, *values in each},
    }


def _instances(labelled: Sequence[Labelled]) -> dict[int, int]:
    """Ids of a video, numbered from 1 so that they fit 16 bits."""
    ids = {segment.id for _, segments in labelled for segment in segments}
    return {number: place for place, number in enumerate(sorted(ids), 1)}


def _class_and_instance(
    labelled: Labelled, places: dict[int, int], things: Sequence[int], numbers: dict[int, int]
) -> np.ndarray:
    ids, segments = labelled
    label = np.full(ids.shape, _VOID_CLASS << _INSTANCE_BITS, np.int64)
    for segment in segments:
        place = places[segment.category_id]
        instance = 0 if segment.is_crowd and place in things else numbers[segment.id]
        label[ids == segment.id] = (place << _INSTANCE_BITS) + instance
    return label


def _identity(case: Case, references: References) -> dict[str, Any]:
    result = {}
    for category in case.categories:
        if not category.is_thing:
            continue
        hota, identity = {}, {}
        for video, frames in _by_video(case).items():
            tracks = _tracks(frames, category.id)
            hota[video] = references.hota.eval_sequence(tracks)
            identity[video] = references.identity.eval_sequence(tracks)
        found = references.hota.combine_sequences(hota) | references.identity.combine_sequences(identity)
        if (found["HOTA_TP"] + found["HOTA_FN"] + found["HOTA_FP"]).any():
            result[str(category.id)] = [float(np.mean(found[measure])) for measure in MEASURES]
    return result


def _tracks(frames: Sequence[CaseFrame], category: int) -> dict[str, Any]:
    """The objects of a class as TrackEval wants them: numbered from 0."""
    truth, guesses, similarity = [], [], []
    for frame in frames:
        (truth_ids, truth_segments), (guess_ids, guess_segments) = frame.truth, frame.prediction
        of_class = [segment for segment in truth_segments if segment.category_id == category]
        objects = [segment for segment in of_class if not segment.is_crowd]
        ignored = np.isin(truth_ids, [0, *(segment.id for segment in of_class if segment.is_crowd)])
        masks = [truth_ids == segment.id for segment in objects]
        columns, kept = [], []
        for segment in guess_segments:
            if segment.category_id != category:
                continue
            mask = guess_ids == segment.id
            iou = [(mask & other).sum() / (mask | other).sum() for other in masks]
            if max(iou, default=0.0) >= 0.5 or (mask & ignored).sum() / mask.sum() <= 0.5:
                columns.append(iou)
                kept.append(segment)
        truth.append(objects)
        guesses.append(kept)
        similarity.append(np.array(columns, np.float64).reshape(len(kept), len(objects)).T)
    gt_ids, num_gt_ids = _from_zero(truth)
    tracker_ids, num_tracker_ids = _from_zero(guesses)
    return {
        "gt_ids": gt_ids,
        "tracker_ids": tracker_ids,
        "similarity_scores": similarity,
        "num_gt_ids": num_gt_ids,
        "num_tracker_ids": num_tracker_ids,
        "num_gt_dets": sum(len(ids) for ids in gt_ids),
        "num_tracker_dets": sum(len(ids) for ids in tracker_ids),
    }


def _from_zero(frames: Sequence[Sequence[LabelledSegment]]) -> tuple[list[np.ndarray], int]:
    numbers = {i: n for n, i in enumerate(sorted({segment.id for frame in frames for segment in frame}))}
    return [np.array([numbers[segment.id] for segment in frame], np.int64) for frame in frames], len(numbers)


def _by_video(case: Case) -> dict[str, list[CaseFrame]]:
    videos: dict[str, list[CaseFrame]] = {}
    for frame in case.frames:
        videos.setdefault(frame.video, []).append(frame)
    return videos


def _reference_categories(case: Case) -> dict[int, dict[str, Any]]:
    return {c.id: {"id": c.id, "name": c.name, "isthing": int(c.is_thing)} for c in case.categories}


def _annotation(ids: np.ndarray, segments: Sequence[LabelledSegment]) -> dict[str, Any]:
    """What the JSON says of a map: areas as the case states them, else as counted."""
    return {
        "segments_info": [
            {
                "id": segment.id,
                "category_id": segment.category_id,
                "iscrowd": int(segment.is_crowd),
                "area": int((ids == segment.id).sum()) if segment.area_px is None else segment.area_px,
            }
            for segment in segments
        ]
    }


def _rgb(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def _numbers(values: Iterable[float]) -> list[float | None]:
    """JSON has no NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def main() -> None:
    """Writes one line a case, so that a change of one is seen as one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("panopticapi", "vps", "deeplab2", "trackeval"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR")
    references = load(**vars(parser.parse_args()))
    cases = [draw_case(seed) for seed in range(NUM_CASES)]
    lines = [
        json.dumps({"digest": case.digest, "figures": figures(case, references)}, allow_nan=False)
        for case in cases
    ]
    FIGURES.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
