"""Imports point one way, only pipeline/ knows Ray, and importing is silent and light."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("commands", "configs", "evaluation", "export", "models", "pipeline", "stages", "training")
ALLOWED = {
    "commands": {"commands", "configs", "evaluation", "export", "pipeline", "stages", "training"},
    "configs": {"configs"},
    "models": {"models"},
    "stages": {"configs", "models", "stages"},
    "evaluation": {"configs", "evaluation", "models", "stages"},
    "export": {"configs", "export", "models", "stages"},
    "training": {"configs", "evaluation", "models", "stages", "training"},
    "pipeline": {"configs", "pipeline", "stages"},
}
"""Folder to the folders of the project that it may import."""

MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    ours = {name.split(".")[0] for name in imported_names(path)} & {*FOLDERS, "tests", "run_pipeline"}
    assert ours <= ALLOWED[folder]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_pipeline_imports_ray(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] != "pipeline":
        assert "ray" not in {name.split(".")[0] for name in imported_names(path)}


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if (ROOT / folder).is_dir()])
def test_folders_that_are_imported_are_the_projects_own(folder: str) -> None:
    places = importlib.import_module(folder).__path__
    assert {Path(place).resolve() for place in places} == {ROOT / folder}


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in result.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import run_pipeline", {"torch", "ray", "av", "cv2", "numpy", "rich", "pydantic"}),
        ("import configs.loading", {"torch", "ray", "av", "cv2", "numpy"}),
        ("import stages", {"torch", "ray", "av", "cv2"}),
        ("import pipeline", {"torch", "ray", "av", "cv2"}),
        ("import pipeline.ray_executor", {"torch", "ray", "av", "cv2"}),
        ("import stages.source, stages.decode, stages.encode, stages.results", {"torch", "ray"}),
    ],
)
def test_importing_is_light(statement: str, heavy: set[str]) -> None:
    assert not loaded_after(statement) & heavy
