"""Proof under fire: a run whose workers are killed at random moments, compared with one that is left alone.

The workers are killed from outside, with SIGKILL, whatever they are doing: as the machine's memory guard or
an operator would. Linux, since processes are found in /proc.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from configs.errors import UsageError
from configs.schema import Settings
from pipeline.claim import claimed
from pipeline.processes import descendants, title_of
from pipeline.report import StreamReport
from pipeline.runner import OnProgress, Progress, run
from stages.results import Layout, prepare_output

if TYPE_CHECKING:
    from stages.source import Source

WORKER_TITLE = "ray::HostActor"
"""How the processes of hosts call themselves."""
MAX_DELAY_S = 0.3
"""A kill comes at a random moment up to so long after its frame."""
LAST_KILL = 0.75
"""The part of the run in which kills come; in the rest those that were held up can be made up for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosReport:
    """What a run survived."""

    num_killed: int
    reports: Sequence[StreamReport]
    """Of the streams of the run that was disturbed; their restarts say which hosts, and for how long."""
    different: Sequence[str]
    """Files that one of both runs lacks, or has with other bytes; but for run.json."""


def chaos(
    sources: Sequence[Source],
    settings: Settings,
    output: Path,
    *,
    kills: int,
    seed: int,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> ChaosReport:
    """Run twice, into `output`/undisturbed and `output`/killed, and compare."""
    if live := next((source for source in sources if source.is_live), None):
        raise UsageError(f"{live.label}: is live, and shows nothing twice; name a file")
    tell = on_progress or (lambda progress: None)
    names = [source.name for source in sources]
    for part in ("undisturbed", "killed"):
        with claimed([output / part / name for name in names]):
            prepare_output(output / part, names, overwrite=overwrite)
    calm = run(sources, settings, output / "undisturbed", overwrite=True, on_progress=tell)
    _stop_unless_ended(calm)
    for report in calm:
        if report.error is not None:
            raise report.error
    killer = Killer(sum(report.num_frames for report in calm), kills, seed)

    def watched(progress: Progress) -> None:
        tell(progress)
        killer.frame_done()

    reports = run(sources, settings, output / "killed", overwrite=True, on_progress=watched)
    killer.stop()
    _stop_unless_ended(reports)
    different = differences(output / "undisturbed", output / "killed")
    return ChaosReport(num_killed=killer.num_killed, reports=reports, different=different)


def _stop_unless_ended(reports: Sequence[StreamReport]) -> None:
    if any(report.status == "interrupted" for report in reports):
        raise KeyboardInterrupt


class Killer:
    """Kills a random worker of this program after each of some random frames.

    Not before a frame was done since the last kill: so the run moves on however long a worker takes to start.
    """

    def __init__(self, num_frames: int, kills: int, seed: int) -> None:
        self._rng = random.Random(seed)
        before_the_end = range(math.ceil(num_frames * LAST_KILL))
        self._frames = set(self._rng.sample(before_the_end, min(kills, len(before_the_end))))
        self._num_done = 0
        self._num_due = 0
        self._timer: threading.Timer | None = None
        self.num_killed = 0

    def frame_done(self) -> None:
        """Call after each frame."""
        self._num_due += self._num_done in self._frames
        self._num_done += 1
        is_pending = self._timer is not None and self._timer.is_alive()
        if self._num_due > self.num_killed and not is_pending:
            self._timer = threading.Timer(self._rng.uniform(0.0, MAX_DELAY_S), self._kill)
            self._timer.start()

    def stop(self) -> None:
        """Kill no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _kill(self) -> None:
        workers = [pid for pid in descendants(os.getpid()) if title_of(pid).startswith(WORKER_TITLE)]
        with suppress(IndexError, ProcessLookupError):  # none just now: the next frame brings another try
            os.kill(self._rng.choice(workers), signal.SIGKILL)
            self.num_killed += 1


def differences(one: Path, other: Path) -> list[str]:
    """Names of the files that are not the same in both folders."""
    ours, theirs = digests(one), digests(other)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def digests(folder: Path) -> dict[str, str]:
    """File to the digest of its bytes; but for run.json, which tells times."""
    report = Layout(folder).report.name
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != report
    }
