from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytest

from pipeline.graph import Before
from pipeline.host import BatchCall, CallReport, StageHost, Worker
from pipeline.placement import Group, Plan, make_plan
from stages.messages import Panoptic
from tests.pipeline.toy import (
    FIRST_RESULTS,
    Fault,
    Placement,
    ToyBatchStage,
    ToySource,
    make_factory,
    make_settings,
)

NUM_FRAMES = 5
Values = dict[tuple[str, int], Any]
"""Name and number of the batch; a tuple of a value a frame, but of state the last one."""


def all_values(plan: Plan) -> Values:
    """Every value of every frame, by hosts that run in order."""
    hosts = {group.name: make_host(group) for group in plan.groups}
    values: Values = {}
    for number in range(-(-NUM_FRAMES // plan.batch_frames)):
        for group in plan.groups:
            outputs = hosts[group.name](call_of(number, plan.batch_frames), inputs_of(group, number, values))
            values.update(
                ((name, number), value) for name, value in zip(group.outputs, outputs, strict=False)
            )
    return values


def call_of(number: int, batch_frames: int = 1, stream: str = "toy") -> BatchCall:
    first = number * batch_frames
    return BatchCall(stream=stream, first_index=first, num_frames=min(batch_frames, NUM_FRAMES - first))


def inputs_of(group: Group, number: int, values: Values) -> list[Any]:
    return [
        ToySource(num_frames=NUM_FRAMES)
        if link.value == "source"
        else values.get((link.value, number - isinstance(link, Before)))
        for link in group.inputs
    ]


def make_host(group: Group, fault: Fault | None = None) -> StageHost:
    return StageHost(group, make_settings(), make_factory(fault), time.process_time)


def labels(panoptics: Sequence[Panoptic]) -> list[int]:
    return [int(panoptic.label_map[0, 0]) for panoptic in panoptics]


@pytest.mark.parametrize("batch_frames", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("placement", ["split", "fused"])
def test_hosts_pass_the_values_of_the_graph(placement: Placement, batch_frames: int) -> None:
    values = all_values(make_plan(make_settings(placement=placement, batch_frames=batch_frames)))
    batches = [values["panoptic", number] for number in range(-(-NUM_FRAMES // batch_frames))]
    assert labels(list(chain(*batches))) == list(FIRST_RESULTS)


@pytest.mark.parametrize("batch_frames", [1, 2])
@pytest.mark.parametrize("placement", ["split", "fused"])
def test_a_fresh_host_for_every_call_in_any_order_gives_the_same_results(
    placement: Placement, batch_frames: int
) -> None:
    plan = make_plan(make_settings(placement=placement, batch_frames=batch_frames))
    values = all_values(plan)
    last_group = plan.groups[-1]
    for number in (1, 0, 2):
        host = make_host(last_group)
        outputs = host(call_of(number, batch_frames), inputs_of(last_group, number, values))
        first = number * batch_frames
        expected = list(FIRST_RESULTS[first : first + batch_frames])
        assert labels(outputs[last_group.outputs.index("panoptic")]) == expected


def test_features_run_once_per_frame_when_frames_come_in_order() -> None:
    plan = make_plan(make_settings(placement="fused"))
    values = all_values(plan)
    host, group = make_host(plan.groups[1]), plan.groups[1]
    for index in range(NUM_FRAMES):
        host(call_of(index), inputs_of(group, index, values))
    assert batches(host, "features") == [1] * NUM_FRAMES


def test_features_of_the_frame_before_are_made_again_when_another_stream_has_the_host() -> None:
    plan = make_plan(make_settings(placement="fused"))
    values = all_values(plan)
    host, group = make_host(plan.groups[1]), plan.groups[1]
    for stream in ("first", "second"):
        outputs = host(call_of(3, stream=stream), inputs_of(group, 3, values))
        assert labels(outputs[group.outputs.index("panoptic")]) == [FIRST_RESULTS[3]]
    assert batches(host, "features") == [1, 1, 1, 1]


def test_what_is_made_again_is_computed_in_the_batch_it_was_made_in() -> None:
    plan = make_plan(make_settings(placement="fused", batch_frames=2))
    values = all_values(plan)
    host, group = make_host(plan.groups[1]), plan.groups[1]
    host(call_of(2, 2), inputs_of(group, 2, values))  # frame 4, the last one; before it frames 2 and 3
    assert batches(host, "features") == [2, 1]
    assert batches(host, "detect") == [1]


def batches(host: StageHost, stage: str) -> list[int]:
    """Frames of each call of a stage."""
    toy = host._stages[stage]
    assert isinstance(toy, ToyBatchStage)
    return toy.batches


def test_the_last_output_reports_each_stage_with_its_times() -> None:
    group = make_plan(make_settings(placement="split")).groups[1]
    values = all_values(make_plan(make_settings(placement="split")))
    *_, call = make_host(group)(call_of(0), inputs_of(group, 0, values))
    assert isinstance(call, CallReport)
    assert call.worker == Worker(node=platform.node(), pid=os.getpid())
    (report,) = call.stages
    assert report.stage == "features"
    assert report.start_s <= report.end_s <= time.monotonic()


def test_what_a_stage_raises_names_stage_stream_and_frame() -> None:
    group = make_plan(make_settings(placement="fused")).groups[1]
    values = all_values(make_plan(make_settings(placement="fused")))
    host = make_host(group, Fault(stage="detect", index=0))
    with pytest.raises(ValueError, match="boom") as caught:
        host(call_of(2, stream="car"), inputs_of(group, 2, values))
    assert caught.value.__notes__ == ["stage detect, stream car, frame 2"]


def test_what_a_stage_of_the_network_raises_names_all_frames_of_its_batch() -> None:
    plan = make_plan(make_settings(placement="split", batch_frames=2))
    detect = next(group for group in plan.groups if group.name == "detect")
    host = make_host(detect, Fault(stage="detect", index=0))
    with pytest.raises(ValueError, match="boom") as caught:
        host(call_of(1, 2), inputs_of(detect, 1, all_values(plan)))
    assert caught.value.__notes__ == ["stage detect, stream toy, frames 2 to 3"]
