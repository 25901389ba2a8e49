"""all-MiniLM-L6-v2 as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import pad

from xm.encoder import Encoder, Inputs, Trunk, fingerprint_of
from xm.errors import UsageError
from xm.items import read_text
from xm_minilm import network, weights

MAX_TOKENS = 256
"""What lies behind is left out, as in the model's own ``sentence_bert_config.json``."""


class MiniLM(Encoder):
    """Texts to 384-d features: the mean over the tokens' vectors."""

    modality = "text"
    suffixes = (".txt",)
    space = "minilm"
    dim = 384
    accepts_names = True

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
        tokenizer.enable_padding()
        return tokenizer

    def fingerprint(self) -> str:
        files = [weights.model_file(name) for name in ("config.json", "tokenizer.json", "model.safetensors")]
        return fingerprint_of("minilm", *files, f"first {MAX_TOKENS} tokens, mean over tokens")

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, 384), not normalised. An item is a text, or the `Path` of a .txt file."""
        if not items:
            return {"features": torch.zeros(0, self.dim)}
        coded = self._coded(items)
        ids, mask = coded["ids"].to(self.device), coded["mask"].to(self.device)
        model = self._network.to(self.device)
        with torch.no_grad():
            return {"features": model.features(model.words(ids), mask).cpu()}

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        """Frozen at depth 0, all of it open at -1: a copy of the network, whose token embeddings can be replaced.

        At -1 the trunk gives ``ids`` and ``mask`` (n, MAX_TOKENS), so that rows of any batches can be stacked.

        Raises:
            UsageError: for another depth.
        """
        if depth == 0:
            return super().split(0)
        if depth != -1:
            raise UsageError(f"minilm can't be split at depth {depth}; depths are 0 (frozen) and -1 (all of it)")
        return self._padded, network.Whole(self._network)

    def _coded(self, items: Sequence[Any]) -> dict[str, Tensor]:
        """``ids`` and ``mask`` (n, the longest item's length)."""
        coded = self._tokenizer.encode_batch([read_text(item) for item in items])
        return {
            "ids": torch.tensor([code.ids for code in coded]),
            "mask": torch.tensor([code.attention_mask for code in coded]),
        }

    def _padded(self, items: Sequence[Any]) -> Inputs:
        coded = self._coded(items) if items else {name: torch.zeros(0, 0).long() for name in ("ids", "mask")}
        return {name: pad(rows, (0, MAX_TOKENS - rows.shape[1])) for name, rows in coded.items()}
