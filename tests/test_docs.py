"""The documentation: its code runs, its links lead somewhere, its commands exist.

``<!-- file: NAME -->`` above a fenced block means that the block is a file of that name; ``<!-- run -->`` above a
console block means that its ``$`` lines are run, in one folder for each page, and that the lines without ``$`` are
among what the command before them printed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from xm.plugins import Hooks, manager
from xm_cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(path for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")) if path.is_file())
BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>run|file: (?P<file>\S+)) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is "run", "file: NAME" or ""."""

    mark: str
    file: str
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(m["mark"] or "", m["file"] or "", m["kind"], m["text"]) for m in found]


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.whole
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", [page for page in PAGES if any(b.mark for b in blocks(page))], ids=ids)
def test_code_runs(page: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "1000", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    folder = tmp_path / "page"
    folder.mkdir()
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.mark:
            _run(block.text, folder, site, environment)


def _run(text: str, folder: Path, site: Path, environment: Mapping[str, str]) -> None:
    printed = ""
    for line in text.splitlines():
        if line.startswith("$ "):
            command = _command(shlex.split(line[2:]), site)
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
            )
            printed = done.stdout + done.stderr
            assert done.returncode == 0, f"{line}\n{printed}"
            assert "warning" not in printed, f"{line}\n{printed}"
        else:
            lines = [" ".join(one.split()) for one in printed.splitlines()]
            assert " ".join(line.split()) in lines, f"not printed: {line}\n{printed}"


def _command(words: list[str], site: Path) -> list[str]:
    """The command with this Python; what pip installs goes to `site`, so that the environment stays as it is."""
    program, *arguments = words
    if program == "python":
        return [sys.executable, *arguments]
    if program == "xm":
        return [str(Path(sys.executable).with_name("xm")), *arguments]
    if program == "pytest":
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    if program == "pip":
        assert arguments[0] == "install"
        options = ["--quiet", "--no-deps", "--target", str(site)]
        if importlib.util.find_spec("hatchling"):  # else pip fetches it from the registry
            options.append("--no-build-isolation")
        return [sys.executable, "-m", "pip", "install", *options, *arguments[1:]]
    raise AssertionError(f"the documentation runs {program!r}, which the test doesn't know")


def test_python_blocks_are_run_or_signatures() -> None:
    """A Python block that is no file declares something, or is a fragment of a few lines; it compiles at least."""
    for page in PAGES:
        for block in blocks(page):
            if block.kind == "python":
                compile(block.text, f"{page.name}: {block.text[:40]!r}", "exec")


def test_first_encoder_is_short() -> None:
    [source] = [b.text for b in blocks(ROOT / "docs/plugins.md") if b.file == "my_encoder.py"]
    assert len(source.splitlines()) < 40


def test_every_hook_has_a_section() -> None:
    text = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    for hook in (name for name in vars(Hooks) if not name.startswith("_")):
        assert f"def {hook}() -> list[" in sections.get(hook, ""), f"docs/plugins.md: no section on {hook}"
        assert "Used by [" in sections[hook], f"docs/plugins.md: {hook}: no user is named"


@pytest.mark.whole
def test_every_plugin_is_listed(listed: set[str]) -> None:
    projects = [tomllib.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("plugins/*/pyproject.toml")]
    assert listed == {name for found in projects for name in found["project"]["entry-points"]["xm"]}


METHOD = ("Settings", "When to use it", "One command", "Agreement")
"""The sections of a method's page."""


@pytest.mark.whole
def test_every_method_has_a_page_and_a_line_in_parity() -> None:
    parity = (ROOT / "docs/parity.md").read_text(encoding="utf-8")
    known = [*manager().strategies, *(name for name in manager().predictors if name != "argmax")]
    for name in known:
        page = ROOT / "docs/methods" / f"{name.replace('+', '-plus')}.md"
        assert page.is_file(), f"{name} has no page"
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n"), page
        missing = [title for title in METHOD if f"\n## {title}\n" not in text]
        assert not missing, f"{page}: without {', '.join(missing)}"
        assert f"methods/{page.name}" in parity, f"docs/parity.md does not mention {name}"


@pytest.mark.whole
@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_resolve(page: Path) -> None:
    for link in LINK.finditer(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        target, _, anchor = link["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{ids(page)}: {link[0]}"
        if anchor:
            assert anchor in anchors(path), f"{ids(page)}: {link[0]}"


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    titles = (heading["title"] for heading in HEADING.finditer(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(page: Path) -> Iterator[str]:
    """The lines of a page that start with xm: in blocks that are not run anyway, and in code within a sentence."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.mark == "" and block.kind in ("", "console", "sh", "bash", "shell"):
            joined = block.text.replace("\\\n", " ")
            yield from re.findall(r"^(?:.* && |\$ |XM_\w+=\S+ )*(xm .*)$", joined, re.MULTILINE)
    yield from re.findall(r"`(xm [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.whole
@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_parse(page: Path) -> None:
    for line in commands(page):
        words = [word for word in shlex.split(line, comments=True)[1:] if word not in ("…", "...")]
        try:
            parse(words)
        except Exception as error:  # the parser's own, or one of xm
            pytest.fail(f"{ids(page)}: {line}: {error}")


def parse(words: list[str]) -> None:
    """Parse a command line without doing what it says."""
    from typer.main import get_command

    if words == ["--help"] or "--plugin" in words:  # a single-file plugin of the page: those lines are run
        return
    command: Any = get_command(app)
    context: Any = None
    while hasattr(command, "resolve_command"):
        if not words:
            return  # a group is named, not called
        context = command.make_context(command.name, words, context, resilient_parsing=True)
        _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    command.params = [parameter for parameter in command.params if not getattr(parameter, "is_eager", False)]
    for parameter in command.params:
        parameter.required = False
    command.make_context(command.name, words, context)


def test_the_parser_refuses_what_is_not_there() -> None:
    for line in ("train --modalty image", "nothing", "data shwo"):
        with pytest.raises(Exception, match=r"modalty|nothing|shwo"):
            parse(line.split())
    parse(["train", "--modality", "image", "--image-encoder", "pixels:8"])
    parse(["predict", "RUN", "FILE", "--top", "5"])
