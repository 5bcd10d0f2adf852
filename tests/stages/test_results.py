from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import OutputError
from stages.results import (
    Layout,
    complete_runs,
    join_records,
    prepare_output,
    read_checkpoint,
    remove_runs_from,
    replacing,
    write_checkpoint,
    write_record,
)
from tests.panoptics import CHECKPOINT, make_frame, make_panoptic, road, thing


def test_each_stream_gets_a_folder(tmp_path: Path) -> None:
    prepare_output(tmp_path / "out", ["a", "b"], overwrite=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


def test_earlier_results_are_kept_unless_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "panoptic").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"a/panoptic: exists already; .* --overwrite"):
        prepare_output(tmp_path, ["a"], overwrite=False)


def test_overwriting_removes_results_and_nothing_else(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "a")
    layout.pictures.mkdir(parents=True)
    for path in (layout.picture(3), layout.video, layout.directory / "notes.txt"):
        path.write_text("old")
    prepare_output(tmp_path, ["a"], overwrite=True)
    assert [path.name for path in layout.directory.iterdir()] == ["notes.txt"]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("not a folder")
    with pytest.raises(OutputError, match="out/a: cannot be written"):
        prepare_output(tmp_path / "out", ["a"], overwrite=True)


def test_an_error_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("old")

    def fail_half_way() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file.json", "old")]


def test_files_carry_the_ids_and_names_of_the_categories_not_their_positions(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.parts.mkdir()
    categories = [replace(c, id=900 - c.id, name=f"my {c.name}") for c in CITYSCAPES]
    frame = make_frame(np.zeros((4, 6, 3), np.uint8))
    panoptic = make_panoptic(np.ones((4, 6), np.uint8), [road(), thing(12)])
    write_record(layout, "clip", [frame], [panoptic], categories)
    join_records(layout, complete_runs(layout), categories)
    written = json.loads(layout.panoptic.read_text())
    assert [s["category_id"] for s in written["annotations"][0]["segments_info"]] == [900, 887]
    assert (written["categories"][13]["id"], written["categories"][13]["name"]) == (887, "my car")
    assert json.loads(layout.tracks.read_text())["class"] == "my car"


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    layout, frame = Layout(tmp_path), make_frame(np.zeros((4, 6, 3), np.uint8))
    layout.parts.mkdir()
    for cursor in (CHECKPOINT.cursor, None):
        write_checkpoint(layout, 0, replace(CHECKPOINT, cursor=cursor))
        write_record(
            layout, "clip", [frame], [make_panoptic(np.ones((4, 6), np.uint8), [road()])], CITYSCAPES
        )
        read = read_checkpoint(layout, complete_runs(layout)[0])
        assert read.cursor == cursor
        for field in fields(CHECKPOINT.memory):
            was, now = getattr(CHECKPOINT.memory, field.name), getattr(read.memory, field.name)
            np.testing.assert_array_equal(now, was)
            assert type(now) is type(was)
            if isinstance(was, np.ndarray):
                assert now.dtype == was.dtype


def test_runs_behind_a_gap_are_removed_with_all_their_files(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.parts.mkdir()
    for first in (0, 4, 8):
        for path in (layout.part_video(first), layout.part_checkpoint(first), layout.part_record(first)):
            path.write_text("part")
    remove_runs_from(layout, 4)
    assert sorted(path.name for path in layout.parts.iterdir()) == [
        "000000.jsonl",
        "000000.mp4",
        "000000.npz",
    ]
