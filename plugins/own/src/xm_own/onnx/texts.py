"""From texts to what a graph takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from xm import UsageError
from xm.encoders import note_cut, read_text
from xm.foundation import described
from xm_own.files import digest
from xm_own.onnx.graph import Array, Graph, Port
from xm_own.onnx.readers import Prepared, Reader
from xm_own.onnx.settings import TextSettings

_MOST = 512
"""Tokens, where neither the settings nor graph and tokenizer say how many; BERT's number."""


class TextReader(Reader):
    """Texts: a window is the numbers of a text's tokens.

    Texts of a batch are filled up to the longest where the graph has a mask, to its length where that is fixed, and
    else only texts of equal length are computed together.
    """

    suffixes = (".txt",)
    sized = True

    def __init__(self, settings: TextSettings, graph: Graph) -> None:
        self.graph = graph
        self._file = graph.path.parent / settings.tokenizer
        if not self._file.is_file():
            raise UsageError(
                f"{graph.path}: its tokenizer {self._file} is not there; save it with Hugging Face's tokenizer.save "
                f'or name it in {graph.path.with_suffix(".json").name}: "tokenizer": "FILE.json"'
            )
        self._ids = self._input(settings.ids or settings.input, "input_ids") or graph.inputs[0]
        self._mask = self._input(settings.mask, "attention_mask")
        self._types = self._input(settings.types, "token_type_ids")
        dims = self._ids.dims
        self._fixed = dims[1] if len(dims) > 1 else None
        self._asked = settings.tokens
        self._lock = Lock()

    def _input(self, name: str, usual: str) -> Port | None:
        """The input that was named, or the one that is usually called so, if there is one."""
        if name:
            return self.graph.input(name)
        return next((port for port in self.graph.inputs if port.name == usual), None)

    @cached_property
    def _made(self) -> tuple[Tokenizer, int, int]:
        """The tokenizer, how many tokens it gives at most, and what stands behind them."""
        try:
            tokenizer = Tokenizer.from_file(str(self._file))
        except Exception as error:  # tokenizers raises plain Exceptions
            raise UsageError(f"{self._file}: is no file of Hugging Face's tokenizers ({described(error)})") from error
        own = (tokenizer.truncation or {}).get("max_length")
        most = min(n for n in (self._asked or self._fixed or own or _MOST, self._fixed) if n)
        padding = int((tokenizer.padding or {}).get("pad_id", 0))
        tokenizer.enable_truncation(most)
        tokenizer.no_padding()
        return tokenizer, most, padding

    def _tokenizer(self) -> tuple[Tokenizer, int, int]:
        with self._lock:
            return self._made

    def prepare(self, item: Any) -> Prepared:
        tokenizer, most, _ = self._tokenizer()
        coded = tokenizer.encode(read_text(item))
        if coded.overflowing:
            note_cut(item, most)
        return [list(coded.ids)], torch.ones(1)

    def key(self, window: Any) -> Any:
        return None if self._mask or self._fixed else len(window)

    def size(self, prepared: Prepared) -> int:
        return len(prepared[0][0])

    def feed(self, windows: Sequence[Any]) -> dict[str, Array]:
        length = self._fixed or max(map(len, windows))
        ids = np.full((len(windows), length), self._tokenizer()[2], dtype=self._ids.dtype)
        mask = np.zeros((len(windows), length), dtype=np.int64)
        for row, there, own in zip(ids, mask, windows, strict=True):
            row[: len(own)], there[: len(own)] = own, 1
        found = {self._ids.name: ids}
        if self._mask:
            found[self._mask.name] = mask.astype(self._mask.dtype)
        if self._types:
            found[self._types.name] = np.zeros_like(ids, dtype=self._types.dtype)
        return found

    def mask(self, feed: dict[str, Array]) -> Array | None:
        return feed[self._mask.name] if self._mask else None

    def files(self) -> tuple[str, ...]:
        return (digest(self._file),)

    def blank(self) -> list[int]:
        return [0]
