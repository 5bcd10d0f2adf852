"""The Ray of a run: one of its own that ends with it, or a cluster that is there already.

Its own is bounded, and told to free what is no longer referred to at once: its default is to wait until 100
objects or a second have gathered, which costs ten times the memory here. Nor does it keep a record of every
call, which would grow by 7 MB every 1,000 frames. A cluster's nodes are as they were started.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from configs.errors import SettingsError
from configs.resolve import OPENMP
from configs.schema import OWN_RAY, RAY_CLIENT, Settings
from pipeline.budget import object_store_bytes
from pipeline.metrics import check_port

ROOT = str(Path(__file__).resolve().parent.parent)
"""The project's folder; workers import from it."""
ENVIRONMENT = {
    "RAY_free_objects_period_milliseconds": "20",
    "RAY_free_objects_batch_size": "1",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of calls given up behind one that failed
    # what the driver tells itself, or nobody needs to know
    "RAY_DEDUP_LOGS_SKIP_REGEX": "A worker died or was killed|PYTHON worker processes have been started",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_NUM_REDIS_GET_RETRIES": "2",
}
"""Read by Ray when it is imported; a value that the user has set stays."""
OLDER_METRICS = ("RAY_enable_open_telemetry", "false")
"""For the program on a cluster: the newer way of telling metrics ends a process there now and then (SIGSEGV
in Ray 2.60). Not for a Ray of its own: the older way counts on from one run of a program to the next."""
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set in a program that `ray job submit` has started, whose working directory has been sent already."""
SENT = ("configs", "models", "pipeline", "stages", "weights", "pyproject.toml")
"""What workers need of the project's folder."""
_ANSWER_S = 10.0
_CLIENT_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What a cluster has."""

    num_cards: int
    """Those that nobody has taken."""
    store_bytes: int
    """Object store of the node that has the smallest."""


def look_at(settings: Settings) -> Cluster | None:
    """What the cluster at `run.address` has. None: there is none.

    SettingsError if none answers there, or if all its graphics cards are taken and the CPU is not asked for.
    """
    if settings.run.executor != "ray" or settings.run.address == OWN_RAY:
        return None
    ray = _imported()
    _join(ray, settings.run.address, {})
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        num_free = num_free_cards(ray, settings.run.address)
    finally:
        ray.shutdown()
    if any(resources.get("GPU") for resources in nodes) and not num_free and settings.run.device != "cpu":
        raise no_free_card()
    return Cluster(
        num_cards=num_free,
        store_bytes=int(min(resources.get("object_store_memory", 0) for resources in nodes)),
    )


def num_free_cards(ray: ModuleType, address: str) -> int:
    """Graphics cards that are free; parts of several that are free in part may count as one."""
    # a Ray that has just started knows what it has before it knows what is free
    resources = ray.cluster_resources() if address == OWN_RAY else ray.available_resources()
    return int(resources.get("GPU", 0))


def no_free_card() -> SettingsError:
    """Where Ray would wait for one without a word."""
    return SettingsError(
        "run.device: Ray has no graphics card that is free; wait for one, or --set run.device=cpu"
    )


def connect(settings: Settings) -> ModuleType:
    """Ray, started or joined."""
    ray = _imported()
    if settings.run.address == OWN_RAY:
        _start(ray, settings)
    else:
        _join(ray, settings.run.address, _runtime_env())
    return ray


def _imported() -> ModuleType:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


def _start(ray: ModuleType, settings: Settings) -> None:
    from ray.job_config import JobConfig

    if settings.run.metrics_port:
        check_port(settings.run.metrics_port)
    ray.init(
        address="local",
        num_cpus=max(1, os.cpu_count() or 1),
        object_store_memory=object_store_bytes(settings),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        job_config=JobConfig(_py_driver_sys_path=[ROOT]),
        _metrics_export_port=settings.run.metrics_port or None,
    )


def _join(ray: ModuleType, address: str, runtime_env: dict[str, Any]) -> None:
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    try:
        _knock(address)
        os.environ.setdefault(*OLDER_METRICS)
        _init(ray, address, runtime_env)
    except (ImportError, OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        remedy = "start one with `ray start --head`, with this machine a node of it"
        if address.startswith(RAY_CLIENT):
            remedy = "start its head with --ray-client-server-port, and pip install 'ray[client]'"
        raise SettingsError(
            f"run.address: no Ray cluster can be joined at {address} ({_reason(error)}); {remedy}, all with "
            "the same Python, Ray, RAY_AUTH_MODE and token"
        ) from None


def _init(ray: ModuleType, address: str, runtime_env: dict[str, Any]) -> None:
    """A Ray Client server loses a new client now and then, when a process that it forks crashes."""
    for left in reversed(range(_CLIENT_TRIES if address.startswith(RAY_CLIENT) else 1)):
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=runtime_env
            )
            return
        except ConnectionAbortedError:
            if not left:
                raise


def _knock(address: str) -> None:
    """OSError if nobody listens there; Ray itself would go on trying for minutes."""
    host, _, port = address.removeprefix(RAY_CLIENT).rpartition(":")
    if host:
        socket.create_connection((host, int(port)), _ANSWER_S).close()


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _runtime_env() -> dict[str, Any]:
    """Sends the project's code to the workers, and how threads wait; metrics are the driver's alone."""
    variables = {name: os.environ[name] for name in OPENMP if name in os.environ}
    variables["RAY_enable_metrics_collection"] = "false"
    if JOB_VARIABLE in os.environ:
        return {"env_vars": variables}
    left_out = [f"/{name}" for name in sorted(os.listdir(ROOT)) if name not in SENT]
    return {"env_vars": variables, "working_dir": ROOT, "excludes": left_out}
