"""Fields of a description in JSON, checked as they are read.

Every function raises ValueError, which says what the field must be and what it is; the caller adds where.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

_LONGEST_NAME = 255
"""Bytes; what file systems allow."""
_LARGEST_AREA = 1 << 53


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """The value, which must be an object of JSON."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be an object, got {_shown(value)}")
    return value


def items(entry: Mapping[str, Any], key: str) -> list[Any]:
    """A list; it must be there."""
    value = entry.get(key)
    if not isinstance(value, list):
        raise ValueError(f"{key} must be a list, got {_shown(value)}")
    return value


def number(entry: Mapping[str, Any], key: str) -> int:
    """A whole number; it must be there. "5" and 5.0 are none: ids are never converted."""
    value = entry.get(key)
    if type(value) is not int:
        raise ValueError(f"{key} must be a whole number, got {_shown(value)}")
    return value


def flag(entry: Mapping[str, Any], key: str, absent: int | None = None) -> bool:
    """0, 1, false or true; it must be there unless there is a value for what is absent."""
    value = entry.get(key)
    if value is None:
        value = absent
    if value not in (0, 1):
        raise ValueError(f"{key} must be 0 or 1, got {_shown(value)}")
    return bool(value)


def area_px(entry: Mapping[str, Any]) -> int | None:
    """A number of pixels, at least 1, which may be written 12.0; None if it is absent."""
    value = entry.get("area")
    if value is None:
        return None
    whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    if not whole or not 1 <= value <= _LARGEST_AREA:
        raise ValueError(f"area must be a number of pixels, at least 1, got {_shown(value)}")
    return int(value)


def name(entry: Mapping[str, Any], key: str) -> str | None:
    """A text, or a whole number as text; None if it is absent."""
    value = entry.get(key)
    if value is None:
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text.isprintable() or not 1 <= len(text.encode()) <= _LONGEST_NAME:
        raise ValueError(f"{key} must be a name or a number, got {_shown(value)}")
    return text


def place(entry: Mapping[str, Any], key: str) -> str | None:
    """As `name`, of something inside a folder: never a path that leads out of it."""
    text = name(entry, key)
    if text is None:
        return None
    path = PurePosixPath(text)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise ValueError(f"{key} must lie inside its folder, got {_shown(text)}")
    return text


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
