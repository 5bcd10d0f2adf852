"""A program of its own: a run on a cluster of two nodes, of which one goes away on the way.

In a process of its own, because Ray remembers how it joined its first cluster: `python -m
tests.faults.losing_a_node FOLDER WEIGHTS SOURCE...` writes FOLDER/alone and FOLDER/spread.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from configs.loading import load_settings
from pipeline import Progress, run
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS

STORE_BYTES = 150_000_000


def main(folder: Path, weights: str, *pictures: str) -> None:
    """Prints status, frames and number of restarts of each stream."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    other = cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES)

    def take_away(progress: Progress) -> None:
        if progress.num_done == 10 and other in cluster.worker_nodes:
            cluster.remove_node(other, allow_graceful=False)

    try:
        sources = expand_sources(list(pictures))
        common = [
            f"model.weights={weights}",
            "run.threads=1",
            "run.device=cpu",
            "encode.run_frames=5",
            *OBJECTS,
        ]
        run(sources, load_settings("tiny", [*common, "run.executor=inline"]), folder / "alone")
        on_cluster = ["run.executor=ray", f"run.address={cluster.address}", "run.replicas=2"]
        reports = run(
            sources, load_settings("tiny", [*common, *on_cluster]), folder / "spread", on_progress=take_away
        )
        for report in reports:
            print(report.status, report.num_frames, len(report.restarts))
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
