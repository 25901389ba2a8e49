"""Running a suite of `xm.testing` on one thing of a plugin, by pytest, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from xm.plugins import Spec, manager
from xm_cli.plugin_checks import suite

NO_PYTEST = "to run the suite of xm.testing on it: pip install pytest"
WANTS = {
    "EncoderConformance": "three items or more: --item FILE, or a text, three times",
    "DatasetConformance": "an example to read: --item PATH",
}
"""What a suite can't be run without, by its name."""

_MODULE = """
import os
import pytest
from pathlib import Path
from xm.plugins import manager
from xm.testing import {suite} as Suite
from xm_cli.plugins_command import registries

os.chdir({here!r})  # where arguments are relative to; pytest began elsewhere, so that it reads no settings of there
for file in {files!r}:
    manager().load_file(file)

class TestKit(Suite):
    argument = {argument!r}

    @pytest.fixture
    def spec(self):
        return registries()[{kind!r}].find({key!r})
"""
_ITEMS = """
    @pytest.fixture
    def items(self):
        return [Path(item) if Path(item).is_file() else item for item in {items!r}]

    @pytest.fixture
    def source(self):
        return {items!r}[0]
"""


def missing(kind: str, spec: Spec, items: Sequence[str]) -> str | None:
    """What the suite of such a thing lacks, in words; None if it can be run."""
    name = suite(kind, spec).rpartition(".")[2]
    if find_spec("pytest") is None:
        return NO_PYTEST
    by_name = kind == "dataset" and not getattr(spec, "opens", ())
    if name in WANTS and not by_name and len(items) < (3 if kind == "encoder" else 1):
        return f"its suite xm.testing.{name} wants {WANTS[name]}"
    return None


def run_suite(kind: str, spec: Spec, argument: str = "", items: Sequence[str] = ()) -> tuple[bool, str]:
    """Whether the suite passes, and what pytest says: its last line, and before it all that fails.

    Args:
        kind: of the thing.
        spec: of the thing.
        argument: of an encoder, what stands behind the colon.
        items: of an encoder; of a reader, the path of an example.
    """
    files = [str(Path(plugin.file).resolve()) for plugin in manager().plugins() if plugin.file]
    paths = [str(Path(item).resolve()) if Path(item).exists() else item for item in items]
    name = suite(kind, spec).rpartition(".")[2]
    here = str(Path.cwd())
    text = _MODULE.format(suite=name, files=files, here=here, argument=argument, kind=kind, key=spec.key)
    text += _ITEMS.format(items=paths) if paths else ""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "test_kit.py"
        module.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--rootdir", folder]
        done = subprocess.run([*command, str(module)], cwd=folder, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["pytest said nothing"]
    return done.returncode == 0, lines[-1] if done.returncode == 0 else "\n".join(lines)
