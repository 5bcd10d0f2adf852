"""Weights for tests: the tiny preset's network with seeded random numbers, and real frames to run it on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from configs.loading import load_settings

if TYPE_CHECKING:
    import numpy as np

OBJECTS = ("detect.score_threshold=0.05", "detect.max_objects=8")
"""A random network is sure of nothing: lower the threshold so that there are objects to follow."""


def write_random_weights(path: Path) -> Path:
    """A weights file that the tiny preset loads."""
    import torch

    from models.vpsnet import VPSNet
    from models.weights import save_weights
    from stages.network import architecture_of

    torch.manual_seed(0)
    save_weights(VPSNet(architecture_of(load_settings("tiny"))), path)
    return path


def write_moving_pictures(folder: Path, num_pictures: int) -> Path:
    """Grey pictures, each with two bright squares, one going right and one going down."""
    import cv2

    folder.mkdir()
    for index in range(num_pictures):
        cv2.imwrite(str(folder / f"{index:03d}.png"), moving_picture(index)[..., ::-1])
    return folder


def moving_picture(index: int) -> np.ndarray:
    """(96, 128, 3) uint8 RGB, the one of that number."""
    import numpy as np

    image = np.full((96, 128, 3), 90, np.uint8)
    image[30:60, index : index + 30] = 200
    image[index : index + 20, 90:110, 2] = 255
    return image


def motorway_clip() -> Path | None:
    """The clip of the demo, if it is installed."""
    spec = importlib.util.find_spec("pycsr_cv")
    if spec is None or not spec.submodule_search_locations:
        return None
    clip = Path(spec.submodule_search_locations[0], "assets", "sample_car_video.mp4")
    return clip if clip.is_file() else None
