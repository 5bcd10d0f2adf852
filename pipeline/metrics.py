"""What a run tells to Prometheus through Ray's metrics: frames, times, bytes and restarts, for each host.

The driver counts, from the reports that it reads anyway: a frame that was made again after a death counts
once, nothing is lost with a process that dies, and how long a stage waited is known from all of its inputs.
The series are bounded by stages and hosts, whatever the number of streams and frames.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Mapping

from configs.errors import SettingsError
from pipeline.host import CallReport

BUCKETS_S = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7),
    *(1.0, 2.0, 5.0, 10.0, 30.0),
)
"""Upper ends in seconds: from a tracker on a CPU to a run of frames in the encoder of a busy machine."""


def check_port(port: int) -> None:
    """SettingsError unless metrics can be served there; Ray would wait, or say nothing at all."""
    if importlib.util.find_spec("prometheus_client") is None:
        raise SettingsError("run.metrics_port: nothing serves it; pip install 'ray[default]'")
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise SettingsError(f"run.metrics_port: {port} cannot be had ({error.strerror})") from None


class RunMetrics:
    """The series of one run; Ray must have started."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Histogram

        of_stage, of_host = ("stage", "host", "node"), ("host", "node")
        self._frames = Counter("panoptrail_frames", "Frames that a stage has done.", of_stage)
        self._seconds = Histogram(
            "panoptrail_stage_seconds",
            "Time of one call of a stage: a batch of frames; of encode: a run of them.",
            list(BUCKETS_S),
            of_stage,
        )
        self._waits = Histogram(
            "panoptrail_wait_seconds",
            "Time of one call between the last of a stage's inputs and its start.",
            list(BUCKETS_S),
            of_stage,
        )
        self._bytes = Counter(
            "panoptrail_sent_bytes", "Arrays that a host has handed on to other processes.", of_host
        )
        self._restarts = Counter("panoptrail_restarts", "Workers that died and were replaced.", ("host",))

    def add(self, host: str, report: CallReport, num_frames: int, waits_s: Mapping[str, float]) -> None:
        """A call whose results were taken."""
        tags = {"host": host, "node": report.worker.node}
        for stage in report.stages:
            of_stage = {"stage": stage.stage, **tags}
            self._frames.inc(num_frames, of_stage)
            self._seconds.observe(stage.wall_s, of_stage)
            if stage.stage in waits_s:
                self._waits.observe(waits_s[stage.stage], of_stage)
        if report.sent_bytes:
            self._bytes.inc(report.sent_bytes, tags)

    def restarted(self, host: str) -> None:
        """A worker was put in the place of one that died."""
        self._restarts.inc(1, {"host": host})
