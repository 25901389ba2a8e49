"""Settings of `train` from flags, environment and file: what is given, and where it came from."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from xm import UsageError
from xm.experiment import TrainSettings
from xm.foundation import unknown
from xm.plugins import Config, manager, validated

PREFIX = "XM_"

NO_VARIABLE = {"data"}
"""Fields that the environment does not set: ``XM_DATA`` is the folder of datasets that have names."""


@dataclass(frozen=True)
class Setting:
    """A value and its source, in words."""

    value: Any
    source: str


def gather(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> dict[str, Setting]:
    """What is given, by field: a flag goes before a variable, a variable before the file. Tables are merged by key.

    Args:
        flags: by field; None is not given. A list of "NAME=VALUE" for a table, else plain values.
        environment: of the process; ``XM_SHOTS`` is the field `shots`.
        file: TOML.

    Raises:
        UsageError: for a file that is no TOML, an unknown key in it, or a table's item without "=".
    """
    found: dict[str, Setting] = {}
    for name, value, source in [*_file(file), *_environment(environment), *_flags(flags)]:
        before = found.get(name)
        if before and isinstance(value, dict) and isinstance(before.value, dict):
            merged = {**before.value, **value}
            found[name] = Setting(merged, f"{source}; {before.source}" if merged != value else source)
        else:
            found[name] = Setting(value, source)
    return found


def resolve(given: Mapping[str, Setting]) -> TrainSettings:
    """The settings, checked.

    Raises:
        UsageError: that names all that is wrong.
    """
    if "modality" not in given:
        known = ", ".join(manager().modalities())
        raise UsageError(f"name the target with --modality NAME (known: {known or 'none; no plugin has an encoder'})")
    return validated(TrainSettings, values(given), "train")


def values(given: Mapping[str, Setting]) -> dict[str, Any]:
    """Given settings as keyword arguments of `xm.train`."""
    return {name: setting.value for name, setting in given.items()}


def listing(given: Mapping[str, Setting]) -> dict[str, Setting]:
    """Every setting with its value and source, defaults included."""
    settings = resolve(given).model_dump(mode="json")
    return {
        name: Setting(value, given[name].source if name in given else "default") for name, value in settings.items()
    }


def _flags(flags: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    for name, value in flags.items():
        if value is not None:
            yield name, parsed(name, value, "flag"), "flag"


def _environment(environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for name in TrainSettings.model_fields.keys() - NO_VARIABLE:
        variable = PREFIX + name.upper()
        if environment.get(variable):
            yield name, parsed(name, environment[variable], variable), variable


def _file(path: Path | None) -> Iterator[tuple[str, Any, str]]:
    if path is None:
        return
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"--config {path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not TOML: {error}") from None
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in TrainSettings.model_fields:
            raise UsageError(f"--config {path}: {unknown('setting', key, TrainSettings.model_fields)}")
        yield name, value, str(path)


def parsed(name: str, value: Any, where: str, config: type[Config] = TrainSettings) -> Any:
    """A field's value from text: lists by commas or as JSON, tables as NAME=VALUE or as JSON."""
    annotation = config.model_fields[name].annotation
    kind = get_origin(annotation)
    if kind is dict:
        items = value if isinstance(value, list) else _listed(value)
        return (
            items
            if isinstance(items, dict)
            else dict(_pair(item, get_args(annotation)[1] is Any, name, where) for item in items)
        )
    if kind is tuple and isinstance(value, str):
        return _listed(value)
    return value


def _listed(text: str) -> Any:
    if text.lstrip().startswith(("[", "{")):
        found = _json(text)
        if isinstance(found, list | dict):
            return found
    return [part.strip() for part in text.split(",") if part.strip()]


def _pair(item: str, typed: bool, setting: str, where: str) -> tuple[str, Any]:
    name, equals, value = item.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{setting} ({where}): {item!r} is not of the form NAME=VALUE")
    return name.strip(), _json(value) if typed else value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
