"""Flow backends on pictures that move by a known amount, and the files RAFT's weights come in."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torchvision

from models.flow import RaftSmall, dense_inverse_search, raft_state


def _smooth_noise(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3.0)
    return np.asarray(cv2.normalize(blurred, blurred, 0, 255, cv2.NORM_MINMAX))


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-4, 2), (0, 0)])
def test_dis_points_back_to_where_the_picture_was(dx: int, dy: int) -> None:
    wide = _smooth_noise(160, 200)
    previous = wide[20:120, 20:180]
    current = wide[20 - dy : 120 - dy, 20 - dx : 180 - dx]  # everything moved by (dx, dy)
    flow = dense_inverse_search(np.ascontiguousarray(current), np.ascontiguousarray(previous))
    assert flow.shape == (100, 160, 2)
    inner = flow[12:-12, 12:-12].reshape(-1, 2)
    assert np.median(inner, axis=0).tolist() == pytest.approx([-dx, -dy], abs=0.2)


@pytest.mark.parametrize("size", [(64, 85), (64, 128), (224, 398)])
def test_dis_answers_the_same_pair_the_same_way_whatever_came_before(size: tuple[int, int]) -> None:
    wide = _smooth_noise(size[0] + 8, size[1] + 8)
    pictures = [np.ascontiguousarray(wide[i : i + size[0], 2 * i : 2 * i + size[1]]) for i in range(4)]
    pairs = list(itertools.pairwise(pictures))
    forth = [dense_inverse_search(current, previous) for previous, current in pairs]
    back = [dense_inverse_search(current, previous) for previous, current in reversed(pairs)]
    for one, two in zip(forth, reversed(back), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_picture_too_small_for_dis_has_no_flow() -> None:
    tiny = np.zeros((8, 100, 3), np.uint8)
    assert np.abs(dense_inverse_search(tiny, tiny)).max() == 0.0


def _raft_file(folder: Path) -> Path:
    torch.manual_seed(0)
    torch.save(torchvision.models.optical_flow.raft_small(weights=None).state_dict(), folder / "raft.pth")
    return folder / "raft.pth"


def test_raft_answers_at_the_size_of_the_pictures(tmp_path: Path) -> None:
    picture = _smooth_noise(100, 150)
    flow = RaftSmall(_raft_file(tmp_path), "cpu")(picture, picture)
    assert flow.shape == (100, 150, 2)
    assert flow.dtype == np.float32


def test_raft_takes_a_file_with_other_names_in_the_same_order(tmp_path: Path) -> None:
    wanted = torchvision.models.optical_flow.raft_small(weights=None).state_dict()
    renamed = {f"module.layer{position}": value + 1 for position, value in enumerate(wanted.values())}
    torch.save(renamed, tmp_path / "authors.pth")
    filled = raft_state(tmp_path / "authors.pth", wanted)
    assert filled.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(filled[name], value + 1)


def test_raft_refuses_a_file_of_another_network(tmp_path: Path) -> None:
    wanted = torchvision.models.optical_flow.raft_small(weights=None).state_dict()
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: not RAFT-small \(1 tensors, \d+ expected\)"):
        raft_state(tmp_path / "other.pth", wanted)
