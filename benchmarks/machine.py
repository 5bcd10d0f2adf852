"""The machine that a figure was measured on, in one line."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine_line() -> str:
    """Processor, cores, memory, system, torch."""
    import torch

    cpu = Path("/proc/cpuinfo").read_text().split("model name", 1)[-1].split("\n", 1)[0].strip(" \t:")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    software = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{cpu}, {cores} cores, {memory:.0f} GiB{card}; {software}"
