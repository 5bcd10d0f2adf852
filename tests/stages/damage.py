"""Damages real files in the ways that copies, disks and broken writers do: always the same by number."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Size = tuple[int, int]
"""(height, width)."""
_GIANT = 100_000
_FITS_16_BITS = 65_535


def damaged(content: bytes, size: Size, number: int) -> tuple[str, bytes]:
    """The way of damage, by its name, and the file as it is then; `size` is that of its pictures."""
    rng = random.Random(number)
    ways = list(WAYS)
    name = ways[number % len(ways)]
    return name, WAYS[name](content, size, rng)


def _truncate(content: bytes, size: Size, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _flip(content: bytes, size: Size, rng: random.Random) -> bytes:
    """Single bits, few or many."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 10, 100, 1000])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _zero(content: bytes, size: Size, rng: random.Random) -> bytes:
    """A stretch that was never written."""
    first = rng.randrange(len(content))
    length = rng.choice([16, 512, 4096])
    return content[:first] + bytes(len(content[first : first + length])) + content[first + length :]


def _shuffle(content: bytes, size: Size, rng: random.Random) -> bytes:
    """Blocks in another order; the first stays."""
    length = rng.choice([188, 1000, 4096])
    first, *blocks = (content[start : start + length] for start in range(0, len(content), length))
    rng.shuffle(blocks)
    return first + b"".join(blocks)


def _repeat(content: bytes, size: Size, rng: random.Random) -> bytes:
    """A stretch that comes twice."""
    first = rng.randrange(len(content))
    last = first + rng.choice([188, 1000, 4096])
    return content[:last] + content[first:]


def _wrong_header(content: bytes, size: Size, rng: random.Random) -> bytes:
    length = rng.choice([4, 16, 64, 256])
    return rng.randbytes(length) + content[length:]


def _empty(content: bytes, size: Size, rng: random.Random) -> bytes:
    return b""


def _giant(content: bytes, size: Size, rng: random.Random) -> bytes:
    """Wherever the size of the pictures stands, there is a giant one."""
    height, width = size
    for form, side in ((">HH", _FITS_16_BITS), ("<II", _GIANT), (">II", _GIANT)):
        content = content.replace(struct.pack(form, width, height), struct.pack(form, side, side))
    return content


WAYS: dict[str, Callable[[bytes, Size, random.Random], bytes]] = {
    "truncate": _truncate,
    "flip": _flip,
    "zero": _zero,
    "shuffle": _shuffle,
    "repeat": _repeat,
    "wrong header": _wrong_header,
    "giant": _giant,
    "empty": _empty,
}
