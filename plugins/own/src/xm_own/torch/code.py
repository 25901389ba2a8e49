"""The user's own code: found, imported, and its errors told as its own."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from xm import PluginError, UsageError, fingerprint_of
from xm.foundation import XMError, described, unknown
from xm_own.files import digest

EXAMPLE = "torch:my_code.py:embed or torch:package.module:embed"


@dataclass(frozen=True)
class Code:
    """Something in a module of the user's.

    Attributes:
        name: in the module.
        thing: itself.
        place: the module's name, or the file's, as typed.
        file: of the module; None if it has none.
    """

    name: str
    thing: Any
    place: str
    file: Path | None

    def __str__(self) -> str:
        return f"{self.place}:{self.name}"

    def content(self) -> str:
        """Digest of the file."""
        return digest(self.file) if self.file is not None and self.file.is_file() else self.place


def required(thing: Any) -> int:
    """How many arguments a call needs; 1 if that can't be told."""
    try:
        given = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return 1
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.default is inspect.Parameter.empty and one.kind in plain for one in given)


def find(text: str) -> Code:
    """What ``MODULE:NAME`` or ``FILE.py:NAME`` names. Modules are looked for as ``python -m`` does: here first.

    Raises:
        UsageError: if there is no such file, module or name.
        PluginError: if it does not import.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise UsageError(f"torch{text and ':'}{text}: expected MODULE:NAME or FILE.py:NAME, as in {EXAMPLE}")
    module = _of_file(place) if place.endswith(".py") else _of_name(place)
    thing: Any = module
    for part in name.split("."):
        if not hasattr(thing, part):
            known = [own for own, value in vars(thing).items() if _offered(own, value, module)]
            raise unknown(f"name in {place}:", part, known)
        thing = getattr(thing, part)
    file = getattr(module, "__file__", None)
    return Code(name, thing, place, Path(file) if file else None)


def _offered(name: str, value: Any, module: ModuleType) -> bool:
    """Whether something in a module is its own, and no helper."""
    return callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == module.__name__


def _of_file(place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        where = "" if Path(place).expanduser().is_absolute() else f" in {Path.cwd()}"
        raise UsageError(f"torch:{place}: no such file{where}")
    known = f"_xm_own_{path.stem}_{fingerprint_of(str(path))[:8]}"
    if known in sys.modules:
        return sys.modules[known]
    spec = importlib.util.spec_from_file_location(known, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    try:
        with _importable(path.parent), telling(place, path, "does not import"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[known]
        raise
    return module


def _of_name(place: str) -> ModuleType:
    with _importable(Path.cwd()):
        try:
            spec = importlib.util.find_spec(place)
        except (ImportError, ValueError):  # a package above it is none, or not there
            spec = None
        except Exception as error:  # a package above it may raise anything
            raise PluginError(f"{place}: does not import: {described(error)}; see it with --debug") from error
        if spec is None:
            raise UsageError(f"torch:{place}: no module of that name in {Path.cwd()} or installed; type {EXAMPLE}")
        with telling(place, Path(spec.origin) if spec.origin else None, "does not import"):
            return importlib.import_module(place)


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within, modules are looked for in a folder first; after it last, for what is imported when it is called."""
    sys.path.insert(0, os.fspath(folder))
    try:
        yield
    finally:
        sys.path.remove(os.fspath(folder))
        if os.fspath(folder) not in sys.path:
            sys.path.append(os.fspath(folder))


@contextmanager
def telling(what: object, file: Path | None, how: str = "fails") -> Iterator[None]:
    """Within, exceptions of the user's code leave as one line that says what, and where in its file.

    Errors of xm leave as they are: the user's code may raise `xm.ItemError` for an item that it can't read.

    Raises:
        PluginError: caused by the exception.
    """
    try:
        yield
    except (XMError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        lines = [] if file is None else _lines(error, file)
        at = f" ({file.name}, line {lines[-1]})" if file and lines else ""
        hint = "see it with --debug"
        if isinstance(error, ModuleNotFoundError) and error.name:
            hint = f"try: pip install {error.name.partition('.')[0]}"
        raise PluginError(f"{what}{at}: {how}: {described(error)}; {hint}") from error


def _lines(error: BaseException, file: Path) -> list[int]:
    """The lines of a file that were at work, the outermost first."""
    if isinstance(error, SyntaxError) and error.filename == str(file) and error.lineno:
        return [error.lineno]
    trace, found = error.__traceback__, []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(file):
            found.append(trace.tb_lineno)
        trace = trace.tb_next
    return found
