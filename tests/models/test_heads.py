"""Boxes, the region heads and the semantic head."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from models.boxes import decode_boxes, encode_boxes, select_objects
from models.heads import MaskHead, ProposalHead, TrackHead
from models.semantic import DeformableConv, SemanticHead

REFERENCE = torch.tensor([[0.0, 0.0, 10.0, 20.0]])
select = partial(select_objects, score_threshold=0.6, nms_iou=0.5, max_objects=100)


def test_codes_of_a_box_shifted_by_a_tenth_of_its_width_and_twice_as_high() -> None:
    codes = encode_boxes(torch.tensor([[1.0, -10.0, 11.0, 30.0]]), REFERENCE)
    assert codes[0].tolist() == pytest.approx([10 * 0.1, 0.0, 0.0, 5 * 0.693147], abs=1e-5)


def test_decoding_inverts_encoding() -> None:
    boxes = torch.tensor([[3.0, 4.0, 9.0, 17.5]])
    torch.testing.assert_close(decode_boxes(encode_boxes(boxes, REFERENCE), REFERENCE), boxes)


def _logits(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_of_two_objects_in_one_place_the_better_stays_whatever_its_class() -> None:
    proposals = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11], [30, 30, 40, 40]])
    logits = _logits((0.1, 0.7, 0.2), (0.1, 0.1, 0.8), (0.2, 0.75, 0.05))
    boxes, scores, labels = select(logits, torch.zeros(3, 12), proposals, (50, 50))
    assert labels.tolist() == [2, 1]
    assert scores.tolist() == pytest.approx([0.8, 0.75])
    assert boxes[1].tolist() == [30.0, 30.0, 40.0, 40.0]


def test_boxes_end_at_the_border_of_the_picture() -> None:
    proposals = torch.tensor([[-5.0, 10, 70, 20]])
    boxes, _, _ = select(_logits((0.1, 0.8, 0.1)), torch.zeros(1, 12), proposals, (50, 60))
    assert boxes.tolist() == [[0.0, 10.0, 60.0, 20.0]]


def test_no_object_above_the_threshold() -> None:
    proposals = torch.tensor([[0.0, 0, 10, 10]])
    boxes, scores, labels = select(_logits((0.5, 0.3, 0.2)), torch.zeros(1, 12), proposals, (50, 50))
    assert (boxes.shape, scores.shape, labels.shape) == ((0, 4), (0,), (0,))


def _levels() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(1, 32, 32 // 2**i, 32 // 2**i, generator=generator) for i in range(5))


def test_the_region_heads_answer_for_no_regions_at_all() -> None:
    levels, none = _levels(), torch.zeros(0, 4)
    masks = MaskHead(32, 16, 1, 2, 112.0)(levels, [none], torch.zeros(0, dtype=torch.int64), (128, 128))
    assert masks.shape == (0, 28, 28)
    assert TrackHead(32, 24, 112.0)(levels, [none], (128, 128)).shape == (0, 24)


def test_proposals_stay_inside_the_picture_and_out_of_the_padding() -> None:
    head = ProposalHead(32, 4.0, 50, 20, 0.7).eval()
    proposals, _ = head(_levels(), (128, 128), [(100, 120)])
    assert len(proposals[0]) <= 20
    assert proposals[0][:, 2].max().item() <= 120
    assert proposals[0][:, 3].max().item() <= 100


def test_a_new_deformable_layer_is_a_plain_convolution() -> None:
    layer = DeformableConv(4, 6)
    x = torch.randn(1, 4, 7, 9)
    plain = torch.nn.functional.conv2d(x, layer.weight, padding=1)
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("deformable", [False, True])
def test_the_semantic_head_scores_each_level_as_if_it_scored_the_concatenation(deformable: bool) -> None:
    head = SemanticHead(32, (32,), 5, deformable).eval()
    levels = _levels()
    maps = [
        torch.nn.functional.interpolate(head.layers(x), (32, 32), mode="bilinear", align_corners=False)
        for x in levels[:4]
    ]
    torch.testing.assert_close(head(levels), head.score(torch.cat(maps, 1)), rtol=1e-4, atol=1e-4)
