"""Implementations named as strings, ``"package.module:Attribute"``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xm.foundation.errors import PluginError, described


def load_target(target: str) -> Any:
    """Import ``"package.module:Attribute"`` and return the attribute.

    Raises:
        PluginError: if the target is malformed, or importing it fails.
    """
    module, _, attribute = target.partition(":")
    if not module or not attribute:
        raise PluginError(f"target {target!r} is not of the form 'package.module:Attribute'")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a plugin's module may raise anything
        package = (getattr(error, "name", None) or "").partition(".")[0]
        foreign = isinstance(error, ModuleNotFoundError) and package != module.partition(".")[0]
        hint = f"; try: pip install {package}" if foreign else ""
        raise PluginError(f"target {target!r} does not import: {described(error)}{hint}") from error
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        raise PluginError(f"target {target!r} does not exist: {described(error)}") from error


def looked(looks: str, path: Path) -> bool | None:
    """What a spec's function of a path says of a file; None if there is none ("").

    Raises:
        PluginError: if it does not load, or fails.
    """
    if not looks:
        return None
    try:
        return bool(load_target(looks)(path))
    except PluginError:
        raise
    except Exception as error:  # a plugin's function may raise anything
        raise PluginError(f"{looks} fails on {path}: {described(error)}") from error


def parameters(target: Any) -> Mapping[str, Any]:
    """What a target can be called with, by name; {} if that can't be told."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return {}
