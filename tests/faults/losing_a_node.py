"""A program of its own: a run on a cluster of two nodes, of which one goes away, then one as a Ray Client.

In a process of its own, because Ray remembers how it joined its first cluster: `python -m
tests.faults.losing_a_node FOLDER WEIGHTS SOURCE...` writes FOLDER/alone, FOLDER/spread and FOLDER/client.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from configs.loading import load_settings
from pipeline import Progress, run
from stages.source import expand_sources
from tests.pipeline.random_network import OBJECTS

STORE_BYTES = 150_000_000


def main(folder: Path, weights: str, *pictures: str) -> None:
    """Prints status, frames and number of restarts of each stream."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"  # else the Ray Client server may crash when it forks
    from ray.cluster_utils import Cluster

    port = free_port()
    head = {"num_cpus": 2, "object_store_memory": STORE_BYTES, "ray_client_server_port": port}
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
        for name, address in (("spread", cluster.address), ("client", f"ray://127.0.0.1:{port}")):
            settings = load_settings("tiny", [*common, f"run.address={address}", "run.replicas=2"])
            for report in run(sources, settings, folder / name, on_progress=take_away):
                print(name, report.status, report.num_frames, len(report.restarts))
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def free_port() -> int:
    """One that nobody listens at, outside of the range that Ray gives to workers."""
    for port in range(21_000, 22_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
