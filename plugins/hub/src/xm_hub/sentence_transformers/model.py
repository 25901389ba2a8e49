"""Loaded models, shared by the text and the image encoder of one reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

import torch

from xm import UsageError
from xm_hub.sentence_transformers.reference import Reference
from xm_hub.source import CONFIG, why_unloaded

LOCK = RLock()
"""Held while something loads, and while a tokenizer works: those of transformers are not made for several threads."""


def load(reference: Reference, device: str) -> Any:
    """`SentenceTransformer`, in float32 and evaluation mode, on a device. The last two are kept, by content.

    Raises:
        UsageError: if it does not load, or would run code of its own that the user does not trust.
        PluginError: if files can't be downloaded.
    """
    with LOCK:
        return _load(reference, reference.identity(), device)


@lru_cache(maxsize=2)
def _load(reference: Reference, content: str, device: str) -> Any:
    from sentence_transformers import SentenceTransformer

    folder = reference.folder()
    # `encode` runs in inference mode; parameters made there could not be copied for training.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        try:
            with _without_bars():
                made = SentenceTransformer(
                    str(folder), device=device, local_files_only=True, trust_remote_code=reference.trusted
                )
        except Exception as error:  # the library, transformers and torch raise many kinds
            if "trust_remote_code" in str(error) and not reference.trusted:
                raise reference.untrusted("it asks to run code") from error
            raise UsageError(f"{reference.name}: does not load ({why_unloaded(error)})") from error
        return made.eval().float()


@contextmanager
def _without_bars() -> Iterator[None]:
    """Within, transformers shows no bars of progress."""
    bars: Any = import_module("transformers.utils.logging")
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def dimension(reference: Reference) -> int:
    """Of the embeddings, from the modules' configurations; a model whose do not say is loaded."""
    kept = reference.cut_to()
    found = next((d for kind, place in reversed(reference.modules()) if (d := _told(reference, kind, place))), None)
    if found is None:
        found = int(load(reference, "cpu").get_embedding_dimension())
    return found if kept is None else min(found, kept)


def _told(reference: Reference, kind: str, place: str) -> int | None:
    """What a module's configuration says of its output's dimension."""
    if kind not in ("Pooling", "Dense"):
        return None
    path: Path = reference.source.file(f"{place}/{CONFIG}".lstrip("/"))
    config = json.loads(path.read_text(encoding="utf-8"))
    if kind == "Dense":
        return int(config["out_features"])
    width = config.get("embedding_dimension", config.get("word_embedding_dimension"))
    modes = config.get("pooling_mode")
    old = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    several = (len(modes) if isinstance(modes, list) else 1) if modes else max(len(old), 1)
    return None if width is None else int(width) * several


def images(reference: Reference) -> bool:
    """Whether the model has an image tower, by its files."""
    kind, place = reference.modules()[0]
    if kind == "CLIPModel":
        return True
    path = reference.folder() / place / "sentence_bert_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return "image" in (config.get("modality_config") or {})
