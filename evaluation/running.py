"""Quality of the pipeline as it runs, from decoding to what is on disk, beside that of the model alone.

Every video of a set is played as a file: whole, with a stride, and with frames dropped at random. The model
alone gets the same pictures one after the other, without decoder, executor and files. On lossless files
both must give the same figures: any difference is a defect of the pipeline.

Where frames are left out, two questions are answered. "processed": how good are the maps that were made?
Only labelled frames that were processed are judged. "held": how good is what a viewer sees at every moment?
All labelled frames are judged; one that was not processed shows the last map made before it, void if none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from fractions import Fraction
from pathlib import Path

import numpy as np

from configs.categories import Category
from configs.errors import SourceError
from configs.schema import Settings
from evaluation.evaluate import Evaluation, Evaluator
from evaluation.formats.coco import open_coco
from evaluation.formats.labelled import LabelledFrame, LabelledSet, Labels
from evaluation.overlap import frame_overlap
from evaluation.playing import VARIANTS, WHOLE, Codec, Played, prepare
from evaluation.segments import predicted_segments
from evaluation.video_set import LabelledVideo, open_video_set
from stages.messages import Frame
from stages.picture_reader import read_picture
from stages.results import Layout
from stages.source import Source
from stages.whole_model import WholeModel

METRICS = ("pq", "vpq", "stq")
_ALIKE = 0.9

Play = Callable[[Sequence[Source], Path], None]
"""Runs all sources through the pipeline into <folder>/<source name>; raises if one is not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningQuality:
    """What `evaluate_running` finds."""

    model: Evaluation
    """Of the model alone, on all labelled frames."""
    processed: dict[str, Evaluation]
    """By the variant's name."""
    held: dict[str, Evaluation]
    """The same, without the one that plays everything."""


def evaluate_running(
    data: Path,
    settings: Settings,
    play: Play,
    folder: Path,
    *,
    windows: Sequence[int],
    codec: Codec = "ffv1",
    on_video: Callable[[int, int], None] = lambda done, total: None,
) -> RunningQuality:
    """Plays the set `data`; `folder` gets what is played and what comes out of it.

    `on_video` hears how many videos of how many the model alone is done with.
    """
    labels, videos = open_video_set(data)
    _check_categories(labels, settings.categories)
    (folder / "played").mkdir(parents=True, exist_ok=True)
    played = prepare(videos, folder / "played", codec)
    play([one.source for one in played if one.source is not None], folder / "results")

    def evaluator() -> Evaluator:
        return Evaluator(labels.categories, METRICS, windows)

    processed = {variant.name: evaluator() for variant in VARIANTS}
    held = {variant.name: evaluator() for variant in VARIANTS if variant != WHOLE}
    for one in played:
        results = _Results(one, folder / "results", labels)
        _judge(one.video, labels, results.made, processed[one.variant.name])
        if one.variant != WHOLE:
            _judge(one.video, labels, results.shown, held[one.variant.name], void_if_none=True)
    model, alone = evaluator(), WholeModel(settings)
    for done, video in enumerate(videos, 1):
        _judge_model(video, labels, alone, settings.categories, model)
        on_video(done, len(videos))
    return RunningQuality(
        model=model.result(),
        processed={name: one.result() for name, one in processed.items()},
        held={name: one.result() for name, one in held.items()},
    )


def _check_categories(labels: LabelledSet, model: Sequence[Category]) -> None:
    """SourceError unless every category of the model is one of the set, and means the same there."""
    known = {category.id: category for category in labels.categories}
    for category in model:
        other = known.get(category.id)
        if other is None or other.is_thing != category.is_thing or not _alike(other.name, category.name):
            found = f"{other.name!r} ({'thing' if other.is_thing else 'stuff'})" if other else "nothing"
            raise SourceError(
                f"{labels.source}: category {category.id} is {found}, but the model's is {category.name!r} "
                f"({'thing' if category.is_thing else 'stuff'}); write the labels in the model's categories"
            )


def _alike(name: str, other: str) -> bool:
    """Whether two names differ in spelling at most: Cityscapes-VPS has "vegitation"."""
    return SequenceMatcher(None, name.lower(), other.lower()).ratio() >= _ALIKE


class _Results:
    """What a run left on disk, by position in the video."""

    def __init__(self, played: Played, folder: Path, truth: LabelledSet) -> None:
        self._played = played
        self._frames: dict[int, LabelledFrame] = {}
        if played.source is None:
            return
        layout = Layout(folder / played.source.name)
        self._set = open_coco(layout.panoptic, layout.pictures, truth.categories)
        frames = self._set.frames
        if len(frames) != len(played.processed):
            raise SourceError(
                f"{layout.directory}: {len(frames)} frames came out of {played.source.label}, "
                f"which has {len(played.processed)}"
            )
        self._frames = dict(zip(played.processed, frames, strict=True))

    def made(self, position: int) -> Labels | None:
        """The labels of a frame that was processed; None for another."""
        frame = self._frames.get(position)
        return self._set.read(frame) if frame is not None else None

    def shown(self, position: int) -> Labels | None:
        """Those of the last frame that was processed up to there; None if there is none."""
        last = self._played.last_until(position)
        return None if last is None else self.made(last)


def _judge(
    video: LabelledVideo,
    truth: LabelledSet,
    labels_at: Callable[[int], Labels | None],
    evaluator: Evaluator,
    *,
    void_if_none: bool = False,
) -> None:
    """A labelled frame of which there is no map is left out, or taken as all void."""
    for position, label in video.labels.items():
        labels = labels_at(position)
        if labels is not None or void_if_none:
            _compare(truth, label, labels, evaluator)


def _judge_model(
    video: LabelledVideo,
    truth: LabelledSet,
    model: WholeModel,
    categories: Sequence[Category],
    evaluator: Evaluator,
) -> None:
    past = None
    for index, path in enumerate(video.pictures):
        frame = Frame(
            index=index, pts=index, time_base=Fraction(1, 10), duration=1, image=read_picture(str(path))
        )
        panoptic, past = model(frame, past)
        if index in video.labels:
            _compare(truth, video.labels[index], predicted_segments(panoptic, categories), evaluator)


def _compare(truth: LabelledSet, label: LabelledFrame, labels: Labels | None, evaluator: Evaluator) -> None:
    gt_ids, gt_segments = truth.read(label)
    pred_ids, pred_segments = labels if labels is not None else (np.zeros_like(gt_ids), ())
    names = {"gt_name": str(label.path), "pred_name": f"result of {label.file_name}"}
    evaluator.add(label.video, frame_overlap(gt_ids, gt_segments, pred_ids, pred_segments, **names))
