"""`eval`, `eval-run` and `convert`: predictions against a truth, the running pipeline, formats."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, parse_windows
from commands.console import guarded, print_tables, progress_bar
from configs.errors import OutputError

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar

    from pipeline import Progress, StreamReport
    from stages.source import Source


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
        check_output(out, inputs=(gt, pred))
        lengths = parse_windows(windows) if windows is not None else windows_of(format_)
        truth = open_truth(format_, gt, gt_dir)
        prediction = open_prediction(format_, pred, pred_dir, truth.categories)
        with progress_bar() as bar:
            task = bar.add_task("evaluation", total=None, rate="")
            evaluation = evaluate(
                truth,
                prediction,
                metrics.split(","),
                lengths,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
        if out is not None:
            write_json(out, to_document(evaluation))
        print_tables(tables(evaluation))
        return 0

    guarded(command, debug)


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
        from configs.resolve import limit_spinning, resolve
        from evaluation.formats.coco import write_json
        from evaluation.playing import check_codec
        from pipeline import run

        limit_spinning()
        from evaluation.running import evaluate_running
        from evaluation.running_report import running_document, running_table
        from pipeline.host import limit_threads

        settings = resolve(load_settings(config, [*(set_ or []), *given]))
        lengths = parse_windows(windows)
        check_output(out, inputs=(data / "panoptic.json", data / "val" / "panoptic.json"))
        limit_threads(settings.run.threads)
        with _folder(output) as folder, progress_bar() as bar:

            def play(sources: Sequence[Source], results: Path) -> None:
                _check_complete(run(sources, settings, results, on_progress=_counted_on(bar, len(sources))))

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
        if out is not None:
            write_json(out, running_document(quality))
        print_tables([running_table(quality)])
        return 0

    guarded(command, debug)


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
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="For cityscapes-vps, of whole clips: the set that names their labelled frames.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write labels, or the results of a run, in another format."""

    def command() -> int:
        from evaluation.formats.cityscapes_vps import labelled_frames
        from evaluation.formats.opening import open_truth, open_writer

        _check_empty(output)
        labels = open_truth(from_, from_json, from_dir)
        frames = labels.frames if names is None else labelled_frames(labels, names)
        writer = open_writer(to, output, labels.categories)
        with progress_bar() as bar:
            task = bar.add_task("frames", total=len(frames), rate="")
            for frame in frames:
                writer.add(frame, labels.read_checked(frame))
                bar.advance(task)
        writer.close()
        typer.echo(f"{len(frames)} frames: {output}")
        return 0

    guarded(command, debug)


def check_output(out: Path | None, inputs: Sequence[Path | None]) -> None:
    """OutputError, before any work, if the figures cannot be written there."""
    if out is None:
        return
    if not out.name or out.is_dir():
        raise OutputError(f"{out}: is a folder; name a file in it")
    if out.is_symlink() or (out.exists() and not out.is_file()):
        raise OutputError(f"{out}: is no ordinary file, and would be replaced by one; name another")
    if out.resolve() in [path.resolve() for path in inputs if path is not None]:
        raise OutputError(f"{out}: is compared itself; name another file for the figures")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check the place") from None


def _check_empty(output: Path) -> None:
    """OutputError unless the folder is new or empty: nothing that was written is lost."""
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise OutputError(f"{output}: exists already and is not an empty folder; name another --output")


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    """That folder, which must be empty, or one that is removed in the end."""
    if given is not None:
        _check_empty(given)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="panoptrail-") as name:
        yield Path(name)


def _counted_on(bar: ProgressBar, num_streams: int) -> Callable[[Progress], None]:
    """What shows how many streams came before the one at work: there are too many for a line each."""
    task, seen = bar.add_task("played", total=num_streams, rate=""), set[str]()

    def show(progress: Progress) -> None:
        seen.add(progress.stream)
        bar.update(task, completed=len(seen) - 1)

    return show


def _check_complete(reports: list[StreamReport]) -> None:
    """Raise what the first incomplete stream failed of."""
    for report in reports:
        if report.error is not None:
            raise report.error
        if report.status == "interrupted":
            raise KeyboardInterrupt
