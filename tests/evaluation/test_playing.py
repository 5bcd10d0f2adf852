"""How labelled videos are played: files that give back every bit, and frames left out."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.errors import SourceError, UsageError
from evaluation.formats.id_png import write_ids
from evaluation.playing import VARIANTS, Played, Variant, check_codec, prepare, write_video
from evaluation.video_set import LabelledVideo, open_video_set
from tests.evaluation.video_sets import write_video_set


def pictures(folder: Path, count: int, size: tuple[int, int] = (33, 47)) -> list[Path]:
    """Pictures of noise; odd in both sides, if no size is given."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        cv2.imwrite(str(path), rng.integers(0, 256, (*size, 3), np.uint8))
    return paths


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0)]


def test_the_last_frame_until_a_position_is_held() -> None:
    video = LabelledVideo(name="a", pictures=(), labels={})
    played = Played(variant=VARIANTS[1], video=video, source=None, processed=(1, 3, 4))
    assert [played.last_until(position) for position in range(6)] == [None, 1, 1, 3, 4, 4]


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


def test_h264_is_the_same_to_the_byte_every_time_and_needs_even_sides(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 12, (34, 48))
    for name in ("once.mkv", "twice.mkv"):
        write_video(paths, range(12), tmp_path / name, "h264")
    assert packets(tmp_path / "once.mkv") == packets(tmp_path / "twice.mkv")
    with pytest.raises(SourceError, match=r"0\.png: is 47x33; h264 needs even sides"):
        write_video(pictures(tmp_path, 1, (33, 47)), [0], tmp_path / "odd.mkv", "h264")


def test_pictures_of_two_sizes_are_no_video(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 2)
    cv2.imwrite(str(paths[1]), np.zeros((33, 40, 3), np.uint8))
    with pytest.raises(SourceError, match=r"1\.png: is 40x33, but .*0\.png is 47x33"):
        write_video(paths, [0, 1], tmp_path / "v.mkv", "ffv1")


def test_labels_of_another_size_are_named_before_anything_is_played(tmp_path: Path) -> None:
    root = write_video_set(tmp_path / "set", {"a": 2})
    write_ids(root / "panoptic" / "a_1.png", np.ones((32, 48), np.int32))
    _, videos = open_video_set(root)
    with pytest.raises(SourceError, match=r"a_1\.png: is 48x32, but .* is 96x64"):
        prepare(videos, tmp_path, "ffv1")
    assert not list(tmp_path.glob("*.mkv"))


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown codec 'vp9'; use ffv1 or h264"):
        check_codec("vp9")


def test_frames_without_labels_are_played_too(tmp_path: Path) -> None:
    _, (video,) = open_video_set(write_video_set(tmp_path, {"a": 5}, labelled_every=2))
    assert [path.name for path in video.pictures] == [f"a_{number}.png" for number in range(5)]
    assert sorted(video.labels) == [0, 2, 4]


@pytest.mark.parametrize("name", ["clip_{}.png", "clip/{:04d}.png", "clip/frame_{}.png"])
def test_pictures_without_labels_belong_to_the_video_whose_names_begin_alike(
    tmp_path: Path, name: str
) -> None:
    root = write_video_set(tmp_path, {"a": 4, "b": 4}, labelled_every=3)
    description = json.loads((root / "panoptic.json").read_text())
    renamed = {}
    for video, letter in (("a", "x"), ("b", "y")):
        for number in range(4):
            new = name.format(number).replace("clip", letter)
            (root / "images" / new).parent.mkdir(exist_ok=True)
            (root / "images" / f"{video}_{number}.png").rename(root / "images" / new)
            renamed[f"{video}_{number}.png"] = new
    for image in description["images"]:
        image["file_name"] = renamed[image["file_name"]]
    for annotation in description["annotations"]:
        annotation["video_id"] = f"video {annotation['file_name'][0]}"
    (root / "panoptic.json").write_text(json.dumps(description))
    _, videos = open_video_set(root)
    assert [(video.name, len(video.pictures)) for video in videos] == [("video a", 4), ("video b", 4)]


def rewrite(root: Path, images: list[dict[str, object]], annotations: list[dict[str, object]]) -> None:
    """Changes the entries of a set of one video, in their order."""
    description = json.loads((root / "panoptic.json").read_text())
    for part, changes in (("images", images), ("annotations", annotations)):
        for entry, change in zip(description[part], changes, strict=True):
            entry.update(change)
    (root / "panoptic.json").write_text(json.dumps(description))


def test_ids_that_count_anew_are_told_apart_by_the_video(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2, "b": 2}, labelled_every=2)
    ids: list[dict[str, object]] = [{"id": i, "video_id": v} for v in "ab" for i in (0, 1)]
    rewrite(root, ids, [{"image_id": 0, "video_id": "a"}, {"image_id": 0, "video_id": "b"}])
    description = json.loads((root / "panoptic.json").read_text())
    del description["annotations"][0]  # now no id is labelled twice
    description["images"] = description["images"][1:]
    (root / "panoptic.json").write_text(json.dumps(description))
    with pytest.raises(SourceError, match=r"a_1\.png belongs to no labelled video"):
        open_video_set(root)
    description["images"] = description["images"][1:]
    (root / "panoptic.json").write_text(json.dumps(description))
    _, (video,) = open_video_set(root)
    assert (video.name, [path.name for path in video.pictures]) == ("b", ["b_0.png", "b_1.png"])


def test_a_video_id_that_only_the_image_has_must_not_disagree(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2})
    rewrite(root, [{"video_id": "drive"}] * 2, [{}, {}])
    with pytest.raises(SourceError, match=r"a_0\.png has video_id 'drive', but its annotation is of 'a'"):
        open_video_set(root)


def test_an_image_listed_twice_is_refused(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2}, labelled_every=2)
    rewrite(root, [{}, {"file_name": "a_0.png"}], [{}])
    with pytest.raises(SourceError, match=r"a_0\.png is listed 2 times"):
        open_video_set(root)


def test_frames_are_played_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _, (video,) = open_video_set(write_video_set(tmp_path, {"a": 12}))
    assert [path.stem for path in video.pictures] == [f"a_{number}" for number in range(12)]


def test_pictures_of_no_labelled_video_are_refused(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2, "b": 2})
    description = json.loads((root / "panoptic.json").read_text())
    description["annotations"] = description["annotations"][:2]
    (root / "panoptic.json").write_text(json.dumps(description))
    with pytest.raises(SourceError, match=r"b_0\.png belongs to no labelled video"):
        open_video_set(root)
    description["annotations"] = []
    (root / "panoptic.json").write_text(json.dumps(description))
    with pytest.raises(SourceError, match="has no annotation"):
        open_video_set(root)


def test_a_picture_that_is_named_but_missing_is_an_error(tmp_path: Path) -> None:
    root = write_video_set(tmp_path, {"a": 2})
    (root / "images" / "a_1.png").unlink()
    with pytest.raises(SourceError, match=r"a_1\.png: no such file, but panoptic\.json names it"):
        open_video_set(root)
