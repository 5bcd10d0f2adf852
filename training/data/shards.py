"""Packed sets as tar files of limited size, to be carried elsewhere: `python -m training.data.shards`.

    python -m training.data.shards pack data/street --out shards [--max-mib 60]
    python -m training.data.shards unpack shards --out data/street

Each shard is a tar of whole files, NAME-000.tar, NAME-001.tar, ...; unpacking any of them adds its files, so
they may arrive one by one. The same set gives the same bytes.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from configs.errors import OutputError, SourceError
from training.data.command import exit_code_of

_MIB = 2**20
_BLOCK = 512
_END = 20 * _BLOCK
"""A tar ends with empty blocks, filled up to a record of 20."""


def pack(source: Path, out: Path, max_bytes: int) -> list[Path]:
    """Writes the shards; each is at most `max_bytes` large. SourceError if a file alone is larger."""
    files = sorted(path for path in source.rglob("*") if path.is_file())
    if not files:
        raise SourceError(f"{source}: holds no files; name a packed set")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    shards = []
    for number, group in enumerate(_groups(files, max_bytes)):
        shard = out / f"{source.name}-{number:03d}.tar"
        with tarfile.open(shard, "w", format=tarfile.USTAR_FORMAT) as tar:
            for path in group:
                with path.open("rb") as file:
                    tar.addfile(_entry(path, source), file)
        shards.append(shard)
    return shards


def unpack(shards: Path, out: Path) -> int:
    """Adds the files of all shards of a folder; returns their number. SourceError names a damaged shard."""
    count = 0
    paths = sorted(shards.glob("*.tar"))
    if not paths:
        raise SourceError(f"{shards}: holds no .tar files; name the folder of the shards")
    for path in paths:
        try:
            with tarfile.open(path) as tar:
                tar.extractall(out, filter="data")
                count += len(tar.getnames())
        except (tarfile.TarError, EOFError) as error:
            raise SourceError(f"{path}: is no whole shard ({error}); copy it again") from None
    return count


def _groups(files: Sequence[Path], max_bytes: int) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = _END
    for path in files:
        own = _BLOCK + -(-path.stat().st_size // _BLOCK) * _BLOCK
        if own + _END > max_bytes:
            raise SourceError(f"{path}: is larger than a shard may be; raise --max-mib")
        if size + own > max_bytes:
            yield group
            group, size = [], _END
        group.append(path)
        size += own
    yield group


def _entry(path: Path, source: Path) -> tarfile.TarInfo:
    """Name and size alone: neither owner nor time."""
    entry = tarfile.TarInfo(path.relative_to(source).as_posix())
    entry.size, entry.mode = path.stat().st_size, 0o644
    return entry


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for a mistake of the caller's, with one line that names it."""
    parser = argparse.ArgumentParser(prog="python -m training.data.shards", description=__doc__)
    parser.add_argument("action", choices=("pack", "unpack"))
    parser.add_argument("source", type=Path, help="a packed set, or the folder of its shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-mib", type=int, default=60)
    options = parser.parse_args(arguments)

    def work() -> None:
        if options.action == "unpack":
            print(f"{unpack(options.source, options.out)} files")
            return
        for shard in pack(options.source, options.out, options.max_mib * _MIB):
            print(f"{shard}  {shard.stat().st_size / _MIB:.1f} MiB")

    return exit_code_of(work)


if __name__ == "__main__":
    raise SystemExit(main())
