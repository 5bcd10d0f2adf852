"""What a run reads: from the arguments of the command line to sources, and what their headers say.

A source is one video, one sequence of pictures or one live stream, with the stretch of it that is wanted. A
video may be a file, or what an HTTP server sends; a live stream a camera, a server or a pipe: it never
repeats.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from configs.errors import SourceError
from configs.schema import InputSettings
from stages.address import STANDARD_INPUT, check_address, is_address, is_live, name_of, shown

if TYPE_CHECKING:
    from stages.messages import Cursor, Size

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts"}
    | {".ogv", ".webm", ".wmv"}
)
_CAMERA = "/dev/video{}"
"""The device of a camera that is named by its number."""
NO_START = "--start: a live source has no other beginning than now; leave it out"
LIST_SUFFIX = ".txt"
"""Of a file that names sources."""
DEFAULT_PICTURE_RATE = Fraction(10)
Kind = Literal["video", "pictures", "live"]
_RULES = InputSettings()
END_SLACK_S = 0.5
"""How far a healthy video may end before the duration that its header gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One stream of pictures to be processed, and which stretch of it."""

    name: str
    """Name of the stream and of its folder of results; unique among the sources of a run."""
    kind: Kind
    paths: tuple[str, ...] = field(repr=False)
    """One video or live stream, or the pictures in their order; absolute, as a worker may have another
    working folder.

    It may be an address, which may hold a password: `label` is what may be shown.
    """
    start_s: float = 0.0
    """The first picture is the first one at or after this time, counted from the start of the source."""
    end_s: float | None = None
    """The last picture is the last one before this time; None: to the end."""
    stride: int = 1
    """Every so many pictures one is taken, beginning with the first."""
    picture_rate: Fraction = DEFAULT_PICTURE_RATE
    """Pictures a second, for pictures alone: they carry no time."""
    shown_as: str = ""
    """What it is called where its path is not its own, as a relayed pipe's."""
    rules: InputSettings = _RULES
    """What is accepted, and how long a server is waited for."""

    @property
    def is_remote(self) -> bool:
        """Does a server send it?"""
        return self.kind != "pictures" and is_address(self.paths[0])

    @property
    def is_live(self) -> bool:
        """Does it never repeat?"""
        return self.kind == "live"

    @property
    def is_pipe(self) -> bool:
        """Does another program write it?"""
        return self.is_live and not self.is_remote and not _is_kind_of_file(self.paths[0], stat.S_ISCHR)

    @property
    def label(self) -> str:
        """What messages and files call it: the path, or the address without its secrets."""
        return self.shown_as or (shown(self.paths[0]) if self.is_remote else self.paths[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What the header of a source says, and its first picture."""

    size: Size
    """(H, W) of the pictures as decoded, upright."""
    time_base: Fraction
    """Seconds per unit of the pictures' times."""
    average_rate: Fraction | None
    """Pictures a second of the whole source; None when it does not say."""
    num_frames: int | None
    """Frames expected, after start, end and stride; None when the source does not say."""
    num_frames_slack: int | None
    """How far `num_frames` may be off in a healthy source; None: an estimate, from a duration and a rate."""
    end_s: float | None
    """When the stretch ends, in the pictures' own time; None when the source does not say."""
    stride: int
    """Every so many pictures one is taken."""
    duration_s: float | None
    """Of the whole source."""
    codec: str
    has_audio: bool
    num_bytes: int | None
    """Of its files, or of what a server says that it will send."""
    is_live: bool = False
    """Does it never repeat?"""


def lost_frames(info: SourceInfo, cursor: Cursor) -> int:
    """Frames that the header promised and that could not be decoded; `cursor` is the last one of the run."""
    if info.num_frames is not None and info.num_frames_slack is not None:
        missing = info.num_frames - (cursor.index + 1)
        return missing if missing > (0 if cursor.corrupt_packets else info.num_frames_slack) else 0
    if info.end_s is None or info.average_rate is None or cursor.pts is None:
        return 0
    rate = info.average_rate / info.stride
    missing_s = info.end_s - float(cursor.pts * info.time_base + 1 / rate)
    return round(missing_s * rate) if missing_s > END_SLACK_S else 0


def probe(source: Source) -> SourceInfo:
    """Open the source and decode the first picture of its stretch; SourceError if that fails."""
    if source.kind == "pictures":
        from stages.picture_reader import probe_pictures

        return probe_pictures(source)
    if source.is_live:
        from stages.live_probe import probe_live

        return probe_live(source)
    from stages.video_probe import probe_video

    return probe_video(source)


def expand_sources(
    arguments: Sequence[str], *, start_s: float = 0.0, end_s: float | None = None, stride: int = 1
) -> tuple[Source, ...]:
    """The sources that the arguments name, one stream each.

    They name files, folders of pictures, globs, addresses of a server, cameras, or lists of such.

    Pictures named one by one (a glob that the shell expanded) form one sequence per folder.
    """
    _check_stretch(start_s, end_s, stride)
    found: dict[tuple[Kind, str], list[str]] = {}
    for argument in arguments:
        for path in _expand(argument):
            kind = _kind(path)
            found.setdefault((kind, str(Path(path).parent) if kind == "pictures" else path), []).append(path)
    if any(kind == "live" for kind, _ in found) and start_s:
        raise SourceError(NO_START)
    if not found:
        raise SourceError("no source was given; name a video, a folder of pictures or a glob")
    names = _unique(_name(kind, place, paths) for (kind, place), paths in found.items())
    return tuple(
        Source(
            name=name,
            kind=kind,
            paths=tuple(sorted(set(paths), key=natural_order)) if kind == "pictures" else (place,),
            start_s=start_s,
            end_s=end_s,
            stride=stride,
        )
        for name, ((kind, place), paths) in zip(names, found.items(), strict=True)
    )


def check_frame_size(path: str, size: Size, max_frame_px: int) -> None:
    """SourceError if pictures of (H, W) are larger than that."""
    if size[0] * size[1] > max_frame_px:
        raise SourceError(
            f"{path}: its pictures are {size[1]}x{size[0]}, more than {max_frame_px} pixels; if that is "
            f"right, --set input.max_frame_px={size[0] * size[1]}"
        )


def natural_order(path: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key by which img2 comes before img10."""
    parts = re.split(r"(\d+)", Path(path).name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts)


def _check_stretch(start_s: float, end_s: float | None, stride: int) -> None:
    if not 0 <= start_s < float("inf"):
        raise SourceError(f"start must be a time of 0 seconds or more, got {start_s:g}")
    if end_s is not None and not end_s > start_s:
        raise SourceError(f"end must lie after start: got start {start_s:g} s and end {end_s:g} s")
    if stride < 1:
        raise SourceError(f"stride must be at least 1, got {stride}")


def _expand(argument: str) -> list[str]:
    """What one argument names, videos or pictures: absolute paths, or an address."""
    if is_address(address := argument.strip()):
        check_address(address)
        return [address]
    if argument == STANDARD_INPUT:
        return [argument]
    return [name if is_address(name) else os.path.abspath(name) for name in _files(argument)]


def _kind(path: str) -> Kind:
    if is_address(path):
        return "live" if is_live(path) else "video"
    if path == STANDARD_INPUT or _is_kind_of_file(path, stat.S_ISCHR, stat.S_ISFIFO):
        return "live"
    return "pictures" if Path(path).suffix.lower() in PICTURE_SUFFIXES else "video"


def _is_kind_of_file(path: str, *tests: Callable[[int], bool]) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return any(test(mode) for test in tests)


def _files(argument: str) -> list[str]:
    if argument.isdecimal() and not Path(argument).exists():
        argument = _CAMERA.format(argument)
    path = Path(argument)
    if path.is_dir():
        return _pictures_in(path)
    if path.suffix.lower() == LIST_SUFFIX and path.is_file():
        return [name for line in _lines(path) for name in _expand(line)]
    if path.exists():
        return [argument]
    if not glob.has_magic(argument):
        raise SourceError(f"{argument}: no such file or folder; check the path")
    return _matches(argument)


def _lines(path: Path) -> list[str]:
    """The sources that a text file names, one a line, relative to its folder; # begins a comment."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: is no list of sources that can be read ({error})") from None
    named = [line for line in lines if line and not line.startswith("#")]
    paths = (line for line in named if not is_address(line))
    if nested := next((line for line in paths if line.lower().endswith(LIST_SUFFIX)), None):
        raise SourceError(f"{path}: names another list, {nested}; name its sources themselves")
    return [line if is_address(line) or line.isdecimal() else str(path.parent / line) for line in named]


def _pictures_in(folder: Path) -> list[str]:
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    pictures = [str(path) for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
    if pictures:
        return pictures
    if any(path.suffix.lower() in VIDEO_SUFFIXES for path in files):
        raise SourceError(f"{folder}: holds videos but no pictures; name the videos as '{folder}/*'")
    kinds = ", ".join(sorted(PICTURE_SUFFIXES))
    raise SourceError(f"{folder}: holds no pictures; expected files that end in {kinds}")


def _matches(pattern: str) -> list[str]:
    known = PICTURE_SUFFIXES | VIDEO_SUFFIXES
    paths = [path for path in glob.glob(pattern, recursive=True) if Path(path).is_file()]
    paths = sorted((path for path in paths if Path(path).suffix.lower() in known), key=natural_order)
    if not paths:
        raise SourceError(f"{pattern}: no video and no picture matches; check the pattern, and quote it")
    pictures = [path for path in paths if Path(path).suffix.lower() in PICTURE_SUFFIXES]
    if pictures and len(pictures) < len(paths):
        raise SourceError(
            f"{pattern}: matches pictures and videos ({pictures[0]} is one); narrow it to one kind"
        )
    return paths


def _name(kind: str, place: str, paths: Sequence[str]) -> str:
    if kind == "pictures" and len(paths) > 1:
        return Path(place).resolve().name or "pictures"
    if is_address(place):
        return name_of(place)
    if place == STANDARD_INPUT:
        return "stdin"
    return Path(paths[0]).stem


def _unique(names: Iterable[str]) -> list[str]:
    """The names, with -2, -3... behind those that were given before."""
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique
