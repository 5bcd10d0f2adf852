"""An evaluation as JSON and as tables: fractions of 1; what has no value is null, or a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from evaluation.evaluate import Evaluation
from evaluation.identity import MEASURES, IdentityResult
from evaluation.matching import ClassQuality, MeanQuality, PanopticResult
from evaluation.stq import TrackingQuality, TrackingResult
from evaluation.vpq import VideoPanopticResult

if TYPE_CHECKING:
    from rich.table import Table

Json = dict[str, Any]

_MOST_COLUMNS = 7
"""What fits 80 characters beside the names of the classes."""
_IDENTITY_FIGURES = {"hota": ("HOTA", "DetA", "AssA", "LocA"), "idf1": ("IDF1", "IDP", "IDR")}


def to_document(evaluation: Evaluation) -> Json:
    """The measures asked for, by their names."""
    document: Json = {}
    if evaluation.pq is not None:
        document["pq"] = _panoptic(evaluation.pq)
    if evaluation.vpq is not None:
        document["vpq"] = _video_panoptic(evaluation.vpq)
    if evaluation.stq is not None:
        document["stq"] = _tracking(evaluation, evaluation.stq)
    if evaluation.identity is not None:
        for metric, figures in _IDENTITY_FIGURES.items():
            if metric in evaluation.metrics:
                document[metric] = _identity(evaluation.identity, figures)
    return document


def tables(evaluation: Evaluation) -> Iterator[Table]:
    """Groups, then classes, then videos."""
    yield _group_table(evaluation)
    yield from _class_tables(evaluation)
    if evaluation.stq is not None:
        yield _video_table(evaluation.stq)


# JSON


def _panoptic(result: PanopticResult) -> Json:
    return {
        "all": _mean(result.all),
        "things": _mean(result.things),
        "stuff": _mean(result.stuff),
        "per_class": {str(row.category.id): _class(row) for row in result.per_class},
    }


def _mean(mean: MeanQuality) -> Json:
    return {"pq": _number(mean.pq), "sq": _number(mean.sq), "rq": _number(mean.rq), "n": mean.num_classes}


def _class(row: ClassQuality) -> Json:
    return {
        "pq": row.pq,
        "sq": row.sq,
        "rq": row.rq,
        "tp": row.tp,
        "fp": row.fp,
        "fn": row.fn,
        "iou_sum": row.iou_sum,
    }


def _video_panoptic(result: VideoPanopticResult) -> Json:
    return {
        "windows": {str(length): _panoptic(quality) for length, quality in result.windows.items()},
        "all": _number(result.all),
        "things": _number(result.things),
        "stuff": _number(result.stuff),
    }


def _tracking(evaluation: Evaluation, result: TrackingResult) -> Json:
    ids = (str(category.id) for category in evaluation.categories)
    return {
        **_stq(result.total),
        "per_class_iou": {
            number: _number(iou) for number, iou in zip(ids, result.per_class_iou, strict=True)
        },
        "per_sequence": {video: _stq(quality) for video, quality in result.per_video.items()},
    }


def _stq(quality: TrackingQuality) -> Json:
    return {"stq": _number(quality.stq), "aq": quality.aq, "sq": _number(quality.sq)}


def _identity(result: IdentityResult, figures: Iterable[str]) -> Json:
    return {
        "all": {figure.lower(): _number(result.mean[figure]) for figure in figures},
        "per_class": {
            str(category): {figure.lower(): _number(row[figure]) for figure in figures}
            for category, row in result.per_class.items()
        },
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


# tables


def _group_table(evaluation: Evaluation) -> Table:
    table = plain_table(
        f"{evaluation.num_frames} frames", "", "all", "things", "stuff", "SQ", "RQ", "classes"
    )
    if evaluation.pq is not None:
        table.add_row("PQ", *_group_cells(evaluation.pq))
    if evaluation.vpq is not None:
        for length, quality in evaluation.vpq.windows.items():
            name = f"VPQ, {length} frame{'s' if length > 1 else ''}"
            table.add_row(name, *_group_cells(quality))
        vpq = evaluation.vpq
        table.add_row("VPQ, mean", *(shown(value) for value in (vpq.all, vpq.things, vpq.stuff)))
    if evaluation.stq is not None:
        total = evaluation.stq.total
        for name, value in (("STQ", total.stq), ("AQ", total.aq), ("SQ", total.sq)):
            table.add_row(name, shown(value))
    if evaluation.identity is not None:
        for metric, figures in _IDENTITY_FIGURES.items():
            if metric in evaluation.metrics:
                for figure in figures:
                    table.add_row(figure, "", shown(evaluation.identity.mean[figure]))
    return table


def _group_cells(result: PanopticResult) -> list[str]:
    groups = (result.all, result.things, result.stuff)
    figures = (*(group.pq for group in groups), result.all.sq, result.all.rq)
    return [*(shown(value) for value in figures), str(result.all.num_classes)]


def _class_tables(evaluation: Evaluation) -> Iterator[Table]:
    """A row per class that occurs: PQ with its counts; VPQ by window, IoU, HOTA and IDF1."""
    occurring = [n for n in range(len(evaluation.categories)) if _occurs(evaluation, n)]
    others = list(_other_columns(evaluation).items())
    starts = range(0, len(others), _MOST_COLUMNS)
    parts = [dict(others[start : start + _MOST_COLUMNS]) for start in starts]
    for title, columns in (("PQ", _pq_columns(evaluation)), *(("class by class", part) for part in parts)):
        if columns:
            table = plain_table(title, "", *columns)
            for place in occurring:
                cells = (column[place] for column in columns.values())
                table.add_row(evaluation.categories[place].name, *cells)
            yield table


def _pq_columns(evaluation: Evaluation) -> dict[str, list[str]]:
    """Heading to cells, in the order of the categories."""
    if evaluation.pq is None:
        return {}
    rows = evaluation.pq.per_class
    columns = {name: [_class_cell(row, name.lower()) for row in rows] for name in ("PQ", "SQ", "RQ")}
    return columns | {name: [str(getattr(row, name.lower())) for row in rows] for name in ("TP", "FP", "FN")}


def _class_cell(row: ClassQuality, figure: str) -> str:
    """A class that is in no mean has a dash, though its figure is 0."""
    return shown(getattr(row, figure)) if row.counts else "-"


def _other_columns(evaluation: Evaluation) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    if evaluation.vpq is not None:
        for length, quality in evaluation.vpq.windows.items():
            columns[f"VPQ {length}"] = [_class_cell(row, "pq") for row in quality.per_class]
    if evaluation.stq is not None:
        columns["IoU"] = [shown(iou) for iou in evaluation.stq.per_class_iou]
    if evaluation.identity is not None:
        by_class, nothing = evaluation.identity.per_class, dict.fromkeys(MEASURES, math.nan)
        for name in ("HOTA", "IDF1"):
            if name.lower() in evaluation.metrics:
                rows = [by_class.get(category.id, nothing) for category in evaluation.categories]
                columns[name] = [shown(row[name]) for row in rows]
    return columns


def _occurs(evaluation: Evaluation, place: int) -> bool:
    """Whether truth or prediction shows the class."""
    results = [evaluation.pq] if evaluation.pq is not None else []
    results += list(evaluation.vpq.windows.values()) if evaluation.vpq is not None else []
    if any(result.per_class[place].counts for result in results):
        return True
    if evaluation.stq is not None and not math.isnan(evaluation.stq.per_class_iou[place]):
        return True
    identity = evaluation.identity
    return identity is not None and evaluation.categories[place].id in identity.per_class


def _video_table(result: TrackingResult) -> Table:
    table = plain_table("per video", "", "STQ", "AQ", "SQ")
    for video, quality in result.per_video.items():
        table.add_row(video, shown(quality.stq), shown(quality.aq), shown(quality.sq))
    return table


def plain_table(title: str, *columns: str) -> Table:
    """An empty table without lines between its columns; all but the first are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def shown(value: float) -> str:
    """A fraction of 1, or a dash for what has no value."""
    return "-" if math.isnan(value) else f"{value:.3f}"
