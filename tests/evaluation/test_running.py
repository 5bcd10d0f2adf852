"""Quality of the running pipeline, measured on real files through real executors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from configs.loading import load_settings
from evaluation.document import to_document
from evaluation.playing import Codec
from evaluation.running import RunningQuality, evaluate_running
from evaluation.running_report import differences, running_document
from pipeline import run
from pipeline.host import limit_threads
from pipeline.resolve import resolve
from stages.source import Source
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
