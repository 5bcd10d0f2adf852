"""What a run says of itself: the report of one stream, and run.json."""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.resolve import num_cores
from configs.schema import Settings
from pipeline.budget import Limits
from pipeline.restarts import Restart
from pipeline.shares import Entry
from stages.results import Layout, naming_output, replacing

if TYPE_CHECKING:
    from stages.source import Source, SourceInfo

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder."""
DISTRIBUTIONS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "av": "av",
    "ray": "ray",
    "opencv": "opencv-python",
    "numpy": "numpy",
}
"""Name in run.json to the distribution that has the version."""

Status = Literal["complete", "interrupted", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReport:
    """How the run of one stream ended."""

    stream: str
    status: Status
    output: Path
    """Folder of the stream's results."""
    num_frames: int
    """Frames that were written."""
    fps: float
    """Frames a second, without start-up."""
    seconds: dict[str, float]
    """start_up (of all hosts, once for all streams), run, finish (joining the runs), total."""
    stages: dict[str, dict[str, dict[str, float]]]
    """Stage to measure (wall, cpu, wait) to median_ms and p95_ms, per frame."""
    lost_frames: int = 0
    """Frames that the source promised and that could not be decoded."""
    corrupt_packets: int = 0
    restarts: tuple[Restart, ...] = ()
    """Hosts that died and were replaced."""
    hosts: Sequence[Entry] = ()
    """Which process did which frames, with those of earlier parts of a resumed run."""
    live: Mapping[str, Any] | None = None
    """States, gaps and age of a live stream, as `pipeline.live` tells them."""
    warnings: tuple[str, ...] = ()
    """One line each, for people."""
    error: BaseException | None = field(default=None, compare=False)
    """What ended a failed run; its notes name stage, stream and frame."""


def describe_error(error: BaseException) -> str:
    """One line: type, message, and where it happened."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" + (f" ({notes})" if notes else "")


def describe_work(source: Source, info: SourceInfo, settings: Settings, limits: Limits) -> dict[str, Any]:
    """What a stream makes of what: enough to tell whether it can be gone on with."""
    return {
        "source": _source(source, info),
        "window_frames": limits.window_frames,
        "run_frames": limits.run_frames,
        "settings": settings.model_dump(mode="json"),
        "weights": {
            path: _digest(ROOT / path)
            for path in (settings.model.weights, settings.flow.raft_weights)
            if path
        },
        "versions": versions(),
    }


def write_running(
    output: Path, work: Mapping[str, Any], hosts: Sequence[Entry], live: Mapping[str, Any] | None = None
) -> None:
    """run.json of a stream that begins or goes on, in the folder of its results.

    `live`: how its source stands, as `pipeline.live` tells it.
    """
    _write(output, {"status": "running", "hosts": list(hosts), **_of_live(live), **work})


def _of_live(live: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if live is None else {"live": live}


def write_run_json(report: StreamReport, work: Mapping[str, Any]) -> None:
    """run.json of a stream that has ended, beside its results."""
    content = {
        "status": report.status,
        "error": _error(report.error),
        "warnings": list(report.warnings),
        "frames": report.num_frames,
        "lost_frames": report.lost_frames,
        "corrupt_packets": report.corrupt_packets,
        "restarts": [_restart(restart) for restart in report.restarts],
        "fps": round(report.fps, 3),
        "seconds": {name: round(value, 3) for name, value in report.seconds.items()},
        "stages": report.stages,
        "hosts": list(report.hosts),
        **_of_live(report.live),
        **work,
        "machine": {"cores": num_cores(), "processor": platform.machine(), "system": platform.system()},
    }
    _write(report.output, content)


def _write(output: Path, content: Mapping[str, Any]) -> None:
    """Readers see the old file or the new one, never a half."""
    layout = Layout(output)
    with naming_output(output), replacing(layout.report) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def versions() -> dict[str, str]:
    """Versions of what makes the results; nothing is imported for it."""
    found = {"panoptrail": project_version(), "python": platform.python_version()}
    for name, distribution in DISTRIBUTIONS.items():
        try:
            found[name] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def project_version() -> str:
    """The version in the project's own metadata file."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def _error(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    notes: Sequence[str] = getattr(error, "__notes__", ())
    return {"type": type(error).__name__, "message": str(error), "where": list(notes)}


def _restart(restart: Restart) -> dict[str, Any]:
    return {"host": restart.host, "frame": restart.index, "lost_s": round(restart.lost_s, 3)}


def _source(source: Source, info: SourceInfo) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "path": source.label,
        "files": len(source.paths),
        "bytes": info.num_bytes,
        "start_s": source.start_s,
        "end_s": source.end_s,
        "stride": source.stride,
    }
