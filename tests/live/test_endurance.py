"""A live stream for minutes: nothing grows, with a worker that keeps up and with one that does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.endurance import watch
from tests.live.rtsp_server import RtspServer, needs_rtsp, write_pictures
from tests.pipeline.random_network import OBJECTS, moving_picture

pytestmark = [needs_rtsp, pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(12_000)]

MINUTES = float(os.environ.get("SOAK_MINUTES", "3"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [moving_picture(index % 90) for index in range(90)]
    return write_pictures(tmp_path_factory.mktemp("pictures") / "pictures", images=images)


def test_memory_age_and_open_files_stay_flat(tmp_path: Path, pictures: Path, weights: Path) -> None:
    rules = ("run.threads=1", "run.device=cpu", *OBJECTS, f"model.weights={weights}")
    settings = [word for rule in rules for word in ("--set", rule)]
    with RtspServer(pictures, rate=10) as server:
        watched = watch(server.address, tmp_path / "out", MINUTES, ["--config", "tiny", *settings])
    assert len(watched.ages) > 0.5 * MINUTES * 60 * 10  # of a machine that has other work, too
    assert watched.growth() < 0.02
    assert abs(watched.age_growth_s()) < 0.2
    late = [sample.open_files for sample in watched.samples if sample.at_s >= watched.settled_s()]
    assert late[-1] <= late[0] + 2
    assert watched.live["gaps"] == 0
