"""The real stages, end to end: every executor and placement writes the same bytes."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from configs.errors import OutputError, WeightsError
from configs.loading import load_settings
from configs.schema import Settings
from pipeline import Progress, StreamReport, run
from pipeline.chaos import digests
from stages.source import Source, expand_sources
from tests.pipeline.random_network import (
    OBJECTS,
    motorway_clip,
    write_moving_pictures,
)

NUM_FRAMES = 40


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_moving_pictures(tmp_path_factory.mktemp("source") / "moving", NUM_FRAMES)


def settings_with(weights: Path, executor: str = "inline", *more: str) -> Settings:
    given = [f"model.weights={weights}", "run.threads=2", "run.device=cpu", f"run.executor={executor}"]
    return load_settings("tiny", [*given, *OBJECTS, *more])


@pytest.fixture(scope="module")
def golden(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> StreamReport:
    """What the simplest executor writes."""
    output = tmp_path_factory.mktemp("golden")
    (report,) = run(forty_frames(pictures), settings_with(weights), output)
    return report


@pytest.fixture(scope="module")
def golden_batches(weights: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files that it writes when three frames go through the network at once."""
    output = tmp_path_factory.mktemp("golden-batches")
    settings = settings_with(weights, "inline", "run.batch_frames=3")
    (report,) = run(forty_frames(pictures), settings, output)
    assert (report.status, report.num_frames) == ("complete", NUM_FRAMES)
    return digests(report.output)


def forty_frames(pictures: Path) -> tuple[Source, ...]:
    """Of the demo's clip, 30 a second, if it is there."""
    clip = motorway_clip()
    return expand_sources([str(clip)], end_s=4 / 3) if clip else expand_sources([str(pictures)])


def test_the_golden_run_has_frames_and_objects(golden: StreamReport) -> None:
    assert golden.status == "complete"
    tracks = [json.loads(line) for line in (golden.output / "tracks.jsonl").read_text().splitlines()]
    assert golden.num_frames == NUM_FRAMES
    assert len({line["track_id"] for line in tracks}) > 1


@pytest.mark.parametrize(
    ("executor", "placement", "replicas"),
    [("local", "fused", 1), ("local", "split", 1), ("ray", "fused", 1), ("local", "fused", 3)],
)
def test_every_executor_writes_the_same_bytes(
    golden: StreamReport,
    weights: Path,
    pictures: Path,
    tmp_path: Path,
    executor: str,
    placement: str,
    replicas: int,
) -> None:
    spread = (f"run.placement={placement}", f"run.replicas={replicas}")
    (report,) = run(forty_frames(pictures), settings_with(weights, executor, *spread), tmp_path)
    assert report.status == "complete"
    assert digests(report.output) == digests(golden.output)


@pytest.mark.parametrize(
    ("executor", "placement", "replicas"),
    [
        ("local", "split", 1),
        ("local", "fused", 3),
        pytest.param("ray", "fused", 2, marks=pytest.mark.slow),
    ],
)
def test_every_executor_writes_the_same_bytes_in_batches(
    golden_batches: dict[str, str],
    weights: Path,
    pictures: Path,
    tmp_path: Path,
    executor: str,
    placement: str,
    replicas: int,
) -> None:
    spread = (f"run.placement={placement}", f"run.replicas={replicas}", "run.batch_frames=3")
    (report,) = run(forty_frames(pictures), settings_with(weights, executor, *spread), tmp_path)
    assert report.status == "complete"
    assert digests(report.output) == golden_batches


def test_several_sources_each_have_their_folder_and_report(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    other = write_moving_pictures(tmp_path / "other", 3)
    seen: list[Progress] = []
    sources = expand_sources([str(pictures), str(other)])
    reports = run(sources, settings_with(weights, "local"), tmp_path / "out", on_progress=seen.append)
    assert [(report.stream, report.num_frames) for report in reports] == [
        ("moving", NUM_FRAMES),
        ("other", 3),
    ]
    of_other = [(progress.num_done, progress.num_frames) for progress in seen if progress.stream == "other"]
    assert of_other == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert len(seen) == (1 + NUM_FRAMES) + (1 + 3)
    assert json.loads((tmp_path / "out" / "other" / "run.json").read_text())["frames"] == 3


def test_run_json_tells_settings_versions_and_where_the_time_went(golden: StreamReport) -> None:
    content = json.loads((golden.output / "run.json").read_text())
    assert content["status"] == "complete"
    assert content["settings"]["run"]["threads"] == 2
    assert set(content["versions"]) >= {"panoptrail", "python", "torch", "torchvision", "av", "ray", "numpy"}
    assert set(content["seconds"]) == {"start_up", "run", "finish", "total"}
    for stage in ("decode", "features", "flow", "fuse", "detect", "track", "panoptic"):
        assert set(content["stages"][stage]) == {"wall", "cpu", "wait"}
    for part in ("draw", "png", "video"):
        assert content["stages"][part]["wall"]["median_ms"] > 0


def test_run_json_tells_which_process_did_which_frames(golden: StreamReport) -> None:
    hosts = json.loads((golden.output / "run.json").read_text())["hosts"]
    assert [host["stages"] for host in hosts] == [
        ["decode"],
        ["features", "flow", "fuse", "detect", "track", "panoptic"],
        ["encode"],
    ]
    for host in hosts:
        assert (host["replica"], host["frames"]) == (1, f"0-{NUM_FRAMES - 1}")
        assert (host["node"], host["node_id"], host["pid"]) == (platform.node(), None, os.getpid())


def test_missing_weights_end_the_run_before_a_frame(pictures: Path, tmp_path: Path) -> None:
    settings = load_settings("tiny", ["model.weights=no/such.safetensors", "run.executor=local"])
    with pytest.raises(WeightsError, match=r"such\.safetensors"):
        run(expand_sources([str(pictures)]), settings, tmp_path)


@pytest.mark.slow
def test_missing_weights_are_the_same_error_from_an_actor(pictures: Path, tmp_path: Path) -> None:
    settings = load_settings("tiny", ["model.weights=no/such.safetensors", "run.executor=ray"])
    with pytest.raises(WeightsError, match=r"such\.safetensors"):
        run(expand_sources([str(pictures)]), settings, tmp_path)


def test_an_output_that_exists_is_refused_before_anything_starts(
    weights: Path, pictures: Path, tmp_path: Path
) -> None:
    sources = expand_sources([str(pictures)], stride=20)
    run(sources, settings_with(weights), tmp_path)
    with pytest.raises(OutputError, match="--overwrite"):
        run(sources, settings_with(weights), tmp_path)
