"""The text encoder."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Lock
from typing import Any

from torch import Tensor, nn

from xm.data import VIEWS
from xm.encoders import note_cut, read_text
from xm_openclip.encoder import Front, OpenClip
from xm_openclip.model import tokenizer
from xm_openclip.weights import sha256

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)


_ONE = Lock()
"""Held while a tokenizer works: those of Hugging Face keep the length that one call asks for, until another does."""


class TextEncoder(OpenClip):
    """Text towers of CLIP. Items: strings, and `Path`s of .txt files; cut at the context length."""

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True

    def _settings(self) -> tuple[str, ...]:
        """The tokenizer's name; of one that lies in a folder, its files' content."""
        name = self._reference.tokenizer
        if not name.startswith("local-dir:"):
            return (name.removesuffix("-quickgelu"),)
        if not json.loads(self._reference.config)["text_cfg"].get("hf_tokenizer_name"):
            return ()  # CLIP's own, which comes with open_clip
        files = [Path(name.removeprefix("local-dir:"), file) for file in _TOKENIZER_FILES]
        return tuple(f"{path.name} {sha256(path)}" for path in files if path.is_file())

    def prepare(self, item: Any) -> Tensor:
        """Token ids (context length,)."""
        text, made = read_text(item), tokenizer(self._reference)
        with _ONE:
            ids: Tensor = made([text])[0]
            if len(text.encode()) + 2 > len(ids) and getattr(made, "tokenizer_mode", "") != "clips":  # a byte a token
                more = made([text], context_length=len(ids) + 1)[0]
                if not more[: len(ids)].equal(ids):  # a text that ends within has the same beginning
                    note_cut(item, len(ids))
        return ids

    @staticmethod
    def _features(module: nn.Module, batch: Tensor) -> dict[str, Tensor]:
        return {"features": module.encode_text(batch, normalize=False)}  # type: ignore[operator]

    @staticmethod
    def _networks(module: Any) -> tuple[nn.Module, ...]:
        return (module.text if hasattr(module, "text") else module.transformer,)

    @staticmethod
    def _split(module: nn.Module, depth: int) -> tuple[Front, nn.Module]:
        from xm_openclip.towers import split_text

        return split_text(module, depth)
