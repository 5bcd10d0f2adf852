"""The benchmarks run, on little."""

from __future__ import annotations

import pytest

from benchmarks import evaluation


@pytest.mark.slow
def test_the_plain_implementation_agrees_and_takes_longer(capsys: pytest.CaptureFixture[str]) -> None:
    evaluation.main(["--frames", "6", "--plain-frames", "6", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "VPQ (1, 2, 3, 4) and STQ, 6 frames of 2048x1024" in lines[-3]
    assert float(lines[-1].split(": ")[1].split()[0]) > 1.0
