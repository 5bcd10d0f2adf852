"""What several commands take, and how texts of the command line are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from configs.errors import UsageError

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Video, its http address, folder of pictures, quoted glob, or .txt that lists such.",
    ),
]
Config = Annotated[str, typer.Option("--config", metavar="NAME|FILE", help="Preset or YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change one setting; may be repeated."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Log more, and show the traceback of an error.")]


def parse_time(text: str) -> float:
    """Seconds from "12.5" or "H:MM:SS" or "MM:SS"."""
    seconds = 0.0
    try:
        for part in text.split(":"):
            value = float(part)
            if not 0 <= value < float("inf"):
                raise ValueError
            seconds = 60 * seconds + value
    except ValueError:
        raise UsageError(f"{text!r} is not a time; use seconds (12.5) or H:MM:SS") from None
    return seconds


def parse_set(text: str) -> tuple[Path, int]:
    """Folder and weight from "DIR@N", or from "DIR", which counts once."""
    match = re.fullmatch(r"(.+)@([1-9]\d{0,5})", text)
    return (Path(match[1]), int(match[2])) if match else (Path(text), 1)


def parse_input_size(text: str) -> tuple[int, int]:
    """(height, width) of the network's input from "WxH", both multiples of 32."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None or int(match[1]) % 32 or int(match[2]) % 32:
        raise UsageError(f"{text!r} is no size of the network's input; use multiples of 32, like 704x384")
    return int(match[2]), int(match[1])


def parse_windows(text: str) -> tuple[int, ...]:
    """Numbers of frames from "1,2,3,4"."""
    if not re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", text):
        raise UsageError(f"{text!r} is no list of windows; use numbers of frames like 1,2,3,4")
    return tuple(int(part) for part in text.split(","))
