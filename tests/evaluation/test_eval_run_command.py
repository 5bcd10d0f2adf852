"""The command `eval-run` on a small labelled video set, as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evaluation.commands import assert_one_line, call
from tests.evaluation.video_sets import write_video_set
from tests.pipeline.random_network import OBJECTS, write_random_weights


@pytest.fixture
def model(tmp_path: Path) -> list[object]:
    """Options that name a random network, which finds something of everything."""
    weights = write_random_weights(tmp_path / "weights.safetensors")
    settings = (f"model.weights={weights}", "run.device=cpu", *OBJECTS)
    return ["--config", "tiny", "--executor", "local", *(part for s in settings for part in ("--set", s))]


def test_the_table_shows_both_and_no_difference(tmp_path: Path, model: list[object]) -> None:
    data = write_video_set(tmp_path / "set", {"a": 4})
    out = tmp_path / "figures.json"
    result = call("eval-run", "--data", data, *model, "--windows", "1,2", "--out", out)
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0].strip(): line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["model alone"][2:] == rows["pipeline"][1:]
    assert rows["difference"][1:] == ["+0.000"] * 5
    assert {"stride-2, processed", "stride-4, held", "drop-10, held", "drop-30, processed"} <= rows.keys()
    document = json.loads(out.read_text())
    assert document["model"] == document["pipeline"]
    assert set(document["stride-2"]) == {"processed", "held"}


def test_what_was_played_and_what_came_out_can_be_kept(tmp_path: Path, model: list[object]) -> None:
    data = write_video_set(tmp_path / "set", {"a": 3})
    kept = tmp_path / "kept"
    assert call("eval-run", "--data", data, *model, "--output", kept).exit_code == 0
    assert (kept / "played" / "0000.mkv").is_file()
    assert len(list((kept / "results" / "a-pipeline" / "panoptic").glob("*.png"))) == 3
    assert len(list((kept / "results" / "a-stride-2" / "panoptic").glob("*.png"))) == 2
    assert_one_line(call("eval-run", "--data", data, *model, "--output", kept), "is not an empty folder")


def test_mistakes_are_one_line(tmp_path: Path, model: list[object]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_one_line(call("eval-run", "--data", empty, *model), "panoptic.json", "No such file")
    data = write_video_set(tmp_path / "set", {"a": 2})
    assert_one_line(call("eval-run", "--data", data, *model, "--codec", "vp9"), "vp9", "ffv1 or h264")
    assert_one_line(call("eval-run", "--data", data, *model, "--windows", "0"), "'0'", "1,2,3,4")
    for out in (data / "panoptic.json", data, tmp_path / "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / "weights.safetensors")
        assert_one_line(call("eval-run", "--data", data, *model, "--out", out), str(out))
    (data / "images" / "a_1.png").write_bytes(b"no picture")
    assert_one_line(call("eval-run", "--data", data, *model), "a_1.png")
