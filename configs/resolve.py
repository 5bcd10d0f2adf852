"""What "auto" and 0 stand for on this machine, decided once, before any host is built."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from configs.errors import SettingsError
from configs.schema import Settings

MAX_THREADS = 8
CPU_INFO = Path("/proc/cpuinfo")
"""Linux's description of the processor."""
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "3000"}
"""Threads of a convolution wait for each other 3,000 turns, some 0.1 ms, then sleep. To wake them at every
layer costs a tenth of the rate (3.9 against 4.4 frames a second on two cores); but those that spin for
long use up the time of those that they wait for, as soon as another program wants the cores: beside one,
3,000 turns gave 2.4 frames a second, 40,000 gave 1.0."""


def limit_spinning() -> None:
    """To be called before torch is loaded, here or in the workers that inherit this environment.

    A user's own choice stays: neither variable is set when one of them is.
    """
    if not OPENMP.keys() & os.environ.keys():
        os.environ.update(OPENMP)


def resolve(settings: Settings, num_cards: int | None = None) -> Settings:
    """The same settings with a concrete device, number of replicas and threads, and precision.

    `num_cards`: graphics cards of the cluster; None: of this machine alone.
    """
    device, threads = settings.run.device, settings.run.threads
    if num_cards is None:
        num_cards = num_cuda_devices()
    if device == "cuda" and not num_cards:
        raise SettingsError("run.device: cuda is not there: no NVIDIA driver or card; use cpu or auto")
    if device == "auto":
        device = "cuda" if num_cards else "cpu"
    if threads == 0:
        threads = min(MAX_THREADS, num_cores())
    precision = settings.model.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" or computes_bf16() else "fp32"
    spread = device == "cuda" and settings.run.executor == "ray"  # in one process all would share a card
    replicas = settings.run.replicas or (num_cards if spread else 1)
    run = settings.run.model_copy(update={"device": device, "threads": threads, "replicas": replicas})
    model = settings.model.model_copy(update={"precision": precision})
    return settings.model_copy(update={"run": run, "model": model})


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def computes_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; without them it is slower than float32."""
    try:
        flags = CPU_INFO.read_text(encoding="utf-8").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def num_cuda_devices() -> int:
    """Cards that the NVIDIA driver offers; asked directly, as importing torch takes seconds."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
