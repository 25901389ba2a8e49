"""Core's rooms: what is public of them, and that everything outside core keeps to it."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xm import _moved
from xm.testing import installed

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core" / "src" / "xm"
ROOMS = sorted(path.parent.name for path in CORE.glob("*/__init__.py"))
OUTSIDE = [
    path for folder in ("cli", "plugins", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))
]
SURFACE = Path(__file__).with_name("surface.txt")
LONGEST, KERNEL = 300, 2_500
"""Lines of a source module, and of all of `xm.learning`, which an author of a method must read."""


def public(room: str) -> list[str]:
    """Public names of a room, or of `xm` itself (""), with its module."""
    face = importlib.import_module(f"xm.{room}".rstrip("."))
    return [f"{face.__name__}.{name}" for name in sorted(face.__all__)]


def test_the_public_surface_is_listed() -> None:
    """Whoever changes a face changes the list, so that it shows in review: a line for each name."""
    names = [name for room in ("", *ROOMS) for name in public(room)]
    assert names == SURFACE.read_text(encoding="utf-8").split()


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_there(room: str) -> None:
    face = importlib.import_module(f"xm.{room}".rstrip("."))
    missing = []
    for name in face.__all__:
        try:
            getattr(face, name)
        except ImportError as error:  # a module of media whose library is an extra
            missing.append(f"{name}: {error}")
    assert not missing or room == "media", missing
    assert (face.__doc__ or "").strip()


def room_imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import below a room."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
        yield from ((node.lineno, module) for module in modules if module.startswith("xm.") and module.count(".") > 1)


def test_outside_core_the_public_surface_alone_is_imported() -> None:
    names = set(SURFACE.read_text(encoding="utf-8").split())
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}; import from xm.{module.split('.')[1]}"
        for path in OUTSIDE
        for line, module in room_imports(path)
        if module not in names
    ]
    assert not wrong


def test_modules_are_small_and_so_is_the_kernel() -> None:
    lines = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for package in (ROOT / "core", ROOT / "cli", *(ROOT / "plugins").iterdir())
        for path in package.glob("src/**/*.py")
    }
    assert not {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > LONGEST}
    assert sum(n for path, n in lines.items() if path.parent == CORE / "learning") <= KERNEL


def test_core_is_its_rooms() -> None:
    assert {path.name for path in CORE.iterdir() if not path.name.startswith("_")} == {*ROOMS, "py.typed"}
    tested = {path.name for path in (ROOT / "core" / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert tested == set(ROOMS)


@pytest.mark.parametrize("old", sorted(_moved.MOVED))
def test_old_names_forward_with_a_warning(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if _moved.MOVED[old].startswith("xm_search"):
        installed("search")
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"{old} is now {_moved.MOVED[old]}"):
        module = importlib.import_module(old)
    assert module is importlib.import_module(_moved.MOVED[old])


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"xm\.nothing"):
        importlib.import_module("xm.nothing")
