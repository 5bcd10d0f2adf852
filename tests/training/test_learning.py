"""Every head learns: a tiny network, from random weights to a PQ of 0.9 with every identity kept.

In the clips every object takes another's place with each frame, hides others and is away now and then:
only its looks tell who it is. Network, losses, loop and stages are the real ones.

The second half cuts the gradient of one head at a time. It starts from the trained network with that
head alone as it was before training, which says the same as a whole training with the cut: no loss
that is left touches the head's weights (this is asserted to the last bit), so they stay where they
began, however long the others train, and the others do not need them.

The panoptic loss is no case of its own. It has no weights: it sends a gradient through the semantic and
the mask head, which have losses of their own, so it refines what they learn, and clips this simple are
solved without it. Where one of these two heads is cut, the panoptic loss is cut as well.
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from configs.categories import thing_ids
from models.vpsnet import VPSNet
from stages.messages import Detections
from stages.track import TrackStage
from tests.training.learning import Clip, Verdict, clips_of, judge, random_network, tiny_settings, train_on
from training.samples import as_view

SEEDS = (6, 19, 25)
CUTS: dict[str, tuple[str, ...]] = {
    "semantic": ("semantic", "panoptic"),
    "proposals": ("rpn_class", "rpn_box"),
    "box": ("box_class", "box"),
    "mask": ("mask", "panoptic"),
    "track": ("track",),
}
"""The losses that teach each head."""
AFTERWARDS = ["train.steps=8", "train.learning_rate=1e-4", "train.weight_decay=0"]
"""Some more training of what is trained already."""


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [*clips_of(SEEDS)]


@pytest.fixture(scope="module")
def trained(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> VPSNet:
    """The network after all steps of the tiny preset."""
    settings = tiny_settings()
    return train_on(clips, random_network(settings), settings, tmp_path_factory.mktemp("whole")).averaged


def _trained_on(trained: VPSNet, clips: list[Clip], overrides: list[str], directory: Path) -> VPSNet:
    settings = tiny_settings([*AFTERWARDS, *overrides])
    return train_on(clips, copy.deepcopy(trained), settings, directory).network


def _verdict(network: VPSNet, clips: list[Clip]) -> Verdict:
    return judge(network, tiny_settings(), clips)


def test_overlap_alone_does_not_tell_who_is_who(clips: list[Clip]) -> None:
    """The real tracking on the true boxes, but with nothing known of how an object looks."""
    settings = tiny_settings()
    for clip in clips:
        track, memory = TrackStage(settings), None
        first_track: dict[int, int] = {}
        kept = []
        for index, picture in enumerate(clip):
            view = as_view(picture, thing_ids(settings.categories))
            count, size = len(view.boxes), picture.class_map.shape
            blank = Detections(
                index=index,
                boxes=view.boxes,
                scores=torch.full((count,), 0.99),
                classes=view.classes,
                mask_logits=torch.zeros(count, 28, 28),
                embeddings=torch.zeros(count, 4),
                semantic_logits=torch.zeros(1, 19, size[0] // 4, size[1] // 4),
                network_size=(size[0], size[1]),
                frame_size=(size[0], size[1]),
            )
            tracks, memory = track(blank, memory)
            for number, track_id in zip(view.instances.tolist(), tracks.track_ids.tolist(), strict=True):
                kept.append(first_track.setdefault(number, track_id) == track_id)
        assert sum(kept) < 0.6 * len(kept)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tiny_network_learns_the_frames_and_keeps_every_identity(
    trained: VPSNet, clips: list[Clip]
) -> None:
    verdict = _verdict(trained, clips)
    assert verdict.classes == {"road", "sky", "person", "car"}
    assert verdict.mistakes == ()
    assert verdict.pq >= 0.9
    assert verdict.things_pq >= 0.88


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_still_knows_after_some_more_training_with_nothing_cut(
    trained: VPSNet, clips: list[Clip], tmp_path: Path
) -> None:
    assert _verdict(_trained_on(trained, clips, [], tmp_path), clips).passes


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("head", CUTS)
def test_with_the_gradient_of_one_head_cut_it_fails(
    head: str, trained: VPSNet, clips: list[Clip], tmp_path: Path
) -> None:
    untaught = copy.deepcopy(trained)
    begin = random_network(tiny_settings()).get_submodule(head)
    untaught.get_submodule(head).load_state_dict(begin.state_dict())
    losses = [f"train.{name}_weight=0" for name in CUTS[head]]
    network = _trained_on(untaught, clips, losses, tmp_path)
    moved = [
        name
        for name, value in begin.named_parameters()
        if not torch.equal(value, network.get_parameter(f"{head}.{name}"))
    ]
    verdict = _verdict(network, clips)
    assert moved == []
    assert not verdict.passes
    if head == "track":  # all is seen as before, but nobody knows who is who
        assert verdict.pq >= 0.9
        assert len(verdict.mistakes) >= 10
    elif head == "mask":  # boxes and semantics are as before, and cut out the objects roughly
        assert verdict.things_pq < _verdict(trained, clips).things_pq - 0.04
    else:
        assert verdict.pq < 0.8
