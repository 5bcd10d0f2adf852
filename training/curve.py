"""The picture of a training: each weighted loss over the steps, smoothed."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np


def draw_curve(log: Path) -> Path:
    """Draw a curve.jsonl as PNG beside it; a step logged twice, after a resume, counts once."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), dpi=120)
    for name, (steps, values) in losses_of(log).items():
        axes.plot(steps, _smooth(values), label=name.replace("_", " "), linewidth=1.2)
    axes.set(xlabel="step", ylabel="weighted loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(ncol=2, fontsize=8)
    figure.tight_layout()
    path = log.with_suffix(".png")
    figure.savefig(path)
    pyplot.close(figure)
    return path


def losses_of(log: Path) -> dict[str, tuple[list[int], np.ndarray]]:
    """The steps that report each loss, and its values."""
    rows = {row["step"]: row for row in map(json.loads, log.read_text().splitlines())}
    result = {}
    for name in dict.fromkeys(chain(*rows.values())):
        if name not in ("step", "seconds"):
            steps = [step for step in sorted(rows) if name in rows[step]]
            result[name] = steps, np.array([rows[step][name] for step in steps])
    return result


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a fortieth of the length, narrower at the ends."""
    reach = max(len(values) // 80, 0)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    positions = np.arange(len(values))
    low, high = np.maximum(positions - reach, 0), np.minimum(positions + reach + 1, len(values))
    smoothed: np.ndarray = (sums[high] - sums[low]) / (high - low)
    return smoothed
