from __future__ import annotations

import pytest

from configs.errors import SettingsError
from configs.resolve import resolve
from configs.schema import RunSettings, Settings
from pipeline.graph import Before, Node, Now
from pipeline.placement import BLOCK_BATCHES, Group, make_plan, window_frames
from tests.pipeline.toy import make_settings


def groups_by_name(settings: Settings) -> dict[str, Group]:
    return {group.name: group for group in make_plan(settings).groups}


def test_fused_has_three_hosts() -> None:
    plan = make_plan(make_settings(placement="fused"))
    assert tuple(plan.hosts) == ("decode", "features+flow+fuse+detect+track+panoptic", "encode")


def test_split_has_a_host_per_stage() -> None:
    plan = make_plan(make_settings(placement="split"))
    assert tuple(plan.hosts) == (
        "decode", "features", "flow", "fuse", "detect", "track", "panoptic", "encode",
    )  # fmt: skip


def test_the_cursor_is_state_of_decode() -> None:
    decode = groups_by_name(make_settings())["decode"]
    assert decode.inputs == (Now("source"), Before("cursor"))
    assert decode.outputs == ("frame", "cursor")
    assert decode.cached == ()


def test_the_fused_host_caches_features_and_carries_the_frame_before_to_make_them_again() -> None:
    model = make_plan(make_settings(placement="fused")).groups[1]
    assert model.cached == ("features",)
    assert [node.name for node in model.recompute] == ["features"]
    assert model.inputs == (Now("frame"), Before("frame"), Before("memory"))


def test_track_memory_is_state_and_leaves_the_fused_host_with_the_map() -> None:
    model = make_plan(make_settings(placement="fused")).groups[1]
    assert model.outputs == ("memory", "panoptic")


def test_features_of_the_frame_before_travel_between_split_hosts() -> None:
    groups = groups_by_name(make_settings(placement="split"))
    assert groups["fuse"].inputs == (Now("features"), Before("features"), Now("flow"))
    assert groups["fuse"].cached == ()
    assert groups["features"].outputs == ("features",)


def test_replicas_share_the_frames_of_all_but_decode_and_track() -> None:
    plan = make_plan(make_settings(placement="fused", replicas=2))
    front = "features+flow+fuse+detect"
    assert tuple(plan.hosts) == (
        "decode", f"{front} 1", f"{front} 2", "track", "panoptic 1", "panoptic 2", "encode",
    )  # fmt: skip
    split = {group.name: group.num_hosts for group in make_plan(make_settings("local", "split", 3)).groups}
    assert split == {
        "decode": 1, "features": 3, "flow": 3, "fuse": 3, "detect": 3, "track": 1, "panoptic": 3,
    }  # fmt: skip


def test_blocks_of_batches_go_round_the_replicas_each_stream_from_another_one() -> None:
    group = groups_by_name(make_settings(placement="split", replicas=3))["detect"]
    first = [group.host_of(0, index) for index in range(4 * BLOCK_BATCHES)]
    assert first == [f"detect {number}" for number in (1, 2, 3, 1) for _ in range(BLOCK_BATCHES)]
    assert [group.host_of(stream, 0) for stream in range(4)] == [f"detect {n}" for n in (1, 2, 3, 1)]


def test_enough_frames_are_in_flight_for_all_replicas() -> None:
    assert window_frames(make_settings(replicas=1)) == 6
    assert window_frames(make_settings(replicas=4)) == 20


def test_a_window_holds_whole_batches_and_more_than_one() -> None:
    assert window_frames(make_settings(batch_frames=4)) == 8
    assert window_frames(make_settings(batch_frames=8)) == 16
    assert window_frames(make_settings(replicas=2, batch_frames=4)) == 40


def test_auto_on_a_graphics_card_estimates_opencv_flow_beside_it() -> None:
    settings = Settings(run=RunSettings(placement="auto", device="cuda", threads=1))
    assert [group.name for group in make_plan(settings).groups] == [
        "decode",
        "flow",
        "features+fuse+detect+track+panoptic",
    ]


def test_auto_on_the_cpu_is_fused() -> None:
    assert make_plan(make_settings(placement="auto")) == make_plan(make_settings(placement="fused"))


def test_a_value_that_leads_back_to_itself_over_two_stages_is_state() -> None:
    graph = (
        Node("decode", (Now("source"),), ("frame",)),
        Node("a", (Now("frame"), Before("y")), ("x",)),
        Node("b", (Now("x"),), ("y",)),
    )
    group = make_plan(make_settings(placement="fused"), graph).groups[1]
    assert group.cached == ()
    assert group.inputs == (Now("frame"), Before("y"))
    assert group.outputs == ("y",)


def test_resolving_gives_a_concrete_device_and_thread_count() -> None:
    run = resolve(Settings()).run
    assert run.device in ("cpu", "cuda")
    assert 1 <= run.threads <= 8


def test_asking_for_a_card_that_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configs.resolve.num_cuda_devices", lambda: 0)
    with pytest.raises(SettingsError, match=r"run\.device: cuda is not there"):
        resolve(Settings(run=RunSettings(device="cuda")))
