from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.schema import InputSettings, Settings
from stages import hardware
from stages.decode import DecodeStage
from stages.hardware import decoder
from stages.messages import Frame
from stages.source import Source, probe
from tests.media import make_video

CUDA = InputSettings(hwaccel="cuda")
has_card = torch.cuda.is_available()


def frames_of(source: Source) -> list[Frame]:
    stage, cursor = DecodeStage(Settings()), None
    frames: list[Frame] = []
    while True:
        frame, cursor = stage(source, cursor)
        if frame is None:
            return frames
        frames.append(frame)


@pytest.mark.skipif(has_card, reason="there is a card")
def test_without_a_card_the_processor_decodes_and_a_line_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=3)
    on_processor = Source(name="clip", kind="video", paths=(str(path),))
    hardware._is_there.cache_clear()
    with caplog.at_level(logging.WARNING):
        frames = frames_of(replace(on_processor, rules=CUDA))
    for here, there in zip(frames_of(on_processor), frames, strict=True):
        assert np.array_equal(here.image, there.image)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, "once a process"
    assert all("there is no cuda here" in line and "the processor decodes" in line for line in said)


@pytest.mark.gpu
@pytest.mark.skipif(not has_card, reason="needs a CUDA device")
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_card_decodes_the_same_pictures(tmp_path: Path, codec: str) -> None:
    path = make_video(tmp_path / "clip.mp4", num_frames=20, size=(256, 448), codec=codec, b_frames=2)
    on_processor = Source(name="clip", kind="video", paths=(str(path),))
    on_card = replace(on_processor, rules=CUDA)
    assert decoder(CUDA) is not None
    assert probe(on_card) == probe(on_processor)
    assert len(frames_of(on_card)) == 20
    for here, there in zip(frames_of(on_processor), frames_of(on_card), strict=True):
        assert here.pts == there.pts
        assert np.abs(here.image.astype(int) - there.image).max() <= 2


@pytest.mark.gpu
@pytest.mark.skipif(not has_card, reason="needs a CUDA device")
def test_what_the_card_does_not_know_is_decoded_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_video(tmp_path / "clip.mkv", num_frames=3, codec="ffv1")
    with caplog.at_level(logging.WARNING):
        probe(Source(name="clip", kind="video", paths=(str(path),), rules=CUDA))
    assert "decodes no ffv1" in caplog.text
