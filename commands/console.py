"""What all commands do alike: a progress bar, tables, and an end in one line and an exit code."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from configs.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress as ProgressBar
    from rich.table import Table

    from pipeline import Progress

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes."""


def guarded(command: Callable[[], int], debug: bool) -> None:
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


def print_tables(tables: Iterable[Table]) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False)  # names of classes and videos are shown as they are
    if not console.is_terminal:  # a file has no width, and a table that is cut off is of no use
        console = Console(width=160, markup=False, emoji=False)
    for table in tables:
        console.print(table)


def progress_bar() -> ProgressBar:
    """Shown on stderr if that is a terminal; in a file, an error is the one line there."""
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
        disable=not console.is_terminal,
    )


def shown_on(bar: ProgressBar) -> Callable[[Progress], None]:
    """What shows the progress of each stream as a line of the bar."""
    tasks = {"": bar.add_task("starting", total=None, rate="")}
    began: dict[str, tuple[int, float]] = {}
    """Frames done and time when a stream was first told of."""

    def show(progress: Progress) -> None:
        if "" in tasks:
            bar.remove_task(tasks.pop(""))
        name, now_s = progress.stream, time.monotonic()
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=progress.num_frames, rate="")
            began[name] = progress.num_done, now_s
        num_done, elapsed_s = progress.num_done - began[name][0], now_s - began[name][1]
        rate = f"{num_done / elapsed_s:.1f} frames/s" if num_done and elapsed_s else ""
        if progress.state not in (None, "live"):
            rate = f"{progress.state} {rate}"
        bar.update(tasks[name], completed=progress.num_done, rate=rate)

    return show
