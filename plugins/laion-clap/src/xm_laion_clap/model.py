"""Loaded models, shared by the audio and the text encoder of one source."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from xm.errors import UsageError, described
from xm_laion_clap.source import CONFIG, PREPROCESSOR, Source, digest

_LOADING = RLock()
"""Held while something loads: threads that read ahead ask at once, which transformers' lazy imports don't stand."""


def load(source: Source, device: str) -> Any:
    """transformers' `ClapModel`, in float32 and evaluation mode, on a device. The last two are kept, by content.

    Raises:
        UsageError: if the weights are not of this configuration, or hold more than tensors.
        PluginError: if they can't be downloaded.
    """
    with _LOADING:
        return _load(source, digest(source.weights()), device)


@lru_cache(maxsize=2)
def _load(source: Source, content: str, device: str) -> Any:
    from transformers import ClapConfig, ClapModel

    path = source.weights()
    # `encode` runs in inference mode; parameters made there could not be copied for training.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        try:
            model = ClapModel(ClapConfig.from_dict(source.json(CONFIG)))
        except Exception as error:  # transformers raises many kinds for a wrong configuration
            raise UsageError(f"laion-clap:{source.name}: {CONFIG} makes no model ({described(error)})") from error
        _fill(model, path)
        return model.train(False).to(device)


def _fill(model: Any, path: Path) -> None:
    """Load weights. Indices, which follow from the configuration, may be missing or left over from an older release."""
    try:
        absent = set(model.load_state_dict(_tensors(path), strict=False).missing_keys)
    except Exception as error:  # torch, pickle and safetensors raise many kinds for a wrong file
        raise UsageError(f"{path}: holds no weights of this model ({_reason(error)})") from error
    learned = {name for name, value in model.state_dict().items() if value.is_floating_point()}
    if lost := sorted(absent & learned):
        raise UsageError(f"{path}: lacks {len(lost)} of the model's tensors, such as {lost[0]}")


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Weights only load failed"):
        return "it holds more than tensors, and such a file could run code, so it is not loaded"
    said = lines[1] if len(lines) > 1 and lines[0].startswith("Error(s) in loading") else (lines or [""])[0]
    return f"{type(error).__name__}: {said[:200]}"


def extractor(source: Source) -> Any:
    """transformers' `ClapFeatureExtractor` with the source's settings."""
    with _LOADING:
        return _extractor(source)


@lru_cache(maxsize=2)
def _extractor(source: Source) -> Any:
    from transformers import ClapFeatureExtractor

    try:
        return ClapFeatureExtractor.from_dict(source.json(PREPROCESSOR))
    except (TypeError, ValueError) as error:
        raise UsageError(f"laion-clap:{source.name}: {PREPROCESSOR} is damaged ({described(error)})") from error


def tokenizer(source: Source) -> Any:
    """The source's tokenizer."""
    with _LOADING:
        return _tokenizer(source)


@lru_cache(maxsize=2)
def _tokenizer(source: Source) -> Any:
    from transformers import AutoTokenizer

    folder = source.tokenizer()[0].parent
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise many kinds for damaged files
        raise UsageError(f"laion-clap:{source.name}: its tokenizer does not load ({described(error)[:300]})") from error
