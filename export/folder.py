"""What `run_pipeline.py export` does: from settings to a folder of files that were checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import OutputError
from configs.loading import dump_settings
from configs.schema import InputSettings, Settings
from export.check import Difference, compare, inputs_of
from export.onnx_file import write_onnx
from export.parts import Part, detection_part, features_part, fusion_part
from export.sample import make_sample
from models.vpsnet import SIZE_MULTIPLE, VPSNet
from stages.messages import Size
from stages.network import ROOT, load_network
from stages.preprocess import padded_size

WEIGHTS, CONFIG = "weights.safetensors", "config.yaml"
NAMES = (CONFIG, WEIGHTS, "features.onnx", "fusion.onnx", "detection.onnx")
"""All files that an export may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    files: tuple[Path, ...]
    differences: tuple[Difference, ...]
    """Of every output of every file."""
    num_objects: int
    """Seen in the picture on which the files were checked."""


def export(
    settings: Settings,
    output: Path,
    picture_size: Size,
    picture: np.ndarray,
    *,
    overwrite: bool,
    on_part: Callable[[str], None],
) -> Exported:
    """Write weights, settings and an ONNX file for each part of the network.

    `picture_size` (h, w) is the picture inside the network's input, which is padded to multiples of 32;
    the files are checked on `picture` (H, W, 3) uint8 RGB. `on_part` is told the name of each part before
    it is written. All files take their places at the end: after an error, nothing has changed.
    """
    fixed = settings_for(settings, picture_size)
    network = load_network(fixed)
    sample = make_sample(picture, picture_size, fixed, network)
    differences: list[Difference] = []
    with _filled_at_the_end(output, overwrite) as folder:
        _write_weights(settings, folder, output)
        for part in _parts(network, fixed, picture_size):
            on_part(part.name)
            path = folder / f"{part.name}.onnx"
            write_onnx(part, inputs_of(part, sample), _metadata(fixed, picture_size), path)
            differences += compare(part, path, sample, picture_size, fixed.detect)
    return Exported(
        files=tuple(path for path in (output / name for name in NAMES) if path.exists()),
        differences=tuple(differences),
        num_objects=len(sample.detections.scores),
    )


def settings_for(settings: Settings, picture_size: Size) -> Settings:
    """The settings on the CPU in float32, for pictures that already have their size."""
    return settings.model_copy(
        update={
            "input": InputSettings(short_side_px=min(picture_size), max_long_side_px=max(picture_size)),
            "model": settings.model.model_copy(update={"precision": "fp32"}),
            "run": settings.run.model_copy(update={"device": "cpu"}),
        }
    )


def _parts(network: VPSNet, settings: Settings, picture_size: Size) -> Iterator[Part]:
    yield features_part(network)
    if settings.model.fuse:
        yield fusion_part(network, settings.flow.stride)
    input_size = padded_size(picture_size, SIZE_MULTIPLE)
    yield detection_part(network, settings.detect, input_size, picture_size)


def _metadata(settings: Settings, picture_size: Size) -> dict[str, str]:
    """What a user of a file has to know, in the file."""
    return {
        "picture_size": f"{picture_size[1]}x{picture_size[0]}",
        "flow_stride": str(settings.flow.stride),
        "categories": ",".join(category.name for category in settings.categories),
    }


def _write_weights(settings: Settings, folder: Path, output: Path) -> None:
    """The weights file as it is, and settings that name the place where it will stand."""
    assert settings.model.weights is not None
    shutil.copyfile(ROOT / settings.model.weights, folder / WEIGHTS)
    model = settings.model.model_copy(update={"weights": str(output.resolve() / WEIGHTS)})
    own = settings.model_copy(update={"model": model})
    (folder / CONFIG).write_text(dump_settings(own), encoding="utf-8")


@contextmanager
def _filled_at_the_end(output: Path, overwrite: bool) -> Iterator[Path]:
    """A folder inside `output` whose files move there once all is well."""
    check_output(output, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=output, prefix=".unfinished-") as name:
        folder = Path(name)
        yield folder
        for known in NAMES:
            (output / known).unlink(missing_ok=True)
        for path in folder.iterdir():
            path.replace(output / path.name)


def check_output(output: Path, *, overwrite: bool) -> None:
    """Make the folder; OutputError if it cannot be written to, or holds what may not be replaced."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()) and not overwrite:
            raise OutputError(f"{output}: is not empty; name another --output, or give --overwrite")
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}); check the place") from None
