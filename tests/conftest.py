"""For all tests: the threads of a convolution wait as in a run, which must be said before torch is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.resolve import limit_spinning
from tests.pipeline.random_network import write_random_weights

limit_spinning()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the tiny preset, at random."""
    return write_random_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
