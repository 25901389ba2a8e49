"""Models of timm: how they are shaped, and loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from xm import UsageError
from xm.foundation import described
from xm_hub.source import why_unloaded
from xm_hub.timm.reference import Reference

_MAKING = RLock()
"""Held while a model is made or loaded: threads that read ahead ask at once."""

MODES = {1: "L", 3: "RGB"}
"""Of images, by a model's number of input channels."""


@dataclass(frozen=True)
class Shape:
    """What is known of a model before its weights are.

    Attributes:
        module: with parameters that hold nothing.
        dim: of the features before the head.
        maps: shape of what `forward_features` gives of one image; () if that can't be told.
        preprocessing: timm's data configuration of it, as JSON.
        mode: of the images that it takes.
    """

    module: Any
    dim: int
    maps: tuple[int, ...]
    preprocessing: str
    mode: str

    def settings(self) -> str:
        """What decides outputs beside weights and preprocessing, as JSON: the architecture and its arguments."""
        arguments = {name: str(value) for name, value in getattr(self.module, "_model_args", {}).items()}
        return json.dumps([self.module.pretrained_cfg["architecture"], arguments], sort_keys=True)

    def transform(self) -> Callable[[Image], Tensor]:
        """timm's transform for evaluation: an image to (channels, height, width)."""
        return _transform(self.preprocessing)


def shape(reference: Reference) -> Shape:
    """A model's shape; no weights are read.

    Raises:
        UsageError: if timm makes no model of the configuration, or one that xm has no images for.
    """
    return _shape(reference, reference.configuration())


@lru_cache(maxsize=8)
def _shape(reference: Reference, content: str) -> Shape:
    with _MAKING, torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                module = _create(reference)
        except NotImplementedError:  # what it computes while it is made needs numbers
            module = _create(reference)
        settings = _data("config", "resolve_model_data_config")(module)
        maps, dim = _sizes(reference, module, settings["input_size"])
    channels = int(settings["input_size"][0])
    if channels not in MODES:
        raise UsageError(f"{reference.name}: takes images of {channels} channels; xm has images of 1 or 3")
    return Shape(module, dim, maps, json.dumps(settings, sort_keys=True), MODES[channels])


def _sizes(reference: Reference, module: Any, size: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Shape of what `forward_features` gives of one image, () if it is no tensor; and the dimension before the head."""
    try:
        with torch.no_grad():
            maps = module.forward_features(torch.zeros(1, *size, device=next(module.parameters()).device))
    except Exception:  # a model that computes nothing without numbers, by whatever it raises
        return (), int(getattr(module, "head_hidden_size", None) or module.num_features)
    try:
        with torch.no_grad():
            dim = int(module.forward_head(maps, pre_logits=True).shape[1])
    except Exception as error:  # of a model that is an encoder of another one's, without pooling
        raise UsageError(f"{reference.name}: gives no vector of an image ({described(error)[:200]})") from error
    return tuple(maps.shape[1:]) if isinstance(maps, Tensor) else (), dim


def load(reference: Reference, device: str) -> Any:
    """timm's model, in float32 and evaluation mode, on a device. The last two are kept, by content.

    Raises:
        UsageError: if the weights are not of this model, or hold more than tensors.
        PluginError: if they can't be downloaded.
    """
    with _MAKING:
        return _load(reference, reference.identity(), device)


@lru_cache(maxsize=2)
def _load(reference: Reference, content: str, device: str) -> Any:
    path = reference.weights()
    # `encode` runs in inference mode; of parameters made there, not even copies (in a tail) could be trained.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(reference.seed or 0)
        module = _create(reference, path)
        return module.eval().float().to(device)


def _create(reference: Reference, path: Path | None = None) -> Any:
    import timm

    try:
        overlay = {} if path is None else _from_file(reference, path)
        classes: dict[str, Any] = {name: overlay[name] for name in ("num_classes",) if name in overlay}
        return timm.create_model(
            reference.model, pretrained=path is not None, pretrained_cfg_overlay=overlay, **classes
        ).eval()
    except NotImplementedError:
        if path is None:
            raise
        raise UsageError(f"{path}: timm does not read such a file for {reference.name}") from None
    except Exception as error:  # timm, torch, pickle and safetensors raise many kinds
        if path is None:
            raise UsageError(f"{reference.name}: timm makes no model of it ({described(error)[:300]})") from error
        raise UsageError(f"{path} does not fit {reference.name}: {why_unloaded(error)}") from error


def _from_file(reference: Reference, path: Path) -> dict[str, Any]:
    """What changes in timm's configuration where weights come from this file."""
    overlay: dict[str, Any] = {"file": str(path), "source": None, "url": None, "hf_hub_id": None, "custom_load": False}
    if reference.path is None:
        return overlay
    known = shape(reference).module.pretrained_cfg
    classes = _head_of(path, known)
    usual, offset = int(known.get("num_classes") or 0), int(known.get("label_offset") or 0)
    if classes != usual + offset:
        overlay |= {"num_classes": classes, "label_offset": None, "label_names": None, "tag": "unknown"}
    return overlay


def _data(module: str, name: str) -> Any:
    """A function of `timm.data`, which has no types."""
    return getattr(import_module(f"timm.data.{module}"), name)


def _head_of(path: Path, config: Mapping[str, Any]) -> int:
    """How many classes the head in a checkpoint has; 0 if it has none."""
    from timm.models import load_state_dict

    name = config.get("classifier") or ""
    first = name if isinstance(name, str) else next(iter(name), "")
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            key = f"{first}.weight"
            return int(file.get_slice(key).get_shape()[0]) if key in set(file.keys()) else 0
    weight = load_state_dict(str(path), weights_only=True).get(f"{first}.weight")
    return 0 if weight is None else len(weight)


@lru_cache(maxsize=4)
def _transform(preprocessing: str) -> Callable[[Image], Tensor]:
    settings = json.loads(preprocessing)
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    made: Callable[[Image], Tensor] = _data("transforms_factory", "create_transform")(**settings, is_training=False)
    return made


def classifier(module: Any) -> nn.Linear | nn.Conv2d | None:
    """The last layer, if it is a linear map of the features; None of models with none, or with two."""
    found = module.get_classifier()
    linear = isinstance(found, nn.Linear) or (isinstance(found, nn.Conv2d) and found.kernel_size == (1, 1))
    return found if linear else None
