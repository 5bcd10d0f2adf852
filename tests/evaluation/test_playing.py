"""How labelled videos are played: files that give back every bit, and frames left out."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.errors import SourceError, UsageError
from evaluation.playing import VARIANTS, Variant, check_codec, prepare, write_video
from evaluation.video_set import open_video_set
from tests.evaluation.video_sets import write_video_set


def pictures(folder: Path, count: int) -> list[Path]:
    """Pictures of noise, odd in both sides."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (33, 47, 3), np.uint8))
    return paths


def test_a_lossless_video_gives_back_every_bit_at_its_own_time(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 5)
    write_video(paths, [0, 1, 4], tmp_path / "v.mkv", "ffv1")
    with av.open(str(tmp_path / "v.mkv")) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.4])
    for frame, position in zip(frames, (0, 1, 4), strict=True):
        assert (frame.to_ndarray(format="bgr24") == cv2.imread(str(paths[position]))).all()


def test_a_stride_processes_every_second_frame_from_the_first() -> None:
    assert Variant(name="stride-2", stride=2).processed(0, 5) == [0, 2, 4]


def test_drops_are_about_as_many_as_asked_for_and_the_same_in_every_run() -> None:
    variant = Variant(name="drop-30", drop_percent=30)
    kept = variant.processed(3, 10_000)
    assert 0.69 < len(kept) / 10_000 < 0.71
    assert kept == variant.processed(3, 10_000)
    assert kept != variant.processed(4, 10_000)


def test_every_variant_plays_every_video(tmp_path: Path) -> None:
    _, videos = open_video_set(write_video_set(tmp_path / "set", {"a": 4, "b": 3}))
    played = prepare(videos, tmp_path, "ffv1")
    assert [(one.variant.name, one.video.name) for one in played] == [
        (variant.name, name) for name in ("a", "b") for variant in VARIANTS
    ]
    names = [one.source.name for one in played if one.source is not None]
    assert len(set(names)) == len(names)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown codec 'vp9'; use ffv1 or h264"):
        check_codec("vp9")


def test_frames_without_labels_are_played_too(tmp_path: Path) -> None:
    _, (video,) = open_video_set(write_video_set(tmp_path, {"a": 5}, labelled_every=2))
    assert [path.name for path in video.pictures] == [f"a_{number}.png" for number in range(5)]
    assert sorted(video.labels) == [0, 2, 4]


def test_a_picture_that_is_named_but_missing_is_an_error(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2})
    (root / "images" / "a_1.png").unlink()
    with pytest.raises(SourceError, match=r"a_1\.png: no such file, but panoptic\.json names it"):
        open_video_set(root)
