"""Warping and correlation, with maps small enough to check by eye."""

from __future__ import annotations

import pytest
import torch

from models.warp import correlation, resize_flow, warp

RAMP = torch.arange(12.0).reshape(1, 1, 3, 4)
"""0 1 2 3 / 4 5 6 7 / 8 9 10 11"""


def _constant_flow(dx: float, dy: float) -> torch.Tensor:
    return torch.tensor([dx, dy]).reshape(1, 2, 1, 1).expand(1, 2, 3, 4)


def test_zero_flow_is_the_identity() -> None:
    torch.testing.assert_close(warp(RAMP, _constant_flow(0, 0)), RAMP)


def test_flow_of_one_pixel_right_pulls_the_right_neighbour() -> None:
    expected = torch.tensor([[1.0, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]])
    torch.testing.assert_close(warp(RAMP, _constant_flow(1, 0))[0, 0], expected)


def test_flow_of_one_pixel_down_pulls_the_pixel_below() -> None:
    expected = torch.tensor([[4.0, 5, 6, 7], [8, 9, 10, 11], [0, 0, 0, 0]])
    torch.testing.assert_close(warp(RAMP, _constant_flow(0, 1))[0, 0], expected)


def test_flow_of_half_a_pixel_averages_two_neighbours() -> None:
    assert warp(RAMP, _constant_flow(0.5, 0))[0, 0, 0, 0].item() == pytest.approx(0.5)


def test_a_pixel_outside_the_map_is_zero() -> None:
    assert warp(RAMP, _constant_flow(100, 0)).abs().max().item() == 0.0


def test_resized_flow_keeps_pointing_at_the_same_place() -> None:
    flow = torch.full((1, 2, 8, 8), 4.0)
    torch.testing.assert_close(resize_flow(flow, (2, 2), 0.25), torch.full((1, 2, 2, 2), 1.0))


def test_correlation_of_a_map_with_itself_is_its_mean_square_at_no_displacement() -> None:
    x = torch.randn(1, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    volume = correlation(x, x, max_displacement=4)
    assert volume.shape == (1, 81, 6, 7)
    torch.testing.assert_close(volume[:, 40], (x * x).mean(1))


def test_correlation_finds_a_map_that_moved_by_one_row_and_two_columns() -> None:
    target = torch.zeros(1, 1, 5, 5)
    target[0, 0, 1, 1] = 1.0
    reference = torch.zeros(1, 1, 5, 5)
    reference[0, 0, 2, 3] = 1.0
    volume = correlation(target, reference, max_displacement=2)
    # channel (dy + 2) * 5 + (dx + 2) with dy = 1, dx = 2
    assert volume[0, :, 1, 1].nonzero()[:, 0].tolist() == [3 * 5 + 4]


def test_correlation_beyond_the_border_is_zero() -> None:
    ones = torch.ones(1, 3, 2, 2)
    volume = correlation(ones, ones, max_displacement=1)
    assert volume[0, 0].tolist() == [[0.0, 0.0], [0.0, 1.0]]  # up and left by one
