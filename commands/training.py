"""`train` and `validate`: make a model, and measure it on pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, parse_set
from commands.console import guarded, progress_bar

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar

    from training.session import TrainEvents
    from training.trainer import Step


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
    config: Config = "street",
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Train a model on a labelled set, or go on with a training that was stopped."""

    def command() -> int:
        from configs.loading import load_settings
        from pipeline.resolve import limit_spinning, resolve

        limit_spinning()
        from training.quality import headline
        from training.session import TrainEvents, TrainingSet, train

        settings = resolve(load_settings(config, set_ or []))
        sets = [TrainingSet(*parse_set(text)) for text in data]
        with progress_bar() as bar:
            report = train(settings, sets, output, _training_events(bar, TrainEvents))
        typer.echo(f"{report.num_pictures} validation pictures: {headline(report.quality)}")
        for path in (report.weights, report.curve, report.validation):
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
        from pipeline.resolve import limit_spinning, resolve

        limit_spinning()
        from stages.network import load_network
        from training.data.packed import PackedSet
        from training.quality import headline, quality_table
        from training.validate import validate

        settings = resolve(load_settings(config, set_ or []))
        pictures = PackedSet(data, "val")
        with progress_bar() as bar:
            task = bar.add_task("validation", total=len(pictures), rate="")
            quality = validate(load_network(settings), settings, pictures, lambda: bar.advance(task))
        typer.echo(quality_table(quality))
        typer.echo(headline(quality))
        return 0

    guarded(command, debug)


def _training_events(bar: ProgressBar, make_events: type[TrainEvents]) -> TrainEvents:
    """What shows the steps of a training, and then the pictures of its validation."""
    steps = bar.add_task("training", total=None, rate="")
    pictures = bar.add_task("validation", total=None, rate="", visible=False)

    def on_step(step: Step) -> None:
        loss = f"loss {sum(step.losses.values()):.3f}, {1 / step.seconds:.2f} steps/s"
        bar.update(steps, completed=step.step + 1, total=step.steps, rate=loss)

    def on_picture(num_done: int, num_pictures: int) -> None:
        bar.update(pictures, completed=num_done, total=num_pictures, visible=True)

    return make_events(on_start=typer.echo, on_step=on_step, on_picture=on_picture)
