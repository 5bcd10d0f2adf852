"""`config show` and `config list`: looks at settings."""

from __future__ import annotations

import typer

from commands.arguments import Config, Debug, Overrides
from commands.console import guarded


def config_show(config: Config = "street", set_: Overrides = None, debug: Debug = False) -> None:
    """Print the effective settings as YAML."""

    def command() -> int:
        from configs.loading import dump_settings, load_settings

        typer.echo(dump_settings(load_settings(config, set_ or [])), nl=False)
        return 0

    guarded(command, debug)


def config_list() -> None:
    """List the presets."""

    def command() -> int:
        from configs.loading import describe_preset, preset_names

        for name in preset_names():
            typer.echo(f"{name:12} {describe_preset(name)}")
        return 0

    guarded(command, debug=False)
