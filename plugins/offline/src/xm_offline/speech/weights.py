"""Where the weights are, found without importing the package that carries them."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from xm import PluginError
from xm.plugins import Weights, of_package

_NEEDED = ("onnx", "onnxruntime", "soundfile", "torchaudio")
_FILES = ("melspectrogram.onnx", "embedding_model.onnx")
INSTALL = "pip install --no-deps openwakeword==0.5.1"


def why_not() -> str | None:
    """None if the weights and all packages are here, else what is missing and what to type."""
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}"
    absent = [name for name in _FILES if _found(name) is None]
    return f"{', '.join(absent)} not installed; try: {INSTALL}" if absent else None


def mel_file() -> Path:
    """The ONNX model from samples to log-mel frames.

    Raises:
        PluginError: if the package that carries it is missing, or of a version without weights.
    """
    return _data(_FILES[0])


def embedding_file() -> Path:
    """The ONNX model from 76 log-mel frames to a vector; raises as `mel_file` does."""
    return _data(_FILES[1])


def _data(name: str) -> Path:
    file = _found(name)
    if file is None:
        raise PluginError(f"speech: {name} is not installed; try: {INSTALL}")
    return file


def _found(name: str) -> Path | None:
    spec = find_spec("openwakeword")
    folders = (spec.submodule_search_locations or []) if spec else []
    files = [Path(folder, "resources", "models", name) for folder in folders]
    return next((file for file in files if file.is_file()), None)


def carried() -> Weights:
    """As `xm.Encoder.pretrained` says them: of a package that carries other models too, the two files that are read."""
    package = of_package("openwakeword", (".onnx",))
    paths = tuple(path for path in package.paths if path.name in _FILES)
    return replace(package, paths=paths, size=sum(path.stat().st_size for path in paths) if paths else None)
