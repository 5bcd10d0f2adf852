"""What "auto" stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.resolve import resolve
from configs.schema import ModelSettings, Settings


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx512f avx512_bf16", "bf16"), ("fpu amx_bf16 amx_tile", "bf16"), ("fpu avx2", "fp32")],
)
def test_the_precision_follows_the_processor(
    flags: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr("configs.resolve.CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("configs.resolve.num_cuda_devices", lambda: 0)
    assert resolve(Settings()).model.precision == precision


def test_a_precision_that_was_asked_for_stays() -> None:
    assert resolve(Settings(model=ModelSettings(precision="fp32"))).model.precision == "fp32"
