"""`eval` as a user types it: the figures. What is refused is in test_eval_mistakes.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs.categories import CITYSCAPES
from evaluation.formats.coco import CocoWriter
from evaluation.formats.id_png import write_ids
from evaluation.formats.kitti_step import KittiStepWriter
from evaluation.formats.vipseg import VipsegWriter
from tests.evaluation.commands import CAR, PERSON, ROAD, Places, assert_one_line, call, read_figures
from tests.evaluation.drawing import segment
from tests.evaluation.formats.sets import (
    DrawnSet,
    annotation,
    labels,
    write,
    write_description,
    write_maps,
)

ROOT = Path(__file__).resolve().parents[2]
TRUTH = DrawnSet(
    CITYSCAPES,
    {
        "a": [labels("1155", segment(1, ROAD), segment(5, CAR))] * 4,
        "b": [labels("1166", segment(1, ROAD), segment(6, PERSON))] * 4,
    },
)
PREDICTION = DrawnSet(
    CITYSCAPES,
    {
        "a": [labels("1155", segment(1, ROAD), segment(5, CAR))] * 4,
        "b": [labels("1111", segment(1, ROAD))] * 4,
    },
)
"""The person of video b is missed, and is road."""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_figures_are_printed_and_written(tmp_path: Path) -> None:
    write(TRUTH, CocoWriter(tmp_path / "gt", CITYSCAPES))
    write(PREDICTION, CocoWriter(tmp_path / "pred", CITYSCAPES))
    out = tmp_path / "deep" / "metrics.json"
    result = call(
        *("eval", "--gt", tmp_path / "gt" / "panoptic.json", "--gt-dir", tmp_path / "gt" / "panoptic"),
        *("--pred", tmp_path / "pred" / "panoptic.json", "--pred-dir", tmp_path / "pred" / "panoptic"),
        *("--out", out),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "8 frames" in result.stdout
    assert "VPQ, 4 frames" in result.stdout
    document = read_figures(out)
    assert list(document) == ["pq", "vpq", "stq"]
    per_class = document["pq"]["per_class"]
    # of the road, four frames match and four have IoU 2/4, which is none
    assert per_class["0"] == {"pq": 0.5, "sq": 1.0, "rq": 0.5, "tp": 4, "fp": 4, "fn": 4, "iou_sum": 4.0}
    assert [per_class[str(number)]["pq"] for number in (CAR, PERSON)] == [1.0, 0.0]
    assert document["pq"]["things"] == {"pq": 0.5, "sq": 0.5, "rq": 0.5, "n": 2}
    assert list(document["vpq"]["windows"]) == ["1", "2", "3", "4"]
    assert document["vpq"]["all"] == 0.5
    assert list(document["stq"]["per_sequence"]) == ["a", "b"]
    assert [document["stq"]["per_sequence"][video]["aq"] for video in "ab"] == [1.0, 0.0]


def test_the_results_of_a_run_are_read_as_they_are(places: Places) -> None:
    for number, entry in enumerate(places.entries["pred"], 1):
        for listed in entry["segments_info"]:
            listed |= {"area": 2, "bbox": [0, 0, 2, 1], "iscrowd": 0, "score": None, "track_id": number}
    assert places.figures()["pq"]["all"]["pq"] == 1.0


def test_windows_and_metrics_are_those_given(places: Places) -> None:
    document = places.figures("--windows", "3,1", "--metrics", "vpq,hota")
    assert list(document) == ["vpq", "hota"]
    assert list(document["vpq"]["windows"]) == ["1", "3"]
    assert document["vpq"]["all"] == 1.0


def test_a_window_longer_than_the_video_is_null(places: Places) -> None:
    document = places.figures("--windows", "3,4")
    assert document["vpq"]["windows"]["3"]["all"]["pq"] == 1.0
    nothing = {"pq": None, "sq": None, "rq": None, "n": 0}
    assert document["vpq"]["windows"]["4"]["all"] == nothing
    assert document["vpq"]["all"] is None


def test_orders_do_not_matter(places: Places) -> None:
    write_maps(places.maps["pred"], {"2": "1115"})
    before = places.figures()
    assert before["pq"]["all"]["pq"] < 1
    places.entries["pred"].reverse()
    places.entries["gt"] = [places.entries["gt"][n] for n in (1, 2, 0)]
    for entry in places.entries["pred"]:
        entry["segments_info"].reverse()
    assert places.figures() == before


def test_image_ids_may_count_anew_in_each_video(places: Places) -> None:
    for side, folder in places.maps.items():
        write_maps(folder, {"a/0": "1155", "b/0": "5511"})
        places.entries[side] = [
            annotation(0, (1, ROAD), (5, CAR), video_id=video, file_name=f"{video}/0.png") for video in "ab"
        ]
    places.entries["pred"].reverse()
    document = places.figures("--windows", "1")
    assert document["pq"]["all"]["pq"] == 1.0
    assert set(document["stq"]["per_sequence"]) == {"a", "b"}


def test_a_crowd_of_the_truth_is_not_missed(places: Places) -> None:
    for entry in places.entries["gt"]:
        entry["segments_info"][1]["iscrowd"] = 1
    write_maps(places.maps["pred"], dict.fromkeys("123", "1100"))
    for entry in places.entries["pred"]:
        del entry["segments_info"][1]
    car = places.figures()["pq"]["per_class"][str(CAR)]
    assert (car["tp"], car["fp"], car["fn"]) == (0, 0, 0)


def test_names_that_look_like_markup_are_printed(places: Places) -> None:
    for entries in places.entries.values():
        for entry in entries:
            entry["video_id"] = "[/bold] :car:"
    result = places.eval()
    assert result.exit_code == 0
    assert "[/bold] :car:" in result.stdout


# other formats


def test_kitti_step_needs_folders_only(tmp_path: Path) -> None:
    write(TRUTH, KittiStepWriter(tmp_path / "gt"))
    write(PREDICTION, KittiStepWriter(tmp_path / "pred"))
    out = tmp_path / "metrics.json"
    folders = ("--gt-dir", tmp_path / "gt", "--pred-dir", tmp_path / "pred", "--out", out)
    assert call("eval", "--format", "kitti-step", *folders).exit_code == 0
    document = read_figures(out)
    assert document["pq"]["things"]["pq"] == 0.5
    assert list(document["vpq"]["windows"]) == ["1", "2", "3", "4"]
    (tmp_path / "pred" / "b" / "000003.png").rename(tmp_path / "pred" / "b" / "000009.png")
    result = call("eval", "--format", "kitti-step", *folders)
    assert_one_line(result, "lacks 1 frame (b/000003)", "has 1 frame (b/000009)")


def test_vipseg_has_windows_of_its_own(tmp_path: Path) -> None:
    for side, drawn in (("gt", TRUTH), ("pred", PREDICTION)):
        write(drawn, VipsegWriter(tmp_path / side, CITYSCAPES))
    out = tmp_path / "metrics.json"
    arguments = [
        part
        for side in ("gt", "pred")
        for part in (f"--{side}", tmp_path / side / "pred.json", f"--{side}-dir", tmp_path / side)
    ]
    assert call("eval", "--format", "vipseg", *arguments, "--out", out).exit_code == 0
    document = read_figures(out)
    assert list(document["vpq"]["windows"]) == ["1", "2", "4", "6"]
    assert document["vpq"]["windows"]["4"]["all"]["pq"] == 0.5
    assert document["vpq"]["windows"]["6"]["all"]["pq"] is None


def test_cityscapes_vps_has_its_videos_in_its_names(tmp_path: Path) -> None:
    ids = [f"0001_{n:04d}_ulm_000000_{5 * n - 1:06d}" for n in range(1, 7)]
    arguments: list[object] = []
    for side, folder in (("gt", "gt"), ("pred", "pred/pan_pred")):
        write_maps(tmp_path / folder, dict.fromkeys(ids, "1155"))
        entries = [annotation(i, (1, ROAD), (5, CAR)) for i in ids]
        path = write_description(tmp_path / side / "pred.json", entries, CITYSCAPES)
        arguments += [f"--{side}", path, f"--{side}-dir", tmp_path / side]
    out = tmp_path / "metrics.json"
    assert call("eval", "--format", "cityscapes-vps", *arguments, "--out", out).exit_code == 0
    document = read_figures(out)
    assert list(document["stq"]["per_sequence"]) == ["0001"]
    assert (
        document["vpq"]["windows"]["4"]["per_class"]["0"]["tp"] == 3
    )  # of six frames, three windows of four


# in a process of its own: what the libraries print shows there


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run_pipeline.py"), *(str(argument) for argument in arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_process_prints_tables_and_nothing_on_stderr(places: Places) -> None:
    assert places.eval().exit_code == 0
    result = command(
        *("eval", "--gt", places.root / "gt.json", "--gt-dir", places.maps["gt"]),
        *("--pred", places.root / "pred.json", "--pred-dir", places.maps["pred"]),
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "VPQ, 3 frames" in result.stdout


def test_a_process_prints_one_line_about_a_damaged_map(places: Places) -> None:
    ids = np.random.default_rng(0).integers(0, 1 << 24, (200, 200))
    path = places.maps["pred"] / "2.png"
    write_ids(path, ids)
    whole = path.read_bytes()
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:])
    assert places.eval().exit_code == 2
    result = command(
        *("eval", "--gt", places.root / "gt.json", "--gt-dir", places.maps["gt"]),
        *("--pred", places.root / "pred.json", "--pred-dir", places.maps["pred"]),
    )
    assert result.returncode == 2
    assert result.stderr.splitlines() == [f"error: {path}: is not a whole PNG; write or copy it again"]
    assert result.stdout == ""
