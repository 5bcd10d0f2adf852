"""The command line: every command by its name. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import typer

from commands.chaos import chaos_command
from commands.doctor import doctor_command
from commands.evaluation import convert_command, eval_command, eval_run_command
from commands.export import export_command
from commands.run import run_command
from commands.settings import config_list, config_show
from commands.training import train_command, validate_command

app = typer.Typer(
    help="Video panoptic segmentation: every pixel a class, every object an identity that lasts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Look at settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

app.command("run")(run_command)
app.command("doctor")(doctor_command)
app.command("chaos")(chaos_command)
app.command("train")(train_command)
app.command("validate")(validate_command)
app.command("eval")(eval_command)
app.command("eval-run")(eval_run_command)
app.command("convert")(convert_command)
app.command("export")(export_command)
config_app.command("show")(config_show)
config_app.command("list")(config_list)


if __name__ == "__main__":
    app()
