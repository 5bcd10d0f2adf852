"""Pairs the frames of a truth with those of a prediction, by what they are called, never by their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from configs.errors import SourceError
from evaluation.formats.labelled import LabelledFrame, LabelledSet

Pair = tuple[LabelledFrame, LabelledFrame]
"""Of the truth and of the prediction."""

_Name = Callable[[LabelledFrame], str]
_FILE_NAMES: tuple[_Name, ...] = (lambda frame: frame.file_name, lambda frame: frame.stem)
_NAMES: tuple[_Name, ...] = (
    lambda frame: frame.image_id,
    lambda frame: f"{frame.video}/{frame.id_in_video}",
    *_FILE_NAMES,
)
"""What frames may have in common: the image id, or failing that the file name of the map."""
_MOST_SHOWN = 5


def pair_frames(truth: LabelledSet, prediction: LabelledSet) -> list[Pair]:
    """Every frame of the truth, in its order, with the prediction's frame of the same name.

    SourceError names the frames that only one of them has.
    """
    if not truth.frames:
        raise SourceError(f"{truth.source}: has no annotation, so there is nothing to compare with")
    best: tuple[int, dict[str, LabelledFrame], dict[str, LabelledFrame]] | None = None
    for name in _NAMES:
        in_truth, in_prediction = _by_name(truth.frames, name), _by_name(prediction.frames, name)
        if in_truth is None or in_prediction is None:
            continue
        if in_truth.keys() == in_prediction.keys():
            pairs = [(frame, in_prediction[key]) for key, frame in in_truth.items()]
            _check_agreement(prediction.source, pairs)
            return pairs
        common = len(in_truth.keys() & in_prediction.keys())
        if best is None or common > best[0]:
            best = common, in_truth, in_prediction
    assert best is not None, "image ids are unique in a set"
    _, in_truth, in_prediction = best
    raise SourceError(_differing(prediction.source, in_truth, in_prediction))


def _check_agreement(source: Path, pairs: list[Pair]) -> None:
    """SourceError if the file names, or the stems, are the same as well, but pair other frames."""
    for name in _FILE_NAMES:
        by_name = _by_name([found for _, found in pairs], name)
        if by_name is None:  # names that count anew in each video
            continue
        for expected, found in pairs:
            if name(found) != name(expected) and name(expected) in by_name:
                raise SourceError(
                    f"{source}: image {found.image_id} is {found.file_name}, but {expected.file_name} in the "
                    "truth; write the truth's image_id to each file_name"
                )


def _by_name(frames: Sequence[LabelledFrame], name: _Name) -> dict[str, LabelledFrame] | None:
    """None if the name does not tell the frames apart."""
    named = {name(frame): frame for frame in frames}
    return named if len(named) == len(frames) else None


def _differing(
    source: Path, truth: Mapping[str, LabelledFrame], prediction: Mapping[str, LabelledFrame]
) -> str:
    missing = [_shown(name, frame) for name, frame in truth.items() if name not in prediction]
    surplus = [_shown(name, frame) for name, frame in prediction.items() if name not in truth]
    parts = []
    if missing:
        parts.append(f"lacks {_listed(missing)} of the truth")
    if surplus:
        parts.append(f"has {_listed(surplus)} that the truth has not")
    return f"{source}: {' and '.join(parts)}; frames are paired by image id, or by file name"


def _shown(name: str, frame: LabelledFrame) -> str:
    """The file is named as well where the image id does not say it."""
    return name if PurePosixPath(name).stem == frame.stem else f"{name}: {frame.file_name}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_SHOWN])
    more = ", ..." if len(names) > _MOST_SHOWN else ""
    return f"{len(names)} frame{'s' if len(names) > 1 else ''} ({shown}{more})"
