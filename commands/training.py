"""`train` and `validate`: make a model, and measure it on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, parse_set
from commands.console import guarded, progress_bar
from configs.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar

    from configs.schema import Settings
    from training.session import TrainEvents
    from training.trainer import Step

WEIGHTS_SUFFIX = ".safetensors"


def train_command(
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="DIR[@N]",
            help="Packed set, its pictures seen N times as often; may be repeated. The first is judged on.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="DIR", help="Checkpoints and weights; resumes."),
    ],
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME|FILE",
            help="Start from the weights of this preset or YAML file, which is the config as well, or from "
            "a .safetensors file of a model of --config. Classes are carried over by name.",
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="NAME|FILE", help="Preset or YAML file; street without --from."),
    ] = None,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Train a model on a labelled set, or go on with a training that was stopped.

    Its classes are those that the set lists.
    """

    def command() -> int:
        from configs.resolve import limit_spinning, resolve

        limit_spinning()
        from training.quality import headline
        from training.session import TrainEvents, TrainingSet, train

        settings, start = _settings_and_start(from_, config, set_ or [])
        sets = [TrainingSet(*parse_set(text)) for text in data]
        with progress_bar() as bar:
            report = train(resolve(settings), sets, output, _training_events(bar, TrainEvents), start)
        typer.echo(f"{report.num_pictures} validation pictures: {headline(report.quality)}")
        for path in (report.weights, report.config, report.curve, report.validation):
            typer.echo(f"  {path}")
        return 0

    guarded(command, debug)


def validate_command(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Packed set with a split val/.")],
    config: Config = "street",
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """PQ and mIoU of a model on the labelled pictures of a set's validation split."""

    def command() -> int:
        from configs.loading import load_settings
        from configs.resolve import limit_spinning, resolve

        limit_spinning()
        from stages.network import load_network
        from training.data.packed import open_labelled
        from training.quality import headline, quality_table
        from training.validate import validate

        settings = resolve(load_settings(config, set_ or []))
        pictures = open_labelled(data, "val", settings.categories)
        with progress_bar() as bar:
            task = bar.add_task("validation", total=len(pictures), rate="")
            quality = validate(load_network(settings), settings, pictures, lambda: bar.advance(task))
        typer.echo(quality_table(quality))
        typer.echo(headline(quality))
        return 0

    guarded(command, debug)


def _settings_and_start(
    from_: str | None, config: str | None, overrides: list[str]
) -> tuple[Settings, Path | None]:
    """The settings, and the weights to start from, which fit them."""
    from configs.loading import load_settings

    if from_ is None or from_.endswith(WEIGHTS_SUFFIX):
        return load_settings(config or "street", overrides), Path(from_).absolute() if from_ else None
    if config is not None:
        raise UsageError(
            f"--from {from_} is the config as well; leave --config away, or name a {WEIGHTS_SUFFIX} file"
        )
    settings = load_settings(from_, overrides)
    if settings.model.weights is None:
        raise SettingsError(
            f"--from {from_}: model.weights is null, so there is nothing to start from; train anew with "
            f"--config {from_}, or name a {WEIGHTS_SUFFIX} file"
        )
    return settings, Path(settings.model.weights)


def _training_events(bar: ProgressBar, make_events: type[TrainEvents]) -> TrainEvents:
    """What shows the steps of a training, and then the pictures of its validation."""
    steps = bar.add_task("training", total=None, rate="")
    pictures = bar.add_task("validation", total=None, rate="", visible=False)

    latest: dict[str, float] = {}  # not every step has every loss

    def on_step(step: Step) -> None:
        latest.update(step.losses)
        loss = f"loss {sum(latest.values()):.3f}, {1 / step.seconds:.2f} steps/s"
        bar.update(steps, completed=step.step + 1, total=step.steps, rate=loss)

    def on_picture(num_done: int, num_pictures: int) -> None:
        bar.update(pictures, completed=num_done, total=num_pictures, visible=True)

    return make_events(on_start=typer.echo, on_step=on_step, on_picture=on_picture)
