"""What a run of a source would take on this machine: tried on its first frames, and reckoned from there."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.resolve import resolve
from configs.schema import Settings
from pipeline.budget import budget_bytes, fit, for_live, needed_bytes
from pipeline.relay import relayed
from pipeline.runner import run
from stages.inspection import Inspection, inspect
from stages.source import Source, SourceInfo, probe
from stages.video_open import recognised

TRIAL_FRAMES = 8
LIVE_TRIAL_S = 3.0
LIVE_TRIAL_RETRIES = 2
_PARTS_OF_ENCODE = ("draw", "png", "video")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Of one source."""

    info: SourceInfo
    inspection: Inspection
    fps: float
    """Frames a second that a run can be expected to do, start-up left out."""
    memory_bytes: int
    """Of the model with the frames in flight."""


def diagnose(source: Source, settings: Settings) -> Diagnosis:
    """Inspect a source, and run its first frames into a folder that is removed.

    Raises what a run would raise before its first frame: SourceError, SettingsError, WeightsError.
    """
    with relayed([source]) as ((reachable,), _):
        return _diagnose(recognised(replace(reachable, rules=settings.input)), settings)


def _diagnose(source: Source, settings: Settings) -> Diagnosis:
    info = probe(source)
    resolved = resolve(settings)
    limits = fit(info.size, for_live(resolved) if source.is_live else resolved, budget_bytes(resolved))
    in_flight = needed_bytes(info.size, resolved, limits)
    inspection = inspect(source, info)
    return Diagnosis(
        info=info,
        inspection=inspection,
        fps=_tried(source, info, settings),
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + in_flight,
    )


def _tried(source: Source, info: SourceInfo, settings: Settings) -> float:
    """Frames a second of the first frames in one loop, which other executors come close to or exceed."""
    end_s = source.start_s + float(TRIAL_FRAMES * source.stride / (info.average_rate or source.picture_rate))
    end_s = max(end_s, LIVE_TRIAL_S) if source.is_live else end_s
    short = replace(source, end_s=min(end_s, source.end_s or end_s))
    rules = settings.input.model_copy(update={"max_retries": LIVE_TRIAL_RETRIES})
    inline = settings.run.model_copy(update={"executor": "inline", "placement": "fused", "replicas": 1})
    with tempfile.TemporaryDirectory() as folder:
        (report,) = run([short], settings.model_copy(update={"run": inline, "input": rules}), Path(folder))
        if report.error is not None:
            raise report.error
    stages = (times for name, times in report.stages.items() if name not in _PARTS_OF_ENCODE)
    return 1000 / sum(times["wall"]["median_ms"] for times in stages)


def describe(diagnosis: Diagnosis) -> Sequence[tuple[str, str]]:
    """The facts in words, what a run would take among them."""
    memory = f"{diagnosis.memory_bytes / 1e9:.1f} GB of memory"
    expected = f"{diagnosis.fps:.2g} frames a second here, {memory}"
    num_frames = diagnosis.info.num_frames
    rate = diagnosis.info.average_rate
    if diagnosis.info.is_live and rate is not None and rate > diagnosis.fps:
        expected += f"; it shows {float(rate):g}: the others are left out, or it has to wait (--on-full)"
    if num_frames is not None:
        expected += f", {_minutes(num_frames / diagnosis.fps)} in all"
    return (*diagnosis.inspection.facts, ("expected", expected))


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
