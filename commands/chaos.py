"""`chaos`: kills workers of a run at random moments, and compares its results with those of a calm one."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, Sources
from commands.console import FAILED, guarded, print_tables, progress_bar, shown_on

if TYPE_CHECKING:
    from pipeline.chaos import ChaosReport


def chaos_command(
    sources: Sources,
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for both results.")],
    kills: Annotated[int, typer.Option(min=1, metavar="N", help="Workers to kill.")] = 12,
    seed: Annotated[int, typer.Option(help="Of the random choices.")] = 0,
    config: Config = "street",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Kill workers while they segment, and prove that the results are the same."""

    def command() -> int:
        from configs.loading import load_settings
        from pipeline.chaos import chaos
        from stages.source import expand_sources

        settings = load_settings(config, [*(set_ or []), "run.executor=ray", "run.address=local"])
        with progress_bar() as bar:
            report = chaos(
                expand_sources(sources),
                settings,
                output,
                kills=kills,
                seed=seed,
                overwrite=overwrite,
                on_progress=shown_on(bar),
            )
        return _tell(report)

    guarded(command, debug)


def _tell(report: ChaosReport) -> int:
    from rich.table import Table

    from pipeline import describe_error

    restarts = [restart for stream in report.reports for restart in stream.restarts]
    table = Table("host", "times noticed", "median s lost", "worst s lost")
    for host in sorted({restart.host for restart in restarts}):
        lost_s = [restart.lost_s for restart in restarts if restart.host == host]
        median, worst = statistics.median(lost_s), max(lost_s)
        table.add_row(host, str(len(lost_s)), f"{median:.2f}", f"{worst:.2f}")
    print_tables([table])
    errors = [stream.error for stream in report.reports if stream.error is not None]
    for error in errors:
        typer.echo(f"error: {describe_error(error)}", err=True)
    for name in report.different:
        typer.echo(f"differs: {name}")
    num_frames = sum(stream.num_frames for stream in report.reports)
    same = "every file is the same to the byte" if not report.different else "the results differ"
    typer.echo(f"{report.num_killed} workers killed in {num_frames} frames: {same}")
    return FAILED if errors or report.different or not report.num_killed else 0
