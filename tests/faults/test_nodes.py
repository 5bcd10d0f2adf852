"""Nodes of a cluster that go away: what they had is made again elsewhere, to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from configs.loading import load_settings
from pipeline import Progress, run
from pipeline.chaos import differences
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS, write_moving_pictures, write_random_weights

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = pytest.mark.slow

STORE_BYTES = 150_000_000


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two nodes on this machine."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    from ray.cluster_utils import Cluster

    started = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": STORE_BYTES}
    )
    started.add_node(num_cpus=2, object_store_memory=STORE_BYTES)
    yield started
    started.shutdown()  # type: ignore[no-untyped-call]


def test_a_node_that_goes_away_changes_no_byte(tmp_path: Path, cluster: Cluster) -> None:
    weights = write_random_weights(tmp_path / "tiny.safetensors")
    sources = expand_sources([str(write_moving_pictures(tmp_path / name, 40)) for name in ("one", "two")])
    common = [f"model.weights={weights}", "run.threads=1", "run.device=cpu", "encode.run_frames=5", *OBJECTS]
    alone = load_settings("tiny", [*common, "run.executor=inline"])
    spread = load_settings(
        "tiny", [*common, "run.executor=ray", f"run.address={cluster.address}", "run.replicas=2"]
    )
    run(sources, alone, tmp_path / "alone")
    other = next(node for node in cluster.worker_nodes)

    def take_away(progress: Progress) -> None:
        if progress.num_done == 10 and other in cluster.worker_nodes:
            cluster.remove_node(other, allow_graceful=False)

    reports = run(sources, spread, tmp_path / "spread", on_progress=take_away)
    assert [(report.status, report.num_frames) for report in reports] == [("complete", 40)] * 2
    assert any(report.restarts for report in reports)
    nodes = {host["node_id"] for report in reports for host in report.hosts}
    assert len(nodes) == 2
    assert other.node_id in nodes
    assert differences(tmp_path / "alone", tmp_path / "spread") == []
