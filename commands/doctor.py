"""`doctor`: looks at sources before a run."""

from __future__ import annotations

import typer

from commands.arguments import Config, Debug, Overrides, Sources
from commands.console import guarded


def doctor_command(
    sources: Sources,
    config: Config = "street",
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Say what sources are, what a run of them would take here, and what would go wrong."""

    def command() -> int:
        from configs.loading import load_settings
        from pipeline.doctor import describe, diagnose
        from stages.source import expand_sources

        settings = load_settings(config, set_ or [])
        for source in expand_sources(sources):
            diagnosis = diagnose(source, settings)
            typer.echo(source.name)
            for name, value in describe(diagnosis):
                typer.echo(f"  {name:10} {value}")
            for trouble in diagnosis.inspection.troubles or ("nothing that would go wrong was found",):
                typer.echo(f"  - {trouble}")
        return 0

    guarded(command, debug)
