"""Which stages share a host, and what follows from the graph alone: the inputs and outputs of a host.

A value of the frame before that a group makes itself is either
- recomputable: nothing that leads to it inside the group looks further back, so it is kept in a
  cache, and on a miss made again from the previous frame's inputs, which every call carries; or
- state: it leads back to itself (a cursor, a track memory), so it leaves the host as an output and
  comes back by value as an input of the next call.
So every call is self-contained, and a host that lost its memory gives the same results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from configs.schema import Settings
from pipeline.graph import (
    DECODE,
    DRIVER_READS,
    ENCODE,
    FRAME_RESULTS,
    GRAPH,
    TRACK,
    Before,
    Link,
    Node,
    Now,
)

BLOCK_BATCHES = 4
"""Consecutive batches that go to the same replica. At the first of them it makes the features of the batch
before again; longer blocks cost less, but more frames must be in flight for all replicas to have work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Stages that share a host."""

    name: str
    nodes: tuple[Node, ...]
    """In the order of the graph."""
    inputs: tuple[Link, ...]
    """What a call must carry."""
    outputs: tuple[str, ...]
    """What others need of a call, and the state that its own next call needs."""
    state: tuple[str, ...]
    """Those among the outputs that come back as an input of the next call."""
    cached: tuple[str, ...]
    """Values kept for the next frame, made again when they are missing."""
    recompute: tuple[Node, ...]
    """The stages that make `cached` of the frame before, from the `Before` inputs."""
    num_hosts: int
    """Hosts that share the frames; 1 where the state of one frame feeds the next."""

    @property
    def host_names(self) -> tuple[str, ...]:
        """Of each of its hosts."""
        if self.num_hosts == 1:
            return (self.name,)
        return tuple(f"{self.name} {number}" for number in range(1, self.num_hosts + 1))

    def host_of(self, stream_number: int, batch: int) -> str:
        """The host for a batch of frames: blocks of them go round, each stream beginning at another host."""
        names = self.host_names
        return names[(stream_number + batch // BLOCK_BATCHES) % len(names)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where everything runs: the groups in an order in which a frame passes them."""

    groups: tuple[Group, ...]
    batch_frames: int
    """Consecutive frames in one call: those from a multiple of this number on."""

    @property
    def hosts(self) -> dict[str, Group | None]:
        """Every host by name, with what it runs; None: the encoder."""
        return {name: group for group in self.groups for name in group.host_names} | {ENCODE: None}


def make_plan(settings: Settings, graph: tuple[Node, ...] = GRAPH) -> Plan:
    """The plan for resolved settings.

    split: each stage has a host of its own. fused: all between decode and encode share one.
    auto: stages whose work is done by the same device share a host, so on a graphics card the
    flow, when OpenCV estimates it on the CPU, runs beside the card's work.
    With replicas, tracking is alone, and what follows it too: in a host with the rest it would make each
    frame wait for the whole of the one before.
    """
    placement, replicas = settings.run.placement, max(1, settings.run.replicas)
    tracks = {output for node in graph if node.name == TRACK for output in node.outputs}
    keys: dict[str, list[Node]] = {}
    for node in graph:
        at_tracking = node.name == TRACK or any(link.value in tracks for link in node.inputs)
        if node.name == DECODE or placement == "split" or (replicas > 1 and at_tracking):
            key = node.name
        elif placement == "fused":
            key = "model"
        else:
            key = device_of(node.name, settings)
        keys.setdefault(key, []).append(node)
    groups = _in_order([_group(nodes, graph, replicas) for nodes in keys.values()])
    return Plan(groups=groups, batch_frames=settings.run.batch_frames)


def window_frames(settings: Settings) -> int:
    """Frames of a stream in flight: what the settings ask for, and enough to keep all hosts at work.

    Whole batches of them.
    """
    replicas, batch_frames = settings.run.replicas, settings.run.batch_frames
    batches = replicas * (BLOCK_BATCHES + 1) if replicas > 1 else min(batch_frames, 2)
    return max(-(-settings.run.window_frames // batch_frames), batches) * batch_frames


def device_of(stage: str, settings: Settings) -> str:
    """The device that does a stage's work."""
    if stage in (DECODE, ENCODE) or (stage == "flow" and settings.flow.backend == "dis"):
        return "cpu"
    return settings.run.device


def _group(nodes: Sequence[Node], graph: tuple[Node, ...], replicas: int) -> Group:
    made = {output for node in nodes for output in node.outputs}
    links = _unique(link for node in nodes for link in node.inputs)
    own_past = [link.value for link in links if isinstance(link, Before) and link.value in made]
    cached = tuple(value for value in own_past if _recomputable(value, nodes))
    state = tuple(value for value in own_past if value not in cached)
    recompute = tuple(node for node in nodes if any(node in _leading_to(value, nodes) for value in cached))
    carried = [link for link in links if link.value not in made]
    carried += [Before(value) for value in state]
    carried += [Before(link.value) for node in recompute for link in node.inputs if link.value not in made]
    wanted = {link.value for node in graph if node not in nodes for link in node.inputs}
    wanted.update(FRAME_RESULTS, DRIVER_READS, state)
    return Group(
        name="+".join(node.name for node in nodes),
        nodes=tuple(nodes),
        inputs=_unique(carried),
        outputs=tuple(value for node in nodes for value in node.outputs if value in wanted),
        state=state,
        cached=cached,
        recompute=recompute,
        num_hosts=1 if state else replicas,
    )


def _leading_to(value: str, nodes: Sequence[Node]) -> list[Node]:
    """The stages among `nodes` that make a value within one frame, in order."""
    wanted = {value}
    chain: list[Node] = []
    for node in reversed(nodes):
        if wanted.intersection(node.outputs):
            chain.insert(0, node)
            wanted.update(link.value for link in node.inputs if isinstance(link, Now))
    return chain


def _recomputable(value: str, nodes: Sequence[Node]) -> bool:
    return all(isinstance(link, Now) for node in _leading_to(value, nodes) for link in node.inputs)


def _in_order(groups: list[Group]) -> tuple[Group, ...]:
    """Groups so that each comes after those whose values it needs of the same frame."""
    ordered: list[Group] = []
    waiting = list(groups)
    while waiting:
        pending = {output for group in waiting for output in group.outputs}
        ready = [group for group in waiting if not any(_needs(group, output) for output in pending)]
        assert ready, f"the groups {[group.name for group in waiting]} need each other"
        ordered += ready
        waiting = [group for group in waiting if group not in ready]
    return tuple(ordered)


def _needs(group: Group, value: str) -> bool:
    return Now(value) in group.inputs


def _unique(links: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(links))
