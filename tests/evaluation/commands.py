"""The command line in this process, and files for it to compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

from typer.testing import CliRunner, Result

from configs.categories import CITYSCAPES
from run_pipeline import app
from tests.evaluation.formats.sets import Json, annotation, write_description, write_maps

ROAD, PERSON, CAR = 0, 11, 13


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def assert_one_line(result: Result, *words: str) -> None:
    """Exit code 2 and one line on stderr with these words."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


class Places:
    """A truth and a prediction of one video, each in COCO's files; the tests break one of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.maps = {"gt": root / "gt", "pred": root / "pred"}
        self.entries: dict[str, list[Json]] = {}
        for side, folder in self.maps.items():
            write_maps(folder, dict.fromkeys("123", "1155"))
            self.entries[side] = [annotation(n, (1, ROAD), (5, CAR), video_id="v") for n in (1, 2, 3)]

    def eval(self, *more: object) -> Result:
        """Writes the descriptions and compares."""
        arguments: list[object] = ["eval"]
        for side, folder in self.maps.items():
            path = write_description(self.root / f"{side}.json", self.entries[side], CITYSCAPES)
            arguments += [f"--{side}", path, f"--{side}-dir", folder]
        return call(*arguments, *more)

    def figures(self, *more: object) -> Json:
        """The JSON of a comparison that succeeds."""
        out = self.root / "metrics.json"
        result = self.eval("--out", out, *more)
        assert (result.exit_code, result.stderr) == (0, "")
        return read_figures(out)


def read_figures(path: Path) -> Json:
    """The document, which must be JSON without NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    document: Json = json.loads(path.read_text(), parse_constant=refuse)
    return document
