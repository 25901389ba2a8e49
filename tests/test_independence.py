"""The house's arrows: cli -> core <- plugins. Core and the program know no plugin, modality or strategy by name."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from xm.plugins import Hooks, PluginManager

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PACKAGES = (ROOT / "core", ROOT / "cli", *PLUGINS)
HOOKS = sorted(name for name in vars(Hooks) if not name.startswith("_"))
UNTESTED = {"benchmarks", "commands", "trackers"}
"""Hooks for which the kit has no suite."""
NAMES = frozenset({"image", "text", "audio", "video", "linear", "zero-shot", "nearest-centroid", "wise-ft"})


@cache
def trees(package: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.glob("src/**/*.py"))}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of every import, wherever it is; and of specs' targets and `import_module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            target = re.fullmatch(r"([a-z_]\w*(?:\.\w+)*):[A-Za-z_]\w*", node.value)
            if target and target[1].partition(".")[0] in sys.modules | dict.fromkeys(own_names()):
                yield node.lineno, target[1]


@cache
def own_names() -> frozenset[str]:
    return frozenset(path.name for package in PACKAGES for path in (package / "src").iterdir())


def project(package: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def required(package: Path) -> dict[str, str]:
    """Names of required distributions, normalised, and the extras asked for."""
    found = {}
    for line in project(package)["dependencies"]:
        match = re.match(r"([\w.-]+)(?:\[([^\]]*)\])?", line)
        assert match is not None
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2] or ""
    return found


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("package", PACKAGES, ids=ids)
def test_only_core_and_itself_are_imported(package: Path) -> None:
    """A plugin's command may use the program's face too."""
    allowed = {"xm", *(path.name for path in (package / "src").iterdir())}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path, tree in trees(package).items()
        for line, module in imported(tree)
        if (top := module.partition(".")[0]) not in allowed
        and (top in own_names() or top.startswith("xm_"))
        and not (module == "xm_cli" and path.stem == "command")
    ]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES, ids=ids)
def test_only_core_is_required(package: Path) -> None:
    siblings = {name for name in required(package) if name.startswith("xm-")}
    uses = {module.partition(".")[0] for tree in trees(package).values() for _, module in imported(tree)}
    program = {"xm-cli"} if package.name != "cli" and "xm_cli" in uses else set()
    assert siblings == (set() if package.name == "core" else {"xm-core", *program})


@pytest.mark.parametrize("package", PACKAGES, ids=ids)
def test_what_is_imported_is_required(package: Path) -> None:
    """Every other library that a package imports is among its dependencies, or comes with core or its extras."""
    core = project(ROOT / "core")
    extras = core.get("optional-dependencies", {})
    mine = required(package)
    lines = [
        *core["dependencies"],
        *(line for name in mine.get("xm-core", "").split(",") for line in extras.get(name, ())),
    ]
    lines += [line for more in project(package).get("optional-dependencies", {}).values() for line in more]
    known = {*mine, *(re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", line)[0]).lower() for line in lines)}
    homes = packages_distributions()
    wrong = set()
    for path, tree in trees(package).items():
        if "testing" in (*path.parts, path.stem):  # the kit needs pytest, which whoever runs it has
            continue
        for line, module in imported(tree):
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top in own_names():
                continue
            dists = {re.sub(r"[-_.]+", "-", name).lower() for name in homes.get(top, [top])}
            if not dists & known:
                wrong.add(f"{path.relative_to(ROOT)}:{line} imports {top} of {', '.join(sorted(dists))}")
    assert not wrong


def compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and value of every string that something is compared with, or matched against."""
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
            parts = node.args
        for part in parts:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.lineno, inner.value


@pytest.mark.parametrize("package", PACKAGES[:2], ids=ids)
def test_no_modality_or_strategy_is_asked_for_by_name(package: Path) -> None:
    manager = PluginManager()
    names = (
        NAMES | {spec.modality for spec in manager.encoders.values()} | set(manager.strategies) | set(manager.encoders)
    )
    wrong = [
        f"{path.relative_to(ROOT)}:{line} compares with {value!r}"
        for path, tree in trees(package).items()
        for line, value in compared(tree)
        if value in names
    ]
    assert not wrong


def test_such_a_comparison_would_be_seen() -> None:
    code = (
        "if kind == 'image' or name in ('x', 'linear'): pass\nmatch m:\n    case 'audio': pass\nm.startswith('text')\n"
    )
    assert {value for _, value in compared(ast.parse(code))} == {"image", "x", "linear", "audio", "text"}
    code = "import xm_plain.a\ndef f():\n    from xm_cli import main\nSpec(target='xm_probes.linear:Probe')\n"
    assert [module for _, module in imported(ast.parse(code))] == ["xm_plain.a", "xm_cli", "xm_probes.linear"]


def test_requirements_list_every_package() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = sorted(line.removeprefix("-e ./plugins/").strip() for line in lines if line.startswith("-e ./plugins/"))
    assert listed == [path.name for path in PLUGINS]
    assert {"-e ./core", "-e ./cli"} <= set(lines)


@pytest.mark.parametrize("package", PLUGINS, ids=ids)
def test_a_package_is_whole(package: Path) -> None:
    """A package is a plugin, or a family of them: a folder each, with a README, tests, and the kit."""
    module = f"xm_{package.name.replace('-', '_')}"
    found = project(package)
    assert found["name"] == f"xm-{package.name}"
    assert (package / "src" / module / "py.typed").is_file()
    alone = found["entry-points"]["xm"] == {package.name: module}
    for name, target in found["entry-points"]["xm"].items():
        folder = package / "src" / target.replace(".", "/")
        assert alone or target == f"{module}.{name.replace('-', '_')}"
        assert len((package if alone else folder).joinpath("README.md").read_text(encoding="utf-8").splitlines()) >= 10
        tests = sorted(package.glob("tests/test_*.py" if alone else f"tests/{folder.name}/test_*.py"))
        assert tests, f"{name} has no tests"
        if hooks(package, folder) - UNTESTED:
            assert any("Conformance" in path.read_text(encoding="utf-8") for path in tests), "it does not run the kit"


@pytest.mark.parametrize("package", PLUGINS, ids=ids)
def test_members_of_a_family_do_not_import_each_other(package: Path) -> None:
    """What they share is a module of the family."""
    members = set(project(package)["entry-points"]["xm"].values())
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path, tree in trees(package).items()
        for line, module in imported(tree)
        for member in members
        if f"{module}.".startswith(f"{member}.") and package / "src" / member.replace(".", "/") not in path.parents
    ]
    assert not wrong


def test_file_names_of_tests_are_unique() -> None:
    names = [path.name for path in ROOT.rglob("tests/**/test_*.py")]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def hooks(package: Path, folder: Path | None = None) -> set[str]:
    """Names of the hooks that a package implements, in a folder of it."""
    return {
        node.name
        for path, tree in trees(package).items()
        if folder is None or folder in path.parents
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "hookimpl" for mark in node.decorator_list)
    }


@pytest.mark.whole
@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_used_and_explained(hook: str) -> None:
    assert any(hook in hooks(package) for package in PACKAGES), f"no plugin of this repository has the hook {hook}"
    page = ROOT / "docs" / "plugins.md"
    assert re.search(rf"`{hook}`|def {hook}\(", page.read_text(encoding="utf-8")), f"{page} does not mention {hook}"
