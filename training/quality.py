"""The figures of a validation: as a line, as a table, as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from training.validate import PictureQuality


def headline(quality: PictureQuality) -> str:
    """PQ over all classes, things and stuff, and mIoU, in one line."""
    result = quality.panoptic
    return (
        f"PQ {result.all.pq:.3f} (things {result.things.pq:.3f}, stuff {result.stuff.pq:.3f}), "
        f"mIoU {quality.semantic.mean_iou:.3f}"
    )


def quality_table(quality: PictureQuality) -> str:
    """A Markdown table with a row per class that occurs."""
    lines = ["| class | PQ | SQ | RQ | TP | FP | FN | IoU |", "|---|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.category.name} | {row.pq:.3f} | {row.sq:.3f} | {row.rq:.3f} "
        f"| {row.tp} | {row.fp} | {row.fn} | {iou:.3f} |"
        for row, iou in zip(quality.panoptic.per_class, quality.semantic.per_class, strict=True)
        if row.counts
    ]
    return "\n".join(lines)


def write_quality(quality: PictureQuality, path: Path) -> None:
    """The figures as JSON; a class that does not occur has none."""
    panoptic, semantic = quality.panoptic, quality.semantic
    groups = {"all": panoptic.all, "things": panoptic.things, "stuff": panoptic.stuff}
    document = {
        "pictures": quality.num_pictures,
        "mean_iou": round(semantic.mean_iou, 4),
        "pixel_accuracy": round(semantic.pixel_accuracy, 4),
        "groups": {
            name: {"pq": round(group.pq, 4), "sq": round(group.sq, 4), "rq": round(group.rq, 4)}
            for name, group in groups.items()
            if group.num_classes
        },
        "classes": {
            row.category.name: {
                "pq": round(row.pq, 4),
                "sq": round(row.sq, 4),
                "rq": round(row.rq, 4),
                "tp": row.tp,
                "fp": row.fp,
                "fn": row.fn,
                "iou": round(iou, 4),
            }
            for row, iou in zip(panoptic.per_class, semantic.per_class, strict=True)
            if row.counts
        },
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
