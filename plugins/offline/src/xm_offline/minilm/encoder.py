"""all-MiniLM-L6-v2 as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from xm import Preparing, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import Trunk, note_cut, read_text
from xm.learning import Inputs
from xm.plugins import Weights
from xm_offline.minilm import network, weights

MAX_TOKENS = 256
"""What lies behind is left out, as in the model's own ``sentence_bert_config.json``."""


class MiniLM(Preparing):
    """Texts to 384-d features: the mean over the tokens' vectors."""

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    space = "minilm"
    dim = 384
    accepts_names = True
    sized = True

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder minilm:{argument}: it takes no argument; type minilm")

    @cached_property
    def _network(self) -> network.Bert:
        # `encode` runs in inference mode; of parameters made there, not even copies (in a tail) could be trained.
        with torch.inference_mode(False):
            return network.load(weights.model_file("config.json"), weights.model_file("model.safetensors"))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(weights.model_file("tokenizer.json")))
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()
        return tokenizer

    def pretrained(self) -> tuple[Weights, ...]:
        return (weights.carried(),)

    def fingerprint(self) -> str:
        files = [weights.model_file(name) for name in ("config.json", "tokenizer.json", "model.safetensors")]
        return fingerprint_of("minilm", *files, f"first {MAX_TOKENS} tokens, mean over tokens")

    def prepare(self, item: Any) -> list[int]:
        """Token numbers of a text, or of the `Path` of a .txt file."""
        coded = self._tokenizer.encode(read_text(item))
        if coded.overflowing:
            note_cut(item, MAX_TOKENS)
        ids: list[int] = coded.ids
        return ids

    def size(self, prepared: list[int]) -> int:
        """Its tokens."""
        return len(prepared)

    def compute(self, prepared: Sequence[list[int]]) -> Inputs:
        """``features`` (n, 384), not normalised."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        coded = _padded(prepared, max(map(len, prepared)))
        ids, mask = coded["ids"].to(self.device), coded["mask"].to(self.device)
        model = self._network.to(self.device)
        with torch.no_grad():
            return {"features": model.features(model.words(ids), mask).cpu()}

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._network,)

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """Frozen at depth 0, all of it open at -1: a copy of the network, whose token embeddings can be replaced.

        At -1 the trunk gives ``ids`` and ``mask`` (n, MAX_TOKENS), so that rows of any batches can be stacked.

        Raises:
            UsageError: for another depth.
        """
        if depth == 0:
            return super().opened(0)
        if depth != -1:
            raise UsageError(f"minilm can't be split at depth {depth}; depths are 0 (frozen) and -1 (all of it)")
        return lambda prepared: _padded(prepared, MAX_TOKENS), network.Whole(self._network)


def _padded(ids: Sequence[list[int]], length: int) -> dict[str, Tensor]:
    """``ids`` and ``mask`` (n, length)."""
    sizes = torch.tensor([len(row) for row in ids])
    found = torch.zeros(len(ids), length, dtype=torch.long)
    for row, own in zip(found, ids, strict=True):
        row[: len(own)] = torch.tensor(own)
    return {"ids": found, "mask": (torch.arange(length) < sizes[:, None]).long()}
