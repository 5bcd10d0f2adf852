"""Time and memory of VPQ and STQ on large frames, and how a plain implementation compares.

    python -m benchmarks.evaluation [--frames 300] [--plain-frames 30] [--rounds 3]

Videos of 30 frames are drawn: 1024x2048 pixels, 60 segments a frame that move and hide each other; the
prediction is shifted, changes some classes and swaps some identities. They are written as COCO panoptic
files, and a process of its own evaluates them, PNG files included, with windows of 1, 2, 3 and 4 frames.

The plain implementation does what evaluation scripts commonly do: it stacks the maps of every window and
counts them anew, and counts each frame once more for STQ. It runs on the first frames only; both sides of
the ratio are measured on those, and have to give the same figures.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import machine_line
from configs.categories import CITYSCAPES
from evaluation.evaluate import Evaluation, evaluate
from evaluation.formats.coco import category_entries, open_coco, write_json
from evaluation.formats.id_png import write_ids
from evaluation.formats.labelled import LabelledSet, Labels
from evaluation.segments import LabelledSegment

SIZE = (1024, 2048)
NUM_SEGMENTS = 60
FRAMES_PER_VIDEO = 30
WINDOWS = (1, 2, 3, 4)
STUFF, THINGS = tuple(range(11)), tuple(range(11, 19))
VOID_CLASS = len(CITYSCAPES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the set, then measure; or (with --one) evaluate a set in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--plain-frames", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        print(json.dumps(_measure(options.one)))
        return
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        whole, first = Path(folder) / "whole", Path(folder) / "first"
        write_set(whole, options.frames)
        write_set(first, options.plain_frames)
        rounds = [_in_own_process(whole) for _ in range(options.rounds)]
        ratios = [_ratio(first) for _ in range(options.rounds)]
    seconds = statistics.median(one["seconds"] for one in rounds)
    print(
        f"VPQ {WINDOWS} and STQ, {options.frames} frames of {SIZE[1]}x{SIZE[0]}, {NUM_SEGMENTS} segments each"
    )
    print(
        f"  {seconds:.1f} s, peak {max(one['peak_gib'] for one in rounds):.2f} GiB (median of {len(rounds)})"
    )
    print(
        f"  plain implementation: {statistics.median(ratios):.1f} times as long "
        f"({options.plain_frames} frames)"
    )


# the set


def write_set(folder: Path, num_frames: int) -> None:
    """gt.json, gt/, pred.json, pred/."""
    annotations: dict[str, list[dict[str, object]]] = {"gt": [], "pred": []}
    for number in range(num_frames):
        video, index = divmod(number, FRAMES_PER_VIDEO)
        name = f"{video:04d}_{index:04d}.png"
        for side, labels in zip(("gt", "pred"), draw(video, index), strict=True):
            write_ids(folder / side / name, labels[0])
            info = [{"id": s.id, "category_id": s.category_id} for s in labels[1]]
            annotations[side].append({"image_id": number, "file_name": name, "segments_info": info})
    for side, listed in annotations.items():
        document = {"annotations": listed, "categories": category_entries(CITYSCAPES)}
        write_json(folder / f"{side}.json", document)


def draw(video: int, index: int) -> tuple[Labels, Labels]:
    """Truth and prediction of a frame, a pure function of its place."""
    rng = np.random.default_rng(video)
    bands = np.repeat(np.arange(len(STUFF)), math.ceil(SIZE[0] / len(STUFF)))[: SIZE[0]]
    gt = np.repeat(bands[:, None], SIZE[1], axis=1).astype(np.int32)
    objects = NUM_SEGMENTS - len(STUFF)
    places = rng.integers((0, 0), (SIZE[1], SIZE[0]), (objects, 2))
    speeds, axes = rng.integers(-9, 10, (objects, 2)), rng.integers(15, 130, (objects, 2))
    for position in range(objects):
        centre = (places[position] + index * speeds[position]) % (SIZE[1], SIZE[0])
        cv2.ellipse(gt, centre.tolist(), axes[position].tolist(), 0, 0, 360, len(STUFF) + position, -1)
    pred = np.roll(gt, (3, 5), axis=(0, 1))
    classes = np.array([*STUFF, *rng.choice(THINGS, objects)])
    wrong = classes.copy()
    wrong[len(STUFF) :: 10] = THINGS[0]  # every tenth object gets another class
    identity = np.arange(NUM_SEGMENTS)
    if index % 8 >= 4:  # now and then two objects swap identities
        identity[[20, 21]] = identity[[21, 20]]
    gt_ids, pred_ids = 1000 * np.arange(1, NUM_SEGMENTS + 1), 257 * (identity + 1)
    gt[:40] = pred[-40:] = -1
    return _labels(gt, gt_ids, classes), _labels(pred, pred_ids, wrong)


def _labels(positions: np.ndarray, ids: np.ndarray, classes: np.ndarray) -> Labels:
    """From positions of segments, -1 = void."""
    present = np.flatnonzero(np.bincount(positions.reshape(-1) + 1)[1:])
    segments = [LabelledSegment(id=int(ids[n]), category_id=int(classes[n])) for n in present]
    return np.append(ids, 0).astype(np.int32)[positions], segments


# the measurements


def _measure(folder: Path) -> dict[str, float]:
    start_s = time.monotonic()
    result = _evaluate(folder)
    seconds = time.monotonic() - start_s
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    assert result.vpq is not None
    return {"seconds": seconds, "peak_gib": peak_gib, "vpq": result.vpq.all}


def _in_own_process(folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.evaluation", "--one", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {figures['seconds']:.1f} s, {figures['peak_gib']:.2f} GiB", file=sys.stderr)
    return figures


def _evaluate(folder: Path) -> Evaluation:
    truth, prediction = _open(folder)
    return evaluate(truth, prediction, ("vpq", "stq"), WINDOWS)


def _ratio(folder: Path) -> float:
    """Seconds of the plain implementation by ours, on the same files."""
    start_s = time.monotonic()
    ours = _evaluate(folder)
    middle_s = time.monotonic()
    vpq, stq = plain_figures(folder)
    end_s = time.monotonic()
    assert ours.vpq is not None
    assert ours.stq is not None
    if abs(ours.vpq.all - vpq) > 1e-9 or abs(ours.stq.total.stq - stq) > 1e-9:
        raise SystemExit(f"VPQ {ours.vpq.all} and STQ {ours.stq.total.stq}, but plainly {vpq} and {stq}")
    return (end_s - middle_s) / (middle_s - start_s)


def _open(folder: Path) -> tuple[LabelledSet, LabelledSet]:
    truth = open_coco(folder / "gt.json", folder / "gt")
    return truth, open_coco(folder / "pred.json", folder / "pred", truth.categories)


# the plain implementation


def plain_figures(folder: Path) -> tuple[float, float]:
    """VPQ (mean over the windows) and STQ by counting every window and every frame anew."""
    truth, prediction = _open(folder)
    videos: dict[str, list[tuple[Labels, Labels]]] = {}
    for expected, found in zip(truth.frames, prediction.frames, strict=True):
        pair = (truth.read(expected), prediction.read(found))
        videos.setdefault(expected.video, []).append(pair)
    vpq = []
    for length in WINDOWS:
        counts: Counter[tuple[str, int]] = Counter()
        for frames in videos.values():
            for start in range(len(frames) - length + 1):
                _count_window(frames[start : start + length], counts)
        vpq.append(_mean_quality(counts))
    return sum(vpq) / len(vpq), _plain_stq(list(videos.values()))


def _count_window(frames: Sequence[tuple[Labels, Labels]], counts: Counter[tuple[str, int]]) -> None:
    """tp, fp, fn and the IoU in 1/10^15 of each class in one window; the set has no crowds."""
    gt, pred = (np.stack([frame[side][0] for frame in frames]) for side in (0, 1))
    classes = [{s.id: s.category_id for frame in reversed(frames) for s in frame[side][1]} for side in (0, 1)]
    areas = [dict(_unique(ids)) for ids in (gt, pred)]
    pairs = dict(_unique(gt.astype(np.int64) << 24 | pred))
    matched: set[tuple[int, int]] = set()
    for code, shared in pairs.items():
        g, p = code >> 24, code & 0xFFFFFF
        if g == 0 or p == 0 or classes[0][g] != classes[1][p]:
            continue
        iou = shared / (areas[0][g] + areas[1][p] - shared - pairs.get(p, 0))
        if iou > 0.5:
            matched |= {(0, g), (1, p)}
            counts["tp", classes[0][g]] += 1
            counts["iou", classes[0][g]] += round(iou * 10**15)
    counts.update(("fn", classes[0][g]) for g in areas[0] if g and (0, g) not in matched)
    counts.update(
        ("fp", classes[1][p])
        for p in areas[1]
        if p and (1, p) not in matched and pairs.get(p, 0) <= areas[1][p] / 2
    )


def _mean_quality(counts: Counter[tuple[str, int]]) -> float:
    qualities = []
    for category in {category for _, category in counts}:
        tp, fp, fn, iou = (counts[kind, category] for kind in ("tp", "fp", "fn", "iou"))
        qualities.append(iou / 10**15 / (tp + fp / 2 + fn / 2))
    return sum(qualities) / len(qualities)


def _plain_stq(videos: Sequence[Sequence[tuple[Labels, Labels]]]) -> float:
    confusion: Counter[tuple[int, int]] = Counter()
    association, num_tubes = 0.0, 0
    for frames in videos:
        truth: Counter[int] = Counter()
        prediction: Counter[int] = Counter()
        both: Counter[tuple[int, int]] = Counter()
        for gt, pred in frames:
            y_true, y_pred = (_tube_map(labels) for labels in (gt, pred))
            for code, pixels in _unique(y_true << 32 | y_pred):
                g, p = code >> 32, code & 0xFFFFFFFF
                confusion[g >> 24, p >> 24] += pixels
                is_thing = [value >> 24 in THINGS for value in (g, p)]
                truth.update({g: pixels} if is_thing[0] else {})
                prediction.update({p: pixels} if is_thing[1] else {})
                both.update({(g, p): pixels} if all(is_thing) else {})
        num_tubes += len(truth)
        association += sum(n * n / (truth[g] + prediction[p] - n) / truth[g] for (g, p), n in both.items())
    table = np.zeros((VOID_CLASS + 1, VOID_CLASS + 1))
    for (g, p), pixels in confusion.items():
        table[g, p] = pixels if g != VOID_CLASS else 0
    union = table.sum(axis=0) + table.sum(axis=1) - table.diagonal()
    sq = (table.diagonal()[union > 0] / union[union > 0]).mean()
    return math.sqrt(association / num_tubes * float(sq))


def _tube_map(labels: Labels) -> np.ndarray:
    """(class << 24) + id of each pixel; void is a class of its own."""
    ids, segments = labels
    tubes = np.full(ids.shape, VOID_CLASS << 24, np.int64)
    for segment in segments:
        tubes[ids == segment.id] = (segment.category_id << 24) + segment.id
    return tubes


def _unique(values: np.ndarray) -> Iterator[tuple[int, int]]:
    found, counts = np.unique(values, return_counts=True)
    return zip(found.tolist(), counts.tolist(), strict=True)


if __name__ == "__main__":
    main()
