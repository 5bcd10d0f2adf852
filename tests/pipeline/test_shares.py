from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pipeline.host import Worker, this_process
from pipeline.placement import make_plan
from pipeline.shares import Entry, Shares, before
from tests.pipeline.driving import drive
from tests.pipeline.toy import ToySource, make_settings

PLAN = make_plan(make_settings(placement="fused"))
OLD, NEW = Worker(node="box", pid=7), Worker(node="box", pid=9)


def told(entries: Iterable[Entry], *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(entry[key] for key in keys) for entry in entries]


def test_neighbouring_frames_are_one_range() -> None:
    shares = Shares()
    for index in (0, 1, 2, 3, 8, 9, 10, 11, 16):
        shares.add("decode", OLD, index)
    assert told(shares.entries(PLAN), "frames") == [("0-3,8-11,16",)]


def test_runs_of_frames_are_joined() -> None:
    shares = Shares()
    shares.add("encode", OLD, 0, 12)
    shares.add("encode", OLD, 12, 3)
    assert told(shares.entries(PLAN), "host", "stages", "frames") == [("encode", ["encode"], "0-14")]


def test_a_process_that_replaced_another_has_an_entry_of_its_own() -> None:
    shares = Shares()
    for index in range(6):
        shares.add("decode", OLD if index < 4 else NEW, index)
    assert told(shares.entries(PLAN), "pid", "frames") == [(7, "0-3"), (9, "4-5")]


@pytest.mark.parametrize(
    ("num_frames", "kept"), [(0, []), (2, ["0-1"]), (4, ["0-3"]), (9, ["0-3,8"]), (50, ["0-3,8-11,16"])]
)
def test_of_an_earlier_part_only_the_frames_that_are_kept_are_told(num_frames: int, kept: list[str]) -> None:
    entries = [{"host": "decode", "frames": "0-3,8-11,16"}]
    assert [entry["frames"] for entry in before(entries, num_frames)] == kept


def test_blocks_of_frames_go_round_the_replicas(tmp_path: Path) -> None:
    driver = drive(tmp_path, "inline", source=ToySource(num_frames=11), replicas=2)
    entries = driver.shares.entries(make_plan(make_settings(placement="fused", replicas=2)))
    model = ["features", "flow", "fuse", "detect"]
    assert told(entries, "stages", "replica", "frames") == [
        (["decode"], 1, "0-10"),
        (model, 1, "0-3,8-10"),
        (model, 2, "4-7"),
        (["track"], 1, "0-10"),
        (["panoptic"], 1, "0-3,8-10"),
        (["panoptic"], 2, "4-7"),
        (["encode"], 1, "0-10"),
    ]
    here = this_process()
    assert set(told(entries, "node", "node_id", "pid")) == {(here.node, None, here.pid)}
