"""Models and pretrained tags that open_clip knows, read without importing open_clip."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from xm import PluginError, UsageError

_ALIAS = "_xm_openclip_catalogue"
_PREPROCESS = ("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color")


@cache
def _folder() -> Path:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("open_clip is not installed; try: pip install open_clip_torch")
    return Path(spec.submodule_search_locations[0])


@cache
def _submodule(name: str) -> ModuleType:
    """A submodule of open_clip that needs nothing of the package.

    `import open_clip` takes three seconds or more, because it imports torchvision and timm. Under another
    package name the tables alone load in 50 ms. If open_clip is imported already, that one is used.
    """
    if "open_clip" in sys.modules:
        return importlib.import_module(f"open_clip.{name}")
    if _ALIAS not in sys.modules:
        package = ModuleType(_ALIAS)
        package.__path__ = [str(_folder())]
        sys.modules[_ALIAS] = package
    return importlib.import_module(f"{_ALIAS}.{name}")


def models() -> list[str]:
    """Names of the models, those added by `open_clip.add_model_config` included."""
    if package := sys.modules.get("open_clip"):
        return list(package.list_models())
    return sorted(path.stem for path in (_folder() / "model_configs").glob("*.json"))


def tags(model: str) -> list[str]:
    """Names of the weights that can be downloaded for a model."""
    return list(_submodule("pretrained").list_pretrained_tags_by_model(model))


def model_config(model: str) -> dict[str, Any]:
    """A model's configuration.

    Raises:
        UsageError: if there is no such model; it names the nearest.
    """
    names = models()
    if model not in names:
        raise UsageError(f"unknown open_clip model {model!r}{nearest(model, names)}")
    if package := sys.modules.get("open_clip"):
        config: dict[str, Any] = package.get_model_config(model)
    else:
        config = json.loads((_folder() / "model_configs" / f"{model}.json").read_text(encoding="utf-8"))
    return config


def tag_config(model: str, tag: str) -> dict[str, Any]:
    """Of a model's pretrained weights: repository, preprocessing, activation.

    Raises:
        UsageError: if the model has no such weights; it names the nearest.
    """
    found: dict[str, Any] = _submodule("pretrained").get_pretrained_cfg(model, tag)
    if not found:
        known = tags(model)
        hint = nearest(tag, known) if known else "; open_clip has none for it: name a checkpoint file"
        raise UsageError(f"open_clip model {model!r} has no weights {tag!r}{hint}")
    return found


def preprocessing(overlay: dict[str, Any]) -> dict[str, Any]:
    """open_clip's default image preprocessing, changed by what `overlay` says of it."""
    constants = _submodule("constants")
    default = {
        "mode": "RGB",
        "mean": constants.OPENAI_DATASET_MEAN,
        "std": constants.OPENAI_DATASET_STD,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    }
    given = {k: v for k, v in overlay.items() if k in _PREPROCESS and v is not None}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in (default | given).items()}


def usual_preprocessing(model: str) -> dict[str, Any]:
    """What all pretrained weights of a model agree on, else open_clip's default."""
    found = [preprocessing(tag_config(model, tag)) for tag in tags(model)]
    return found[0] if found and all(f == found[0] for f in found) else preprocessing({})


def openai_archives() -> set[str]:
    """SHA-256 of the TorchScript archives that OpenAI published."""
    table = _submodule("pretrained")
    return {
        table.get_pretrained_cfg(model, "openai")["url"].split("/")[-2]
        for model in table.list_pretrained_models_by_tag("openai")
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest names, for the end of an error."""
    known = list(known)
    near = get_close_matches(name, known, n=3, cutoff=0.3) or sorted(known)[:3]
    return f"; nearest of {len(known)}: {', '.join(near)}"
