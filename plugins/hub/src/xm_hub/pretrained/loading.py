"""Loaded models, shared by the encoders of one source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from xm import UsageError
from xm.foundation import described
from xm_hub.source import CONFIG, Source, digest

LOADING = RLock()
"""Held while something loads: threads that read ahead ask at once, which transformers' lazy imports don't stand."""

RELEASE = tuple(int(part) for part in version("transformers").split(".")[:2])

_DTYPE = "dtype" if RELEASE >= (4, 56) else "torch_dtype"
"""What `from_pretrained` calls it."""

POOLER = re.compile(r"(^|\.)pooler\.")
"""Of a base model: checkpoints that were trained without it lack its weights, and most are pooled otherwise."""

_UNUSED = re.compile(r"(^|\.)(masked_spec_embed|mask_token|logit_scale|logit_bias|position_ids|num_batches_tracked)$")
"""Parameters that only pretraining reads, or that follow from the configuration."""


@dataclass(frozen=True)
class Loaded:
    """A model, and which of its parameters the checkpoint lacked; those are random, and no feature needs them."""

    module: Any
    missing: frozenset[str]


def load(source: Source, cls: str, trusted: bool, device: str, without: re.Pattern[str] | None = None) -> Loaded:
    """A model of transformers, in float32 and evaluation mode, on a device. The last two are kept, by content.

    Args:
        source: of its files, all of which must be here or can be downloaded.
        cls: the class in transformers.
        trusted: whether Python code among the files may run.
        device: where to.
        without: names of parameters that no feature needs, so that a checkpoint may lack them.

    Raises:
        UsageError: if the weights are not of this configuration, lack some, or hold more than tensors.
        PluginError: if they can't be downloaded.
    """
    with LOADING:
        first = source.checkpoint()[0]
        return _load(source, source.identity(), cls, trusted, device, without, first)


@lru_cache(maxsize=2)
def _load(
    source: Source, content: str, cls: str, trusted: bool, device: str, without: re.Pattern[str] | None, first: Path
) -> Loaded:
    where = f"{source.encoder}:{source.name}"
    kind = class_of(where, cls)
    # `encode` runs in inference mode; parameters made there could not be copied for training.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), quiet():
        torch.default_generator.manual_seed(0)
        try:
            model, info = kind.from_pretrained(
                source.folder(),
                local_files_only=True,
                trust_remote_code=trusted,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                use_safetensors=".safetensors" in first.name,
                **{_DTYPE: torch.float32},
            )
        except Exception as error:  # torch, pickle, safetensors and transformers raise many kinds for a wrong file
            raise UsageError(f"{_blamed(source, first, error)} ({_reason(error)})") from error
        _check(first, model, info, without)
        return Loaded(model.float().train(False).to(device), frozenset(info["missing_keys"]))


def _check(path: Path, model: Any, info: Mapping[str, Any], without: re.Pattern[str] | None) -> None:
    """Refuse weights of other shapes, and too few of them; indices follow from the configuration."""
    wrong = [(item,) if isinstance(item, str) else tuple(item) for item in info.get("mismatched_keys") or ()]
    if wrong:
        name, *shapes = min(wrong, key=str)  # releases differ in whether they say the shapes
        said = f": {list(shapes[0])} in the file, {list(shapes[1])} by {CONFIG}" if len(shapes) == 2 else ""
        raise UsageError(f"{path}: holds no weights of this model (size mismatch for {name}{said})")
    learned = {name for name, _ in model.named_parameters()}
    learned |= {name for name, value in model.named_buffers() if value.is_floating_point()}
    lost = [
        name
        for name in sorted(set(info["missing_keys"]) & learned)
        if not _UNUSED.search(name) and not (without and without.search(name))
    ]
    if lost and len(lost) == len([name for name in learned if not _UNUSED.search(name)]):
        raise UsageError(f"{path}: holds no weights of this model (none of its {len(lost)} tensors, such as {lost[0]})")
    if lost:
        raise UsageError(f"{path}: lacks {len(lost)} of the model's tensors, such as {lost[0]}")


def class_of(where: str, cls: str) -> Any:
    """A class of transformers.

    Raises:
        UsageError: if the installed release has none of this name.
    """
    with LOADING:
        import transformers

        found = getattr(transformers, cls, None)
    if found is None:
        raise UsageError(
            f"{where}: transformers {transformers.__version__} has no {cls}; try: pip install --upgrade transformers"
        )
    return found


def known_types() -> Mapping[str, str]:
    """The types of configurations that the installed transformers knows."""
    with LOADING:
        from transformers.models.auto import configuration_auto

        found: Mapping[str, str] = vars(configuration_auto)["CONFIG_MAPPING_NAMES"]
        return found


def completed(source: Source, trusted: bool) -> dict[str, Any]:
    """The model's configuration with what its class adds, as published ones leave out what is usual.

    Raises:
        UsageError: if transformers can't make one of the file.
    """
    path = source.file(CONFIG)
    return dict(made(source, CONFIG, lambda: _completed(path.parent, digest(path), trusted)))


@lru_cache(maxsize=4)
def _completed(folder: Path, content: str, trusted: bool) -> dict[str, Any]:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
    found: dict[str, Any] = config.to_dict()
    return found


def made(source: Source, what: str, make: Callable[[], Any]) -> Any:
    """What `make` loads of a source's files.

    Raises:
        UsageError: saying `what` does not load, and why.
    """
    with LOADING, quiet():
        try:
            return make()
        except UsageError:
            raise
        except Exception as error:  # transformers and tokenizers raise many kinds for damaged files
            folder = str(source.given or "")
            said = _reason(error).replace(folder, ".") if folder else _reason(error)
            raise UsageError(f"{source.encoder}:{source.name}: {what} does not load ({said})") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Within, transformers says nothing and shows no bars: what is wrong is told in a line."""
    from transformers.utils import logging

    told: Any = logging
    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(told.CRITICAL)
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()


def _blamed(source: Source, path: Path, error: Exception) -> str:
    """What the error is about: configuration, or weights."""
    if isinstance(error, KeyError | ImportError | AttributeError | TypeError | ZeroDivisionError | AssertionError):
        return f"{source.encoder}:{source.name}: {CONFIG} makes no model"
    return f"{path}: holds no weights of this model"


def _reason(error: BaseException) -> str:
    chain: list[BaseException] = [error]
    while (behind := chain[-1].__cause__ or chain[-1].__context__) is not None and len(chain) < 9:
        chain.append(behind)
    if any("weights only load failed" in str(one).lower() or "weights_only" in str(one).lower() for one in chain):
        return "it holds something else than tensors; such a file could run code, so it is not loaded"
    return described(error)[:200]
