"""Loaded models, shared by the image and the text encoder of one reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from xm import PluginError, UsageError
from xm_openclip import catalogue
from xm_openclip.reference import Reference
from xm_openclip.weights import RandomWeights, is_torchscript, sha256

Tokenizer = Callable[..., Tensor]
"""Called with texts, and with ``context_length=n`` for another length than its own."""


@dataclass(frozen=True)
class Model:
    """An open_clip model in evaluation mode, and its image preprocessing (image to (3, height, width))."""

    module: nn.Module
    transform: Callable[[Image], Tensor]


@lru_cache(maxsize=2)
def load(reference: Reference, device: str) -> Model:
    """The model of a reference, in float32 on a device. The last two are kept.

    Raises:
        UsageError: if the weights are not of this model, or hold more than tensors.
        PluginError: if they can't be downloaded.
    """
    path = None if isinstance(reference.weights, RandomWeights) else reference.weights.file()
    seed = reference.weights.seed if isinstance(reference.weights, RandomWeights) else 0
    # `encode` runs in inference mode; of parameters made there, not even copies (in a tail) could be trained.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = _build(reference)
        if path is not None:
            _fill(module, path, reference)
        module = module.eval().to(device)
    return Model(module, _transform(reference, module))


@lru_cache(maxsize=2)
def tokenizer(reference: Reference) -> Tokenizer:
    """The tokenizer of a reference's text tower: texts to ids (n, context length).

    Raises:
        PluginError: if its files are not on this machine and can't be downloaded.
    """
    import open_clip  # type: ignore[import-untyped]

    try:
        made: Tokenizer = open_clip.get_tokenizer(reference.tokenizer)
    except (OSError, ImportError, ValueError) as error:
        raise PluginError(f"{reference.name}: its tokenizer does not load: {_first_line(error)}") from error
    return made


def precision(device: torch.device) -> torch.dtype:
    """What a tower computes in: float32 on a CPU; on CUDA bfloat16, or float16 where that is missing."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Mixed precision on CUDA; nothing elsewhere."""
    return torch.autocast("cuda", precision(device)) if device.type == "cuda" else nullcontext()


def _build(reference: Reference) -> nn.Module:
    """The model, untrained: what `open_clip.create_model` makes of a configuration, but it never
    downloads weights of single towers."""
    import open_clip

    config = json.loads(reference.config)
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False
    if "hf_model_name" in config["text_cfg"]:
        config["text_cfg"]["hf_model_pretrained"] = False
        config["custom_text"] = True
    kind = open_clip.CLIP
    if config.pop("custom_text", False):
        kind = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    try:
        made: nn.Module = kind(**config)
    except OSError as error:
        raise PluginError(f"{reference.name}: a tower's configuration is missing: {_first_line(error)}") from error
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UsageError(f"{reference.name}: open_clip rejects its model_cfg: {_first_line(error)}") from error
    return made


def _fill(module: nn.Module, path: Path, reference: Reference) -> None:
    import open_clip

    try:
        if is_torchscript(path) and sha256(path) in catalogue.openai_archives():
            state = torch.jit.load(str(path), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
            settings = ("input_resolution", "context_length", "vocab_size")
            module.load_state_dict({k: v for k, v in state.items() if k not in settings})
        else:
            open_clip.load_checkpoint(module, str(path), strict=True, weights_only=True)
    except Exception as error:  # torch, pickle and safetensors raise many kinds for a wrong file
        raise UsageError(f"{path} does not fit {reference.name}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Error(s) in loading state_dict"):
        more = f" (and {len(lines) - 2} more)" if len(lines) > 2 else ""
        return f"{lines[1][:200]}{more}; is it of another model?"
    if lines and lines[0].startswith("Weights only load failed"):
        return "it holds more than tensors, and such a file could run code, so it is not loaded"
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _transform(reference: Reference, module: nn.Module) -> Callable[[Image], Tensor]:
    from open_clip.transform import (  # type: ignore[import-untyped]
        PreprocessCfg,
        image_transform_v2,
    )

    settings = json.loads(reference.preprocess)
    size = getattr(module.visual, "image_size", None)
    if size is not None:
        settings["size"] = size
    made: Callable[[Image], Tensor] = image_transform_v2(PreprocessCfg(**settings), is_train=False)
    return made
