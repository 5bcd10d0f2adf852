"""Settings from a preset or a file, and from `key.sub=value` given on the command line.

A file holds only what differs from the schema's defaults. Every mistake names the file, the key, the
value, and what is allowed; an unknown key names the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from configs.errors import SettingsError
from configs.schema import Settings

PRESETS = Path(__file__).resolve().parent
COMMAND_LINE = "--set"


def load_settings(name_or_file: str, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a preset or of a YAML file, with `key.sub=value` overrides in their order."""
    path = find_config(name_or_file)
    content = _read(path)
    _refuse_unknown_keys(content, str(path))
    _validated(content, str(path))
    for override in overrides:
        key, value = _parse_override(override)
        change = _nested(key, value)
        _refuse_unknown_keys(change, COMMAND_LINE)
        content = _merged(content, change)
        _validated(content, COMMAND_LINE)
    return _validated(content, str(path))


def preset_names() -> list[str]:
    """The presets that ship with the project."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def describe_preset(name: str) -> str:
    """The comment in a preset's first line."""
    with (PRESETS / f"{name}.yaml").open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def dump_settings(settings: Settings) -> str:
    """YAML that `load_settings` reads back to the same settings."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, default_flow_style=None)


def find_config(name_or_file: str) -> Path:
    """The file of a preset's name, or the file itself."""
    if name_or_file in preset_names():
        return PRESETS / f"{name_or_file}.yaml"
    path = Path(name_or_file)
    if path.is_file():
        return path
    near = difflib.get_close_matches(name_or_file, preset_names(), n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise SettingsError(
        f"no preset and no file is named {name_or_file!r}; {hint}presets: {', '.join(preset_names())}"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as text: {error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must hold sections such as `run:`, not a {type(content).__name__}")
    return content


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"{COMMAND_LINE} {override}: must be key.sub=value, such as run.threads=2")
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError:
        raise SettingsError(f"{COMMAND_LINE} {override}: the value {text!r} is not YAML") from None


def _nested(key: str, value: object) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _refuse_unknown_keys(content: Mapping[str, Any], origin: str) -> None:
    known = dict(_keys(Settings))
    for key in _given_keys(content):
        if key in known:
            continue
        near = _nearest(key, list(known))
        raise SettingsError(f"{origin}: unknown key {key!r}; did you mean {near!r}?")


def _nearest(key: str, known: list[str]) -> str:
    """The known key most like this one: in the same section if it has one like it."""
    section, _, name = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    near = difflib.get_close_matches(name, siblings, n=1)
    if near:
        return siblings[near[0]]
    by_name = {k.rpartition(".")[2]: k for k in known}
    near = difflib.get_close_matches(name, by_name, n=1)
    return by_name[near[0]] if near else difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel] | None]]:
    """Every dotted key of the schema, with its section's model if it is a section."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        section = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        yield prefix + name, section
        if section is not None:
            yield from _keys(section, f"{prefix}{name}.")


def _given_keys(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in content.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _given_keys(value, f"{prefix}{name}.")


def _validated(content: Mapping[str, Any], origin: str) -> Settings:
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "model_type":
            names = ", ".join(name for name, _ in _keys(Settings) if name.startswith(f"{key}."))
            raise SettingsError(
                f"{origin}: {key}: {first['input']!r} is not a section; keys: {names}"
            ) from None
        allowed = first["msg"][0].lower() + first["msg"][1:]
        raise SettingsError(f"{origin}: {key}: {first['input']!r} is not allowed: {allowed}") from None
