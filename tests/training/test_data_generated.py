"""Generated clips: the truth is exact, and objects keep their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.categories import CITYSCAPES
from training.data.generated import CAR, PERSON, ROAD, SKY, ClipShape, generate_clip
from training.data.generated_set import write_clips
from training.data.packed import PackedSet, PanopticPicture, truth_of
from training.data.packing import VOID_CLASS

CLIPS = [generate_clip(seed) for seed in range(12)]
FRAMES = [picture for clip in CLIPS for picture in clip]


def numbers(picture: PanopticPicture) -> set[int]:
    return set(np.unique(picture.instance_map).tolist()) - {0}


def test_the_same_seed_gives_the_same_clip_and_another_a_different_one() -> None:
    first, again, other = generate_clip(3), generate_clip(3), generate_clip(4)
    for one, two in zip(first, again, strict=True):
        assert (one.image == two.image).all()
        assert (one.instance_map == two.instance_map).all()
    assert (first[0].image != other[0].image).any()


def test_frames_have_the_shapes_and_types_of_a_labelled_picture() -> None:
    (picture,) = generate_clip(0, ClipShape(height_px=64, width_px=96, num_frames=1))
    assert [a.shape for a in (picture.image, picture.class_map)] == [(64, 96, 3), (64, 96)]
    maps = (picture.image, picture.class_map, picture.instance_map)
    assert [a.dtype.name for a in maps] == ["uint8", "uint8", "int32"]
    assert all(a.flags.c_contiguous for a in maps)


def test_things_have_a_number_and_nothing_else_has() -> None:
    for picture in FRAMES:
        assert (np.isin(picture.class_map, (CAR, PERSON)) == (picture.instance_map > 0)).all()
        assert set(np.unique(picture.class_map)) <= {ROAD, SKY, PERSON, CAR, VOID_CLASS}


def test_an_object_keeps_its_class_for_the_whole_clip() -> None:
    for clip in CLIPS:
        for number in set.union(*map(numbers, clip)):
            seen = {kind for p in clip for kind in np.unique(p.class_map[p.instance_map == number]).tolist()}
            assert len(seen) == 1


def test_an_object_moves_by_at_most_its_speed() -> None:
    shape = ClipShape(num_frames=2, min_objects=1, max_objects=1, max_speed_px=3.0)
    clips = [generate_clip(seed, shape) for seed in range(30)]
    shown = [clip for clip in clips if all(map(numbers, clip))]
    assert len(shown) >= 15
    for before, after in shown:
        rows, columns = np.nonzero(before.instance_map)
        rows_after, columns_after = np.nonzero(after.instance_map)
        assert abs(int(columns.max()) - int(columns_after.max())) <= 3
        assert abs(int(rows.max()) - int(rows_after.max())) <= 1


def test_objects_hide_each_other_by_depth() -> None:
    hidden = 0
    for clip in CLIPS:
        for number in set.union(*map(numbers, clip)):
            areas = [int((picture.instance_map == number).sum()) for picture in clip]
            hidden += min(areas) < 0.8 * max(areas)
    assert hidden >= 5


def test_objects_come_in_and_go_out() -> None:
    comings = sum(bool(numbers(clip[-1]) - numbers(clip[0])) for clip in CLIPS)
    goings = sum(bool(numbers(clip[0]) - numbers(clip[-1])) for clip in CLIPS)
    assert comings >= 1
    assert goings >= 1


def test_slivers_are_void() -> None:
    for picture in FRAMES:
        areas = np.bincount(picture.instance_map.reshape(-1))[1:]
        assert not ((areas > 0) & (areas < 48)).any()
    shape = ClipShape(num_frames=1, min_objects=1, max_objects=1, min_visible_px=10**6)
    (picture,) = generate_clip(0, shape)
    assert numbers(picture) == set()
    assert (picture.class_map == VOID_CLASS).any()


def test_the_number_of_objects_stays_within_its_bounds() -> None:
    shape = ClipShape(num_frames=3, min_objects=2, max_objects=3)
    for seed in range(10):
        clip = generate_clip(seed, shape)
        assert max(max(numbers(picture), default=0) for picture in clip) <= 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_truth_lists_every_object_and_stuff_class_once(seed: int) -> None:
    picture = generate_clip(seed)[5]
    _, segments = truth_of(picture, CITYSCAPES)
    things = [s for s in segments if s.category_id in (CAR, PERSON)]
    assert len(things) == len(numbers(picture))
    assert sorted(s.category_id for s in segments if s not in things) == [ROAD, SKY]


def test_a_set_on_disk_holds_the_clips_and_their_numbers(tmp_path: Path) -> None:
    write_clips(tmp_path / "val", (7,), ClipShape(num_frames=2))
    for packed, frame in zip(
        PackedSet(tmp_path, "val", CITYSCAPES), generate_clip(7, ClipShape(num_frames=2)), strict=True
    ):
        assert packed.name == frame.name
        assert (packed.class_map == frame.class_map).all()
        assert ((packed.instance_map > 0) == (frame.instance_map > 0)).all()


def test_an_object_has_the_same_id_in_all_frames_of_its_clip(tmp_path: Path) -> None:
    written = write_clips(tmp_path / "val", (7,), ClipShape(num_frames=3))
    for picture, frame in zip(written, generate_clip(7, ClipShape(num_frames=3)), strict=True):
        assert {segment.id >> 8 for segment in picture.objects()} == numbers(frame)
