"""The command line: parses, builds, runs. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import logging
import re
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar
    from rich.table import Table

    from pipeline import Progress, StreamReport
    from stages.source import Source
    from training.session import TrainEvents
    from training.trainer import Step

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes."""

app = typer.Typer(
    help="Video panoptic segmentation: every pixel a class, every object an identity that lasts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Look at settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")

Config = Annotated[str, typer.Option("--config", metavar="NAME|FILE", help="Preset or YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Change one setting; may be repeated."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Log more, and show the traceback of an error.")]


@app.command("run")
def run_command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Video, folder of pictures, or quoted glob.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the results.")],
    config: Config = "street",
    executor: Annotated[str | None, typer.Option(metavar="ray|local|inline", help="What runs it.")] = None,
    placement: Annotated[
        str | None, typer.Option(metavar="auto|split|fused", help="Which stages share a process.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="What computes the model.")
    ] = None,
    start: Annotated[str, typer.Option(metavar="S", help="Seconds, or H:MM:SS.")] = "0",
    end: Annotated[str | None, typer.Option(metavar="S", help="Seconds, or H:MM:SS.")] = None,
    stride: Annotated[int, typer.Option(min=1, metavar="N", help="Every Nth frame only.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Segment videos and picture folders."""
    given = {"executor": executor, "placement": placement, "device": device}
    named = [f"run.{key}={value}" for key, value in given.items() if value is not None]

    def command() -> int:
        from configs.loading import load_settings
        from pipeline import run
        from stages.source import expand_sources

        settings = load_settings(config, [*(set_ or []), *named])
        end_s = parse_time(end) if end is not None else None
        found = expand_sources(sources, start_s=parse_time(start), end_s=end_s, stride=stride)
        with _progress_bar() as bar:
            reports = run(found, settings, output, overwrite=overwrite, on_progress=_shown_on(bar))
        return _tell(reports, debug)

    _guarded(command, debug)


@app.command("train")
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
        with _progress_bar() as bar:
            report = train(settings, sets, output, _training_events(bar, TrainEvents))
        typer.echo(f"{report.num_pictures} validation pictures: {headline(report.quality)}")
        for path in (report.weights, report.curve, report.validation):
            typer.echo(f"  {path}")
        return 0

    _guarded(command, debug)


@app.command("validate")
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
        with _progress_bar() as bar:
            task = bar.add_task("validation", total=len(pictures), rate="")
            quality = validate(load_network(settings), settings, pictures, lambda: bar.advance(task))
        typer.echo(quality_table(quality))
        typer.echo(headline(quality))
        return 0

    _guarded(command, debug)


@app.command("eval")
def eval_command(
    gt_dir: Annotated[Path, typer.Option("--gt-dir", metavar="DIR", help="Maps of the truth.")],
    pred_dir: Annotated[Path, typer.Option("--pred-dir", metavar="DIR", help="Maps of the prediction.")],
    gt: Annotated[Path | None, typer.Option("--gt", metavar="JSON", help="What the truth's ids are.")] = None,
    pred: Annotated[
        Path | None, typer.Option("--pred", metavar="JSON", help="What the prediction's ids are.")
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="coco, cityscapes-vps, kitti-step or vipseg.")
    ] = "coco",
    windows: Annotated[
        str | None, typer.Option(metavar="N,N...", help="Labelled frames per window of VPQ.")
    ] = None,
    metrics: Annotated[
        str, typer.Option(metavar="NAME,NAME...", help="Some of pq, vpq, stq, hota, idf1.")
    ] = "pq,vpq,stq",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The figures as JSON.")] = None,
    debug: Debug = False,
) -> None:
    """Compare a prediction with the truth: PQ, VPQ, STQ, HOTA, IDF1."""

    def command() -> int:
        from evaluation.document import tables, to_document
        from evaluation.evaluate import evaluate
        from evaluation.formats.coco import write_json
        from evaluation.formats.opening import (
            READ_FORMATS,
            check_format,
            open_prediction,
            open_truth,
            windows_of,
        )

        check_format(format_, READ_FORMATS)
        lengths = parse_windows(windows) if windows is not None else windows_of(format_)
        truth = open_truth(format_, gt, gt_dir)
        prediction = open_prediction(format_, pred, pred_dir, truth.categories)
        with _progress_bar(in_file=False) as bar:
            task = bar.add_task("evaluation", total=None, rate="")
            evaluation = evaluate(
                truth,
                prediction,
                metrics.split(","),
                lengths,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        _print_tables(tables(evaluation))
        if out is not None:
            write_json(out, to_document(evaluation))
        return 0

    _guarded(command, debug)


@app.command("eval-run")
def eval_run_command(
    data: Annotated[
        Path, typer.Option("--data", metavar="SET", help="Folder of labelled videos; see docs/evaluation.md.")
    ],
    config: Config = "street",
    executor: Annotated[str | None, typer.Option(metavar="ray|local|inline", help="What runs it.")] = None,
    windows: Annotated[
        str, typer.Option(metavar="N,N...", help="Labelled frames per window of VPQ.")
    ] = "1,2,3,4",
    codec: Annotated[
        str, typer.Option(metavar="ffv1|h264", help="How the videos are played: lossless, or as cameras do.")
    ] = "ffv1",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="Keep what was played and what came out.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="The figures as JSON.")] = None,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Quality of the running pipeline, decode to encode, beside that of the model alone."""
    given = [f"run.executor={executor}"] if executor is not None else []

    def command() -> int:
        from configs.loading import load_settings
        from evaluation.formats.coco import write_json
        from evaluation.playing import check_codec
        from pipeline import run
        from pipeline.resolve import limit_spinning, resolve

        limit_spinning()
        from evaluation.running import evaluate_running
        from evaluation.running_report import running_document, running_table
        from pipeline.host import limit_threads

        settings = resolve(load_settings(config, [*(set_ or []), *given]))
        lengths = parse_windows(windows)
        limit_threads(settings.run.threads)
        with _folder(output) as folder, _progress_bar() as bar:

            def play(sources: Sequence[Source], results: Path) -> None:
                reports = run(sources, settings, results, overwrite=True, on_progress=_shown_on(bar))
                _check_complete(reports)

            task = bar.add_task("model alone", total=None, rate="", visible=False)
            quality = evaluate_running(
                data,
                settings,
                play,
                folder,
                windows=lengths,
                codec=check_codec(codec),
                on_video=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )
        _print_tables([running_table(quality)])
        if out is not None:
            write_json(out, running_document(quality))
        return 0

    _guarded(command, debug)


@app.command("convert")
def convert_command(
    from_dir: Annotated[Path, typer.Option("--from-dir", metavar="DIR", help="Maps to convert.")],
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the result.")],
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="coco, cityscapes-vps, kitti-step, vipseg, vipseg-masks, mots or mots-txt.",
        ),
    ],
    from_json: Annotated[
        Path | None, typer.Option("--from-json", metavar="JSON", help="What their ids are.")
    ] = None,
    from_: Annotated[
        str, typer.Option("--from", metavar="NAME", help="coco, cityscapes-vps, kitti-step, vipseg or mots.")
    ] = "coco",
    debug: Debug = False,
) -> None:
    """Write labels, or the results of a run, in another format."""

    def command() -> int:
        from evaluation.formats.opening import open_truth, open_writer

        labels = open_truth(from_, from_json, from_dir)
        writer = open_writer(to, output, labels.categories)
        with _progress_bar(in_file=False) as bar:
            task = bar.add_task("frames", total=len(labels.frames), rate="")
            for frame in labels.frames:
                writer.add(frame, labels.read_checked(frame))
                bar.advance(task)
        writer.close()
        typer.echo(f"{len(labels.frames)} frames: {output}")
        return 0

    _guarded(command, debug)


@config_app.command("show")
def config_show(config: Config = "street", set_: Overrides = None, debug: Debug = False) -> None:
    """Print the effective settings as YAML."""

    def command() -> int:
        from configs.loading import dump_settings, load_settings

        typer.echo(dump_settings(load_settings(config, set_ or [])), nl=False)
        return 0

    _guarded(command, debug)


@config_app.command("list")
def config_list() -> None:
    """List the presets."""

    def command() -> int:
        from configs.loading import describe_preset, preset_names

        for name in preset_names():
            typer.echo(f"{name:12} {describe_preset(name)}")
        return 0

    _guarded(command, debug=False)


def parse_time(text: str) -> float:
    """Seconds from "12.5" or "H:MM:SS" or "MM:SS"."""
    seconds = 0.0
    try:
        for part in text.split(":"):
            value = float(part)
            if not 0 <= value < float("inf"):
                raise ValueError
            seconds = 60 * seconds + value
    except ValueError:
        raise UsageError(f"{text!r} is not a time; use seconds (12.5) or H:MM:SS") from None
    return seconds


def parse_set(text: str) -> tuple[Path, int]:
    """Folder and weight from "DIR@N", or from "DIR", which counts once."""
    match = re.fullmatch(r"(.+)@([1-9]\d{0,5})", text)
    return (Path(match[1]), int(match[2])) if match else (Path(text), 1)


def parse_windows(text: str) -> tuple[int, ...]:
    """Numbers of frames from "1,2,3,4"."""
    if not re.fullmatch(r"[1-9]\d{0,5}(,[1-9]\d{0,5})*", text):
        raise UsageError(f"{text!r} is no list of windows; use numbers of frames like 1,2,3,4")
    return tuple(int(part) for part in text.split(","))


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """That folder, or one that is removed in the end."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="panoptrail-") as name:
        yield Path(name)


def _check_complete(reports: list[StreamReport]) -> None:
    """Raise what the first incomplete stream failed of."""
    for report in reports:
        if report.error is not None:
            raise report.error
        if report.status == "interrupted":
            raise KeyboardInterrupt


def _print_tables(tables: Iterable[Table]) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False)  # names of classes and videos are shown as they are
    if not console.is_terminal:  # a file has no width, and a table that is cut off is of no use
        console = Console(width=160, markup=False, emoji=False)
    for table in tables:
        console.print(table)


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
            code = USAGE if isinstance(report.error, UsageError) else FAILED
        elif report.status == "interrupted":
            code = INTERRUPTED
        typer.echo(
            f"{report.stream}: {report.status}, {report.num_frames} frames, {report.fps:.1f} frames a second"
        )
        for path in sorted(report.output.iterdir()):
            typer.echo(f"  {path}{'/' if path.is_dir() else ''}")
    return code


def _progress_bar(*, in_file: bool = True) -> ProgressBar:
    """Shown on stderr; not `in_file`: only if that is a terminal, so that an error is the one line there."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not in_file and not console.is_terminal,
    )


def _shown_on(bar: ProgressBar) -> Callable[[Progress], None]:
    """What shows the progress of each stream as a line of the bar."""
    tasks = {"": bar.add_task("starting", total=None, rate="")}
    started_s: dict[str, float] = {}

    def show(progress: Progress) -> None:
        if "" in tasks:
            bar.remove_task(tasks.pop(""))
        name, now_s = progress.stream, time.monotonic()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=progress.num_frames, rate="")
            started_s[name] = now_s
        elapsed_s = now_s - started_s[name]
        rate = f"{progress.num_done / elapsed_s:.1f} frames/s" if progress.num_done and elapsed_s else ""
        bar.update(tasks[name], completed=progress.num_done, rate=rate)

    return show


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


def _guarded(command: Callable[[], int], debug: bool) -> None:
    """Run a command; every error is one line on stderr, and an exit code."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        code = command()
    except UsageError as error:
        code = _complain(error, debug, USAGE)
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    except Exception as error:
        code = _complain(error, debug, FAILED)
    raise typer.Exit(code)


def _complain(error: Exception, debug: bool, code: int) -> int:
    if debug:
        traceback.print_exception(error)
    notes = getattr(error, "__notes__", [])
    kind = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    text = " ".join(str(error).split())
    typer.echo(f"error: {kind}{text}" + (f" ({'; '.join(notes)})" if notes else ""), err=True)
    return code


if __name__ == "__main__":
    app()
