"""`run`: segments videos and picture folders."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, Sources, parse_time
from commands.console import FAILED, INTERRUPTED, USAGE, guarded, progress_bar, shown_on
from configs.errors import UsageError

if TYPE_CHECKING:
    from pipeline import StreamReport


def run_command(
    sources: Sources,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the results.")],
    config: Config = "street",
    executor: Annotated[str | None, typer.Option(metavar="ray|local|inline", help="What runs it.")] = None,
    placement: Annotated[
        str | None, typer.Option(metavar="auto|split|fused", help="Which stages share a process.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, metavar="R", help="Workers that share the frames of a stream.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="local|auto|[ray://]HOST:PORT", help="Ray of its own, or the cluster to run on."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="What computes the model.")
    ] = None,
    start: Annotated[str, typer.Option(metavar="S", help="Seconds, or H:MM:SS.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Seconds, or H:MM:SS.")] = None,
    stride: Annotated[int, typer.Option(min=1, metavar="N", help="Every Nth frame only.")] = 1,
    on_full: Annotated[
        str | None,
        typer.Option(
            metavar="auto|newest|wait", help="Live: leave out what comes too fast, or make the source wait."
        ),
    ] = None,
    max_retries: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Live: give up after N tries to connect; else never."),
    ] = None,
    hwaccel: Annotated[
        str | None, typer.Option(metavar="none|cuda", help="Decode on the graphics card, where it can.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped or killed.")
    ] = False,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Segment videos and picture folders."""
    given = {
        "executor": executor,
        "address": address,
        "placement": placement,
        "replicas": replicas,
        "device": device,
    }
    named = [f"run.{key}={value}" for key, value in given.items() if value is not None]
    of_input = {"on_full": on_full, "max_retries": max_retries, "hwaccel": hwaccel}
    named += [f"input.{key}={value}" for key, value in of_input.items() if value is not None]

    def command() -> int:
        from configs.loading import load_settings
        from pipeline import run
        from stages.source import expand_sources

        if overwrite and resume:
            raise UsageError("--overwrite, --resume: give one of them")
        settings = load_settings(config, [*(set_ or []), *named])
        end_s = parse_time(end) if end is not None else None
        found = expand_sources(sources, start_s=parse_time(start), end_s=end_s, stride=stride)
        with progress_bar() as bar:
            reports = run(
                found, settings, output, overwrite=overwrite, resume=resume, on_progress=shown_on(bar)
            )
        return _tell(reports, debug)

    guarded(command, debug)


def _tell(reports: list[StreamReport], debug: bool) -> int:
    """Print warnings, errors and where the results are; the exit code."""
    from pipeline import describe_error

    code = 0
    for report in reports:
        for warning in report.warnings:
            typer.echo(f"warning: {warning}", err=True)
        if report.error is not None:
            if debug:
                traceback.print_exception(report.error)
            typer.echo(f"error: {describe_error(report.error)}", err=True)
            code = code or (USAGE if isinstance(report.error, UsageError) else FAILED)
        elif report.status == "interrupted":
            code = code or INTERRUPTED
        typer.echo(
            f"{report.stream}: {report.status}, {report.num_frames} frames, {report.fps:.1f} frames a second"
        )
        for path in sorted(report.output.iterdir()):
            typer.echo(f"  {path}{'/' if path.is_dir() else ''}")
    return code
