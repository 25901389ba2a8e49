"""Plugins as they are found, and single files that are plugins."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from xm.foundation.errors import PluginError, described


@dataclass(frozen=True)
class Plugin:
    """A plugin that was found.

    Attributes:
        name: of its entry point, file or object.
        version: of its distribution; of a file or an object its ``__version__``; "" if it has none.
        distribution: the installed distribution, "" if it has none.
        error: None, or why it could not be used.
        file: of a single-file plugin, else "".
        module: that its hooks are in, "" if it did not load.
        trace: of the error, with files and lines; "" if nothing was raised.
    """

    name: str
    version: str = ""
    distribution: str = ""
    error: str | None = None
    file: str = ""
    module: str = ""
    trace: str = ""

    def __str__(self) -> str:
        return f"plugin {self.name} {self.version}".rstrip()


def module_of(plugin: object) -> str:
    """The name of the module that a plugin's hooks are in."""
    return plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__


def version_of(plugin: object) -> str:
    """What a file or an object says of its version."""
    found = getattr(plugin, "__version__", "")
    return found if isinstance(found, str) else ""


def trace_of(error: BaseException) -> str:
    """Where an error was raised: files and lines, of what the program is made of and of the plugin."""
    return "".join(traceback.format_exception(error)).rstrip()


def import_file(path: Path) -> ModuleType:
    """The module of a single-file plugin.

    Raises:
        PluginError: if it is no Python file, or importing it fails; it names the line.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise PluginError(f"plugin file {path}: not a Python file (expected NAME.py)")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # its specs name "stem:Class"
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        inside = [frame.lineno for frame in inspect.trace() if frame.filename == module.__file__]
        line = inside[-1] if inside else getattr(error, "lineno", None)
        raise PluginError(f"plugin file {path}, line {line}: {described(error)}") from error
    return module
