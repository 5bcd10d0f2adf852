"""What `evaluate_running` finds, as JSON and as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evaluation.document import plain_table, shown, to_document
from evaluation.evaluate import Evaluation
from evaluation.playing import VARIANTS, WHOLE
from evaluation.running import RunningQuality

if TYPE_CHECKING:
    from rich.table import Table

HEADLINE = ("PQ", "VPQ", "STQ", "AQ", "SQ")


def headline(evaluation: Evaluation) -> list[float]:
    """The figures of HEADLINE; VPQ is the mean over the windows."""
    assert evaluation.pq is not None
    assert evaluation.vpq is not None
    assert evaluation.stq is not None
    stq = evaluation.stq.total
    return [evaluation.pq.all.pq, evaluation.vpq.all, stq.stq, stq.aq, stq.sq]


def differences(quality: RunningQuality) -> list[float]:
    """Pipeline minus model, in the order of HEADLINE."""
    pipeline = headline(quality.processed[WHOLE.name])
    return [a - b for a, b in zip(pipeline, headline(quality.model), strict=True)]


def running_document(quality: RunningQuality) -> dict[str, Any]:
    """As `evaluation.document` writes an evaluation, one for each way to play."""
    played = {
        variant.name: {
            "processed": to_document(quality.processed[variant.name]),
            "held": to_document(quality.held[variant.name]),
        }
        for variant in VARIANTS
        if variant != WHOLE
    }
    return {
        "model": to_document(quality.model),
        "pipeline": to_document(quality.processed[WHOLE.name]),
        "difference": {
            name.lower(): None if math.isnan(value) else value
            for name, value in zip(HEADLINE, differences(quality), strict=True)
        },
        **played,
    }


def running_table(quality: RunningQuality) -> Table:
    """The model alone, the pipeline, their difference, and the pipeline with frames left out."""
    table = plain_table("decode to encode, beside the model alone", "", *HEADLINE, "frames")
    _add_row(table, "model alone", quality.model)
    _add_row(table, "pipeline", quality.processed[WHOLE.name])
    cells = ("-" if math.isnan(value) else f"{round(value, 3) + 0.0:+.3f}" for value in differences(quality))
    table.add_row("difference", *cells)
    for variant in VARIANTS:
        if variant != WHOLE:
            _add_row(table, f"{variant.name}, processed", quality.processed[variant.name])
            _add_row(table, f"{variant.name}, held", quality.held[variant.name])
    return table


def _add_row(table: Table, name: str, evaluation: Evaluation) -> None:
    table.add_row(name, *(shown(value) for value in headline(evaluation)), str(evaluation.num_frames))
