"""Packed sets as tar files of limited size."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.shards import main, pack, unpack

KIB = 1024


def _files(root: Path, sizes: dict[str, int]) -> Path:
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(n % 251 for n in range(size)))
    return root


def _contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_what_is_packed_and_unpacked_is_the_same_set(tmp_path: Path) -> None:
    source = _files(tmp_path / "set", {"train/images/a.jpg": 30_000, "train/b.png": 1, "val/c.json": 513})
    pack(source, tmp_path / "shards", 40 * KIB)
    assert unpack(tmp_path / "shards", tmp_path / "again") == 3
    assert _contents(tmp_path / "again") == _contents(source)


def test_no_shard_is_larger_than_asked_for_and_none_is_left_half_empty(tmp_path: Path) -> None:
    source = _files(tmp_path / "set", {f"{n:02d}.jpg": 10 * KIB for n in range(10)})
    shards = pack(source, tmp_path / "shards", 60 * KIB)
    assert [shard.name for shard in shards] == ["set-000.tar", "set-001.tar", "set-002.tar"]
    assert max(shard.stat().st_size for shard in shards) <= 60 * KIB


def test_the_same_set_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (_files(tmp_path / name / "set", {"a.jpg": 5000, "b.jpg": 70}) for name in ("one", "two"))
    for name, source in (("one", one), ("two", two)):
        pack(source, tmp_path / name / "shards", 60 * KIB)
    assert _contents(tmp_path / "one" / "shards") == _contents(tmp_path / "two" / "shards")


@pytest.mark.parametrize("action", ["pack", "unpack"])
def test_an_empty_folder_is_named_in_one_line(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([action, str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert error.count("\n") == 1


def test_a_cut_shard_and_a_file_too_large_for_any_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _files(tmp_path / "set", {"large.jpg": 2 * 2**20})
    assert main(["pack", str(source), "--out", str(tmp_path / "shards"), "--max-mib", "1"]) == 2
    assert "large.jpg" in capsys.readouterr().err
    (shard,) = pack(source, tmp_path / "shards", 3 * 2**20)
    shard.write_bytes(shard.read_bytes()[:100_000])
    assert main(["unpack", str(tmp_path / "shards"), "--out", str(tmp_path / "again")]) == 2
    assert "set-000.tar" in capsys.readouterr().err
