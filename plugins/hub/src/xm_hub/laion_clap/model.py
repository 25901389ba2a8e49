"""Loaded models, shared by the audio and the text encoder of one source."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any

import torch
from torch import Tensor

from xm import UsageError
from xm.foundation import described
from xm_hub.laion_clap.source import CONFIG, Source, digest

_POINTER = b"version https://git-lfs"
"""How the file begins that stands for a large one in a repository copied without Git LFS."""

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
            model = ClapModel(ClapConfig.from_dict(source.config()))
        except Exception as error:  # transformers raises many kinds for a wrong configuration
            raise UsageError(f"laion-clap:{source.name}: {CONFIG} makes no model ({described(error)})") from error
        _fill(model, path)
        return model.train(False).to(device)


def _fill(model: Any, path: Path) -> None:
    """Load weights. Indices, which follow from the configuration, may be missing or left over from an older release."""
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise UsageError(f"{path}: is a Git LFS pointer, not the weights; type in its folder: git lfs pull")
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
        return "it holds something else than tensors; such a file could run code, so it is not loaded"
    said = lines[1] if len(lines) > 1 and lines[0].startswith("Error(s) in loading") else (lines or [""])[0]
    return f"{type(error).__name__}: {said[:200]}"


def extractor(name: str, settings: str) -> Any:
    """transformers' `ClapFeatureExtractor` with settings, as JSON; `name` is the source's, for messages."""
    with _LOADING:
        return _extractor(name, settings)


@lru_cache(maxsize=2)
def _extractor(name: str, settings: str) -> Any:
    from transformers import ClapFeatureExtractor

    try:
        return ClapFeatureExtractor.from_dict(json.loads(settings))
    except (TypeError, ValueError) as error:
        raise UsageError(f"laion-clap:{name}: settings of its preprocessing are wrong ({described(error)})") from error


def tokenizer(source: Source) -> Any:
    """The source's tokenizer."""
    with _LOADING:
        files = (*source.tokenizer(), source.file(CONFIG))
        return _tokenizer(source.name, files, tuple(digest(path) for path in files))


@lru_cache(maxsize=2)
def _tokenizer(name: str, files: tuple[Path, ...], contents: tuple[str, ...]) -> Any:
    """Made of these files alone, though the hub's cache may hold others beside them."""
    from transformers import AutoTokenizer

    with TemporaryDirectory() as folder:
        for path in files:
            shutil.copy(path, folder)
        try:
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers and tokenizers raise many kinds for damaged files
            said = described(error).replace(folder, ".")[:300]
            raise UsageError(f"laion-clap:{name}: its tokenizer does not load ({said})") from error
