"""preprocess, features, flow, fuse and detect with a small random network on drawn pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.errors import WeightsError
from configs.loading import load_settings
from configs.schema import InputSettings, Settings
from models.vpsnet import VPSNet
from models.weights import load_weights, save_weights
from stages.detect import DetectStage
from stages.features import FeaturesStage
from stages.flow import FlowStage
from stages.fuse import FuseStage
from stages.messages import Frame
from stages.network import architecture_of, load_network, prepare
from stages.preprocess import network_size, padded_size, resized


@pytest.fixture
def settings() -> Settings:
    return load_settings("tiny", ["run.device=cpu", "run.threads=1", "model.precision=fp32"])


@pytest.fixture
def network(settings: Settings) -> VPSNet:
    torch.manual_seed(0)
    return VPSNet(architecture_of(settings)).eval()


def _frame(index: int, shift: int = 0, size: tuple[int, int] = (120, 200)) -> Frame:
    """Smooth noise that moves right by `shift` pixels."""
    noise = np.random.default_rng(0).integers(0, 255, (size[0] // 8, size[1] // 8 + 8, 3), dtype=np.uint8)
    wide = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    image = np.ascontiguousarray(np.roll(wide, shift, axis=1)[:, 32 : 32 + size[1]])
    return Frame(index=index, pts=index, time_base=Fraction(1, 25), duration=1, image=image)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 854), (384, 683)),
        ((1080, 1920), (384, 683)),
        ((200, 1000), (205, 1024)),
        ((854, 480), (683, 384)),
    ],
)
def test_network_size_keeps_the_aspect_within_both_bounds(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    settings = InputSettings(short_side_px=384, max_long_side_px=1024)
    assert network_size(size, settings) == expected


def test_the_padded_size_is_the_next_multiple() -> None:
    assert padded_size((384, 683), 32) == (384, 704)


def test_a_picture_of_the_right_size_is_not_copied() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert resized(image, (4, 6)) is image


def test_features_have_five_levels_over_the_padded_picture(settings: Settings, network: VPSNet) -> None:
    features = FeaturesStage(settings, network)(_frame(3))
    assert features.network_size == (128, 213)
    assert [tuple(level.shape[-2:]) for level in features.levels] == [
        (32, 56),
        (16, 28),
        (8, 14),
        (4, 7),
        (2, 4),
    ]
    assert all(level.dtype == torch.float32 for level in features.levels)


def test_flow_points_back_to_where_things_were(settings: Settings) -> None:
    # the picture moved right by 8 of 200 px, 8.52 network pixels; so things were to the left
    flow = FlowStage(settings)(_frame(1, shift=8), _frame(0))
    assert flow is not None
    assert float(np.median(flow.field[..., 0])) == pytest.approx(-8.52, abs=0.5)
    assert float(np.median(flow.field[..., 1])) == pytest.approx(0.0, abs=0.3)


def test_the_first_frame_has_no_flow(settings: Settings) -> None:
    assert FlowStage(settings)(_frame(0), None) is None


def test_the_first_frame_fuses_with_itself(settings: Settings, network: VPSNet) -> None:
    features = FeaturesStage(settings, network)(_frame(0))
    fuse = FuseStage(settings, network)
    alone, with_itself = fuse(features, None, None), fuse(features, features, None)
    assert all(torch.equal(a, b) for a, b in zip(alone.levels, with_itself.levels, strict=True))
    assert not torch.equal(alone.levels[1], features.levels[1])


def test_fusion_that_is_switched_off_passes_the_features_on(settings: Settings, network: VPSNet) -> None:
    off = settings.model_copy(update={"model": settings.model.model_copy(update={"fuse": False})})
    features = FeaturesStage(off, network)(_frame(0))
    assert FuseStage(off)(features, None, None) is features
    assert FlowStage(off)(_frame(1), _frame(0)) is None


def test_detections_of_a_frame_are_the_same_when_asked_twice(settings: Settings, network: VPSNet) -> None:
    low = settings.detect.model_copy(update={"score_threshold": 0.05})
    detect = DetectStage(settings.model_copy(update={"detect": low}), network)
    features = FeaturesStage(settings, network)(_frame(0))
    one, two = detect(features), detect(features)
    assert len(one.boxes) > 0
    assert torch.equal(one.boxes, two.boxes)
    assert torch.equal(one.mask_logits, two.mask_logits)
    assert one.semantic_logits.shape == (1, 19, 32, 56)
    assert one.scores.tolist() == sorted(one.scores.tolist(), reverse=True)
    assert one.boxes[:, 3].max().item() <= 128


def test_an_object_that_better_ones_of_its_class_cover_is_not_handed_on(
    settings: Settings, network: VPSNet
) -> None:
    features = FeaturesStage(settings, network)(_frame(0))
    counts = []
    for most in (1.0, 0.0):
        update = {"score_threshold": 0.05, "nms_iou": 0.9, "mask_overlap_max": most}
        rules = settings.detect.model_copy(update=update)
        found = DetectStage(settings.model_copy(update={"detect": rules}), network)(features)
        assert len(found.boxes) == len(found.mask_logits) == len(found.embeddings)
        counts.append(len(found.boxes))
    assert counts[0] > counts[1] > 0


@pytest.mark.parametrize("threshold", [0.05, 1.0])
def test_a_batch_gives_what_its_frames_give_one_by_one(
    settings: Settings, network: VPSNet, threshold: float
) -> None:
    rules = settings.detect.model_copy(update={"score_threshold": threshold})  # at 1.0 nothing is found
    detect = DetectStage(settings.model_copy(update={"detect": rules}), network)
    extract, flow, fuse = FeaturesStage(settings, network), FlowStage(settings), FuseStage(settings, network)
    frames = [_frame(index, shift=16 * index) for index in range(3)]
    features = extract.batch(frames)
    flows = [flow(frame, before) for frame, before in zip(frames, [None, *frames], strict=False)]
    together = detect.batch(fuse.batch(features, [None, *features[:2]], flows))
    before = None
    for frame, field, of_batch in zip(frames, flows, together, strict=True):
        alone = extract(frame)
        found = detect(fuse(alone, before, field))
        assert of_batch.index == found.index
        for name in ("boxes", "scores", "classes", "mask_logits", "embeddings", "semantic_logits"):
            torch.testing.assert_close(getattr(of_batch, name), getattr(found, name), rtol=1e-3, atol=1e-3)
        before = alone
    assert any(len(found.boxes) for found in together) == (threshold < 1)


def test_missing_weights_are_an_error_that_names_the_remedy(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"model\.weights is not set.*--set model\.weights=FILE"):
        load_network(settings)
    lost = settings.model.model_copy(update={"weights": str(tmp_path / "lost.safetensors")})
    with pytest.raises(WeightsError, match=r"lost\.safetensors: no such weights file"):
        load_network(settings.model_copy(update={"model": lost}))


def test_preparing_leaves_the_network_as_it_was(settings: Settings, network: VPSNet) -> None:
    names = list(network.state_dict())
    prepared = prepare(network.train(), settings)
    assert list(network.state_dict()) == names
    assert network.training
    assert not prepared.training
    assert len(prepared.state_dict()) < len(names)  # the norms are folded


def test_a_stage_built_from_a_file_equals_one_built_from_the_network(
    settings: Settings, network: VPSNet, tmp_path: Path
) -> None:
    save_weights(network, tmp_path / "w.safetensors")
    model = settings.model.model_copy(update={"weights": str(tmp_path / "w.safetensors")})
    stored = settings.model_copy(update={"model": model})
    one = FeaturesStage(stored)(_frame(0))
    load_weights(network, tmp_path / "w.safetensors")  # as the file has them, in half precision
    two = FeaturesStage(stored, prepare(network, stored))(_frame(0))
    assert all(torch.equal(a, b) for a, b in zip(one.levels, two.levels, strict=True))
