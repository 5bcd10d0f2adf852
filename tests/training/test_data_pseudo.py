"""Pseudo-labels: what the two teachers are sure of, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from models.weights import save_weights
from tests.media import make_audio_only, make_video
from tests.training.learning import random_network, tiny_settings
from training.data import pseudo
from training.data.packed import PackedSet
from training.data.packing import segment_id
from training.data.teacher import TeacherObject

ROAD, SKY, PERSON, RIDER, CAR = 0, 10, 11, 12, 13
SIZE = (48, 64)


def _probabilities(best: int, confidence: float) -> np.ndarray:
    """The same for every pixel."""
    rest = (1 - confidence) / (len(CITYSCAPES) - 1)
    probabilities = np.full((len(CITYSCAPES), *SIZE), rest, np.float32)
    probabilities[best] = confidence
    return probabilities


def _object(category_id: int, score: float = 0.9) -> TeacherObject:
    mask = np.zeros(SIZE, bool)
    mask[10:30, 10:30] = True
    return TeacherObject(category_id=category_id, score=score, mask=mask)


@pytest.mark.parametrize(
    ("best", "confidence", "around"),
    [(ROAD, 0.8, segment_id(ROAD, 0)), (ROAD, 0.7, 0), (CAR, 0.99, 0)],
)
def test_stuff_that_is_sure_is_labelled_and_a_thing_that_no_object_explains_is_void(
    best: int, confidence: float, around: int
) -> None:
    ids = pseudo.label(_probabilities(best, confidence), [_object(CAR)])
    assert ids[20, 20] == segment_id(CAR, 1)
    assert ids[40, 40] == around


def test_a_doubted_object_is_void() -> None:
    ids = pseudo.label(_probabilities(SKY, 0.9), [_object(CAR, score=0.2)])
    assert ids[20, 20] == 0
    assert ids[40, 40] == segment_id(SKY, 0)


def test_a_person_whom_the_model_takes_for_a_rider_is_one() -> None:
    assert pseudo.label(_probabilities(RIDER, 0.6), [_object(PERSON)])[20, 20] == segment_id(RIDER, 1)
    assert pseudo.label(_probabilities(ROAD, 0.6), [_object(PERSON)])[20, 20] == segment_id(PERSON, 1)


def test_one_frame_in_so_many_of_each_clip_is_for_training(tmp_path: Path) -> None:
    clips = [make_video(tmp_path / f"{name}.mp4", num_frames=5, size=SIZE) for name in ("a", "b")]
    pseudo.convert(clips, tmp_path / "out", 2, lambda _: _probabilities(SKY, 0.9), lambda _: [_object(CAR)])
    written = PackedSet(tmp_path / "out", "train", CITYSCAPES)
    assert written.names() == [f"{clip}_{n:06d}" for clip in "ab" for n in (0, 2, 4)]
    assert (written[0].class_map[20, 20], written[0].class_map[40, 40]) == (CAR, SKY)
    assert not (tmp_path / "out" / "val").exists()


def test_a_clip_that_is_none_is_named_before_anything_is_written(tmp_path: Path) -> None:
    clips = [make_video(tmp_path / "a.mp4", num_frames=2, size=SIZE), make_audio_only(tmp_path / "b.m4a")]
    with pytest.raises(SourceError, match=r"b\.m4a: has no video track"):
        pseudo.convert(clips, tmp_path / "out", 1, lambda _: _probabilities(SKY, 0.9), lambda _: [])
    with pytest.raises(SourceError, match=r"a\.mp4: two clips have this name"):
        pseudo.convert([clips[0]] * 2, tmp_path / "out", 1, lambda _: _probabilities(SKY, 0.9), lambda _: [])
    with pytest.raises(SourceError, match=r"\*\.mp4: no such file"):
        pseudo.convert(
            [tmp_path / "*.mp4"], tmp_path / "out", 1, lambda _: _probabilities(SKY, 0.9), lambda _: []
        )
    assert not (tmp_path / "out").exists()


def test_the_semantic_teacher_sees_a_mirrored_picture_mirrored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_settings([f"model.weights={tmp_path / 'w.safetensors'}"])
    save_weights(random_network(settings), tmp_path / "w.safetensors")
    # a size that needs no padding, which is not symmetrical
    monkeypatch.setattr(pseudo, "SCALES", (1.0,))
    teacher = pseudo.SemanticTeacher(settings)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    probabilities = teacher(image)
    assert probabilities.shape == (19, 64, 96)
    np.testing.assert_allclose(probabilities.sum(0), 1.0, atol=1e-4)
    mirrored = teacher(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_allclose(mirrored[:, :, ::-1], probabilities, atol=1e-4)


def test_a_missing_preset_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pseudo.main(["--clip", "x.mp4", "--out", str(tmp_path), "--config", "moon"]) == 2
    message = capsys.readouterr().err
    assert "moon" in message
    assert message.count("\n") == 1
