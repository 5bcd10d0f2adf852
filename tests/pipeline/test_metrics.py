"""The series at Ray's own endpoint, as Prometheus would read them."""

from __future__ import annotations

import re
import socket
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest

from configs.errors import SettingsError
from pipeline.budget import Limits
from pipeline.graph import GRAPH
from pipeline.metrics import check_port
from pipeline.placement import make_plan
from tests.pipeline.driving import drive
from tests.pipeline.toy import Deaths, ToySource, make_factory, make_settings

NUM_FRAMES = 12
LIMITS = Limits(window_frames=4, run_frames=3)
MODEL = "features+flow+fuse+detect+track+panoptic"
STAGES = [node.name for node in GRAPH]
LINE = re.compile(r"ray_panoptrail_(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")
DEADLINE_S = 60

Series = dict[str, dict[str, float]]
"""Name, and stage or else host, to the value."""


def parsed(text: str) -> Series:
    series: Series = defaultdict(dict)
    for match in LINE.finditer(text):
        labels: dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', match["labels"]))
        series[match["name"]][labels.get("stage", labels["host"])] = float(match["value"])
    return series


def read_endpoint() -> Series:
    import ray

    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    try:
        with urllib.request.urlopen(address, timeout=10) as page:
            return parsed(page.read().decode())
    except OSError:  # not up yet
        return parsed("")


def read_until_all_is_told() -> Series:
    """Workers tell Ray's agent at an interval, not at once."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        series = read_endpoint()
        told = series["frames_total"].get("panoptic"), sum(series["restarts_total"].values())
        if told == (NUM_FRAMES, 1) or time.monotonic() > deadline_s:
            return series
        time.sleep(0.2)


@pytest.mark.slow
def test_frames_times_bytes_and_restarts_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prometheus_client", reason="Ray serves no metrics without ray[default]")
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "1000")
    seen: list[Series] = []

    def look(num_done: int) -> None:
        if num_done == NUM_FRAMES:
            seen.append(read_until_all_is_told())

    driver = drive(
        tmp_path,
        "ray",
        source=ToySource(num_frames=NUM_FRAMES),
        factory=make_factory(deaths=[Deaths(stage="detect", calls=[7], tally=tmp_path / "tally")]),
        limits=LIMITS,
        on_frame=look,
    )
    assert driver.error is None
    (series,) = seen
    frames = series["frames_total"]
    assert {stage: frames[stage] for stage in STAGES} == dict.fromkeys(STAGES, NUM_FRAMES)
    for name in ("stage_seconds_count", "wait_seconds_count"):
        assert {stage: series[name][stage] for stage in STAGES} == dict.fromkeys(STAGES, NUM_FRAMES)
    assert frames["encode"] == LIMITS.run_frames * series["stage_seconds_count"]["encode"] > 0
    assert all(0 < seconds < 60 for seconds in series["stage_seconds_sum"].values())
    picture, label_map, memory = 2 * 3 * 3, 2 * 3 * 2, 8
    assert series["sent_bytes_total"] == {
        "decode": NUM_FRAMES * picture,
        MODEL: NUM_FRAMES * (label_map + memory),
    }
    assert series["restarts_total"] == {MODEL: 1}
    entries = driver.shares.entries(make_plan(make_settings()))
    old, new = (entry for entry in entries if entry["host"] == MODEL)
    assert (old["frames"], new["frames"]) == ("0-6", "7-11")
    assert old["pid"] != new["pid"]
    assert old["node_id"] == new["node_id"] != ""


def test_a_port_that_is_taken_is_named() -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"run\.metrics_port: {port} cannot be had"):
            check_port(port)
    check_port(port)
