"""Text encoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xm.data import VIEWS
from xm.encoders import note_cut, read_text
from xm_hub.pretrained import kinds, tokens
from xm_hub.pretrained.encoder import Pretrained
from xm_hub.pretrained.loading import completed
from xm_hub.source import digest

POOLING = "1_Pooling/config.json"
"""Where a model says how its authors pool it (sentence-transformers writes it)."""

Coded = dict[str, list[int]]


class TextEncoder(Pretrained):
    """Text towers. Items: strings, and `Path`s of .txt files; cut at the tower's length; as `Pretrained` else."""

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True
    sized = True

    @cached_property
    def _pool(self) -> str:
        """The user's word, or the model's own; else the mean over tokens."""
        if self.options.pool or not self.kind.pool:
            return self.kind.pool
        folder = self._source.folder(tokens.WORDS)
        path = folder / POOLING
        said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return kinds.CLS if said.get("pooling_mode_cls_token") else kinds.MEAN

    def prepare(self, item: Any) -> Coded:
        """Token numbers, and which are no filling if the model asks for that."""
        text, made, most = read_text(item), self._tokenizer, self._most
        with tokens.ONE:
            coded = made(text, truncation=True, max_length=most)
            if len(text.encode()) + 2 > most:  # a byte a token
                cut = len(made(text, truncation=True, max_length=most + 1)["input_ids"]) > most
                if cut:
                    note_cut(item, most)
        return {name: list(coded[name]) for name in ("input_ids", "attention_mask") if name in coded}

    def size(self, prepared: Coded) -> int:
        """Its tokens."""
        return len(prepared["input_ids"])

    @cached_property
    def _tokenizer(self) -> Any:
        return tokens.tokenizer(self._source, self._files(), bool(self.options.code))

    def _files(self) -> tuple[Path, ...]:
        return tuple(tokens.files_of(self._source))

    @cached_property
    def _most(self) -> int:
        """Tokens that are read of a text."""
        config = completed(self._source, bool(self.options.code))
        return tokens.most(self._tokenizer, config, self.options.tokens)

    def _settings(self) -> Sequence[str]:
        files = [f"{path.name} {digest(path)}" for path in self._files()]
        return [*files, f"tokens {self.options.tokens}"]

    def _sample(self) -> Coded:
        return self.prepare("a b")

    def _rows(self, prepared: Sequence[Coded]) -> dict[str, Tensor]:
        return self._padded(prepared, self._most)

    def _features_of(self, prepared: Sequence[Coded]) -> Tensor:
        longest = self._most if self.kind.fixed else max(map(self.size, prepared))
        return self._features(self._padded(prepared, longest))

    def _padded(self, prepared: Sequence[Coded], length: int) -> dict[str, Tensor]:
        """Filled up behind the text; in front of it where the tower reads filling and its tokenizer says so."""
        made = self._tokenizer
        filling, ahead = {"input_ids": made.pad_token_id or 0}, self.kind.fixed and made.padding_side == "left"
        found = {
            name: torch.full((len(prepared), length), filling.get(name, 0), dtype=torch.long) for name in prepared[0]
        }
        for name, rows in found.items():
            for row, one in zip(rows, prepared, strict=True):
                first = length - len(one[name]) if ahead else 0
                row[first : first + len(one[name])] = torch.tensor(one[name])
        return found
