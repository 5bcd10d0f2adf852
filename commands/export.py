"""`export`: the model for other runtimes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.arguments import Config, Debug, Overrides, parse_input_size
from commands.console import guarded, print_tables, progress_bar
from configs.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from configs.schema import InputSettings
    from export.folder import Exported

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "motorway.jpg"
"""What the files are checked on unless the user names a picture."""
LEFT_OUT = "flow between frames, removal of hidden objects, tracking and the panoptic map"


def export_command(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Folder for the files.")],
    config: Config = "street",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH", help="The network's input, multiples of 32; else for 16:9 or the picture."
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check the files on this picture, and fit its aspect.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    set_: Overrides = None,
    debug: Debug = False,
) -> None:
    """Write weights, settings and ONNX files for other runtimes, checked against torch."""

    def command() -> int:
        check_packages()
        from configs.loading import load_settings
        from configs.resolve import limit_spinning, resolve

        limit_spinning()
        from export.folder import check_output, export
        from pipeline.host import limit_threads
        from stages.picture_reader import read_picture

        settings = load_settings(config, set_ or [])
        image = read_picture(str(picture or PICTURE))
        given = (image.shape[0], image.shape[1]) if picture is not None else None
        picture_size = parse_input_size(size) if size is not None else _picture_size(settings.input, given)
        check_output(output, overwrite=overwrite)
        limit_threads(resolve(settings).run.threads)
        with progress_bar() as bar:
            task = bar.add_task("export", total=None, rate="")
            exported = export(
                settings,
                output,
                picture_size,
                image,
                overwrite=overwrite,
                on_part=lambda name: bar.update(task, description=name),
            )
        _tell(exported)
        return 0

    guarded(command, debug)


def check_packages() -> None:
    """UsageError if a package is missing that only an export needs."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(f"export needs {', '.join(missing)}, not installed here: pip install '.[export]'")


def _picture_size(settings: InputSettings, given: tuple[int, int] | None) -> tuple[int, int]:
    """(h, w) that the settings ask for, for a picture of this size (H, W), or of 16:9."""
    from stages.preprocess import network_size

    return network_size(given or (1080, 1920), settings)


def _tell(exported: Exported) -> None:
    print_tables([_table(exported)])
    if not exported.num_objects:
        typer.echo(
            "warning: no object in the picture: outputs for objects are unchecked; give another --picture",
            err=True,
        )
    typer.echo(f"not in the files: {LEFT_OUT} (docs/export.md)")
    for path in exported.files:
        typer.echo(f"  {path}")


def _table(exported: Exported) -> Table:
    from rich.table import Table

    table = Table(title="ONNX Runtime beside torch")
    for column in ("file", "output", "shape", "largest difference", "of its range"):
        table.add_column(column, justify="left" if column in ("file", "output") else "right")
    for row in exported.differences:
        shape = "x".join(map(str, row.shape))
        table.add_row(f"{row.part}.onnx", row.output, shape, f"{row.largest:.1e}", f"{row.of_range:.1e}")
    return table
