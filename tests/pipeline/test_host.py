from __future__ import annotations

import os
import platform
import time
from typing import Any

import pytest

from pipeline.graph import Before
from pipeline.host import CallReport, FrameCall, StageHost, Worker
from pipeline.placement import Group, Plan, make_plan
from stages.messages import Panoptic
from tests.pipeline.toy import (
    FIRST_RESULTS,
    Fault,
    Placement,
    ToySource,
    ToyStage,
    make_factory,
    make_settings,
)

NUM_FRAMES = 5


def all_values(plan: Plan) -> dict[tuple[str, int], Any]:
    """Every value of every frame, by hosts that run in order."""
    hosts = {group.name: make_host(group) for group in plan.groups}
    values: dict[tuple[str, int], Any] = {}
    for index in range(NUM_FRAMES):
        for group in plan.groups:
            outputs = hosts[group.name](FrameCall(stream="toy", index=index), inputs_of(group, index, values))
            values.update(((name, index), value) for name, value in zip(group.outputs, outputs, strict=False))
    return values


def inputs_of(group: Group, index: int, values: dict[tuple[str, int], Any]) -> list[Any]:
    given = {("source", i): ToySource(num_frames=NUM_FRAMES) for i in range(NUM_FRAMES)} | values
    return [given.get((link.value, index - isinstance(link, Before))) for link in group.inputs]


def make_host(group: Group, fault: Fault | None = None) -> StageHost:
    return StageHost(group, make_settings(), make_factory(fault), time.process_time)


def label(panoptic: Panoptic) -> int:
    return int(panoptic.label_map[0, 0])


@pytest.mark.parametrize("placement", ["split", "fused"])
def test_hosts_pass_the_values_of_the_graph(placement: Placement) -> None:
    values = all_values(make_plan(make_settings(placement=placement)))
    assert tuple(label(values["panoptic", index]) for index in range(NUM_FRAMES)) == FIRST_RESULTS


@pytest.mark.parametrize("placement", ["split", "fused"])
def test_a_fresh_host_for_every_call_in_any_order_gives_the_same_results(placement: Placement) -> None:
    plan = make_plan(make_settings(placement=placement))
    values = all_values(plan)
    last_group = plan.groups[-1]
    for index in (3, 0, 4, 2, 1):
        host = make_host(last_group)
        outputs = host(FrameCall(stream="toy", index=index), inputs_of(last_group, index, values))
        by_name = dict(zip(last_group.outputs, outputs, strict=False))
        assert label(by_name["panoptic"]) == FIRST_RESULTS[index]


def test_features_run_once_per_frame_when_frames_come_in_order() -> None:
    plan = make_plan(make_settings(placement="fused"))
    values = all_values(plan)
    host, group = make_host(plan.groups[1]), plan.groups[1]
    for index in range(NUM_FRAMES):
        host(FrameCall(stream="toy", index=index), inputs_of(group, index, values))
    assert num_calls(host, "features") == NUM_FRAMES


def test_features_of_the_frame_before_are_made_again_when_another_stream_has_the_host() -> None:
    plan = make_plan(make_settings(placement="fused"))
    values = all_values(plan)
    host, group = make_host(plan.groups[1]), plan.groups[1]
    for stream in ("first", "second"):
        outputs = host(FrameCall(stream=stream, index=3), inputs_of(group, 3, values))
        assert label(outputs[group.outputs.index("panoptic")]) == FIRST_RESULTS[3]
    assert num_calls(host, "features") == 4


def num_calls(host: StageHost, stage: str) -> int:
    toy = host._stages[stage]
    assert isinstance(toy, ToyStage)
    return toy.num_calls


def test_the_last_output_reports_each_stage_with_its_times() -> None:
    group = make_plan(make_settings(placement="split")).groups[1]
    values = all_values(make_plan(make_settings(placement="split")))
    *_, call = make_host(group)(FrameCall(stream="toy", index=0), inputs_of(group, 0, values))
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
        host(FrameCall(stream="car", index=2), inputs_of(group, 2, values))
    assert caught.value.__notes__ == ["stage detect, stream car, frame 2"]
