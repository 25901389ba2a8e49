"""Help imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pydantic", "rich", "sklearn", "safetensors")
PROBE = """
import json, sys
sys.argv = ["xm", *sys.argv[1:]]
from xm_cli.main import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code or 0, sorted(sys.modules)]), file=sys.stderr)
"""


def modules(*args: str) -> tuple[int, set[str]]:
    done = subprocess.run([sys.executable, "-c", PROBE, *args], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stderr.splitlines()[-1])
    return code, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["predict", "--help"],
        ["eval", "--help"],
        ["plugins"],
        ["data", "--help"],
        ["doctor", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code, names = modules(*args)
    assert code == 0
    assert not names & set(HEAVY)


def test_listing_plugins_imports_neither_torch_nor_numpy_nor_pydantic(toy: list[str]) -> None:
    code, names = modules(*toy, "plugins", "list")
    assert code == 0
    assert not names & {"torch", "numpy", "pydantic"}


def test_settings_are_checked_without_torch(toy: list[str]) -> None:
    code, names = modules(*toy, "train", "-m", "word", "--aux", "word")
    assert code == 2
    assert "torch" not in names
