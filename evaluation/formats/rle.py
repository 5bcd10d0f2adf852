"""Masks as COCO's compressed run lengths.

The runs go down column after column and are background and object in turn, the first of them background.
From the fourth on, a length is written as the difference to the length two before it. A number is written in
groups of five bits, the lowest first, each as the character 48 + group, + 32 if another group follows; the
highest bit of the last group is the sign.

The decoder of pycocotools gives whatever was in memory where the runs end too early, so it is not used.
"""

from __future__ import annotations

import numpy as np

_FIRST_CHARACTER = 48
_VALUE, _SIGN, _FOLLOWED = 0x1F, 0x10, 0x20
_MOST_GROUPS = 7
"""More than 32 bits are no length."""


def encode(mask: np.ndarray) -> str:
    """Run lengths of a mask (H, W) bool."""
    from pycocotools import mask as rle

    counts: bytes = rle.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts.decode("ascii")


def decode(text: str, height: int, width: int) -> np.ndarray:
    """Mask (H, W) bool; ValueError unless the runs are exactly as many pixels."""
    lengths = _lengths(text)
    if min(lengths, default=0) < 0 or sum(lengths) != height * width:
        raise ValueError(f"the runs must be {height * width} pixels")
    runs = np.arange(len(lengths)) % 2 == 1
    return np.repeat(runs, lengths).reshape(width, height).T


def _lengths(text: str) -> list[int]:
    lengths: list[int] = []
    value = num_groups = 0
    for character in text:
        group = ord(character) - _FIRST_CHARACTER
        if not 0 <= group < 2 * _FOLLOWED or num_groups == _MOST_GROUPS:
            raise ValueError(f"{character!r} is in no list of run lengths")
        value |= (group & _VALUE) << 5 * num_groups
        num_groups += 1
        if group & _FOLLOWED:
            continue
        if group & _SIGN:
            value -= 1 << 5 * num_groups
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = num_groups = 0
    if num_groups:
        raise ValueError("the last number has no end")
    return lengths
