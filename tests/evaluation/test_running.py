"""Quality of the running pipeline, measured on real files through real executors."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.categories import CITYSCAPES
from configs.errors import SourceError
from configs.loading import load_settings
from configs.resolve import resolve
from evaluation.document import to_document
from evaluation.formats.coco import category_entries
from evaluation.formats.id_png import write_ids
from evaluation.playing import Codec
from evaluation.running import RunningQuality, evaluate_running
from evaluation.running_report import differences, running_document
from pipeline import run
from pipeline.host import limit_threads
from stages.source import Source
from tests.evaluation.drawing import drawing
from tests.evaluation.formats.sets import Json, annotation, write_description, write_text
from tests.evaluation.video_sets import write_video_set
from tests.pipeline.random_network import OBJECTS, write_random_weights


def quality(folder: Path, executor: str, codec: Codec = "ffv1") -> RunningQuality:
    """Of a random network, which finds something of everything, on two clips."""
    weights = write_random_weights(folder / "weights.safetensors")
    overrides = [f"run.executor={executor}", f"model.weights={weights}", "run.device=cpu", *OBJECTS]
    settings = resolve(load_settings("tiny", overrides))
    limit_threads(settings.run.threads)

    def play(sources: Sequence[Source], results: Path) -> None:
        assert all(report.status == "complete" for report in run(sources, settings, results))

    data = write_video_set(folder / "set", {"a": 7, "b": 5}, labelled_every=2)
    (folder / "work").mkdir()
    return evaluate_running(data, settings, play, folder / "work", windows=(1, 2), codec=codec)


@pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_on_lossless_files_the_pipeline_is_exactly_as_good_as_the_model(
    tmp_path: Path, executor: str
) -> None:
    found = quality(tmp_path, executor)
    model = to_document(found.model)
    assert model == to_document(found.processed["pipeline"])
    assert differences(found) == [0.0] * 5
    rows = model["pq"]["per_class"].values()
    assert sum(row["fp"] for row in rows) > 10, "a network that finds nothing would prove nothing"


def test_frames_that_were_left_out_are_not_judged_or_held(tmp_path: Path) -> None:
    found = quality(tmp_path, "local")
    # a has labels on frames 0, 2, 4, 6 and b on 0, 2, 4; a stride of 4 processes 0 and 4 of each
    assert found.model.num_frames == 7
    assert found.processed["stride-4"].num_frames == 4
    assert {name: held.num_frames for name, held in found.held.items()} == dict.fromkeys(found.held, 7)
    assert found.processed["drop-30"].num_frames < 7
    document = running_document(found)
    assert list(document) == ["model", "pipeline", "difference", "stride-2", "stride-4", "drop-10", "drop-30"]


def test_what_a_lossy_video_costs_shows_as_a_difference(tmp_path: Path) -> None:
    assert any(difference != 0.0 for difference in differences(quality(tmp_path, "local", "h264")))


CARS = {"1155": (0, 2), "1115": (1, 3)}
"""A road and a car: the map of frames 0 and 2, and that of frames 1 and 3."""


def drawn_set(root: Path) -> Path:
    """One video of four frames of 2x4 pixels, alternating between two maps."""
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for rows, numbers in CARS.items():
        for number in numbers:
            name = f"v_{number}.png"
            cv2.imwrite(str(root / "images" / name), np.zeros((2, 4, 3), np.uint8))
            write_ids(root / "panoptic" / name, drawing(rows, rows))
            images.append({"id": number, "file_name": name})
            annotations.append(annotation(number, (1, 0), (5, 13), file_name=name))
    categories = category_entries(CITYSCAPES)
    categories[8]["name"] = "vegitation"  # as Cityscapes-VPS spells it
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_text(root / "panoptic.json", document)
    return root


def perfect(sources: Sequence[Source], results: Path) -> None:
    """Instead of a pipeline: the truth of each frame that is played, written as a run writes it."""
    maps = {number: rows for rows, numbers in CARS.items() for number in numbers}
    for source in sources:
        with av.open(source.paths[0]) as container:
            positions = [round(frame.time * 10) for frame in container.decode(video=0)][:: source.stride]
        entries = []
        for index, position in enumerate(positions):
            name = f"{index:06d}.png"
            write_ids(results / source.name / "panoptic" / name, drawing(maps[position], maps[position]))
            entries.append(annotation(index, (1, 0), (5, 13), file_name=name, video_id="v"))
        write_description(results / source.name / "panoptic.json", entries, CITYSCAPES)


def test_a_frame_that_was_not_processed_shows_the_map_before_it(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path / "weights.safetensors")
    settings = resolve(load_settings("tiny", [f"model.weights={weights}", "run.device=cpu"]))
    found = evaluate_running(drawn_set(tmp_path / "set"), settings, perfect, tmp_path, windows=(1,))
    assert found.processed["stride-2"].pq is not None
    assert found.processed["stride-2"].pq.all.pq == 1.0
    held = found.held["stride-2"].pq
    assert held is not None
    # frames 1 and 3 are judged with the map of 0 and 2: of the car's 4 pixels there, 2 are right
    car, road = held.per_class[13], held.per_class[0]
    assert (car.tp, car.fp, car.fn) == (2, 2, 2)
    assert (road.tp, road.iou_sum) == (4, 2 + 2 * 4 / 6)


def test_categories_that_mean_something_else_are_refused_before_anything_is_played(tmp_path: Path) -> None:
    root = drawn_set(tmp_path / "set")
    settings = resolve(load_settings("tiny", ["run.device=cpu"]))
    description = json.loads((root / "panoptic.json").read_text())
    changes: tuple[tuple[int, Json, str], ...] = (
        (13, {"name": "cat"}, "category 13 is 'cat'"),
        (6, {"name": "traffic sign"}, "category 6 is 'traffic sign'"),
        (13, {"isthing": 0}, r"'car' \(stuff\), but the model's is 'car' \(thing\)"),
        (13, {"id": 77}, "category 13 is nothing"),
    )
    for place, change, message in changes:
        changed = copy.deepcopy(description)
        changed["categories"][place].update(change)
        changed["annotations"] = [annotation(0, (1, 0), file_name="v_0.png")]
        write_text(root / "panoptic.json", changed)
        with pytest.raises(SourceError, match=message):
            evaluate_running(root, settings, perfect, tmp_path / "work", windows=(1,))
        assert not (tmp_path / "work").exists()
