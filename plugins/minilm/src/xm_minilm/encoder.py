"""all-MiniLM-L6-v2 as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from tokenizers import Tokenizer

from xm.encoder import Encoder, Inputs, fingerprint_of
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
        coded = self._tokenizer.encode_batch([read_text(item) for item in items])
        ids = torch.tensor([code.ids for code in coded], device=self.device)
        mask = torch.tensor([code.attention_mask for code in coded], device=self.device)
        with torch.no_grad():
            tokens = self._network.to(self.device)(ids, mask)
        kept = mask.unsqueeze(-1)
        return {"features": ((tokens * kept).sum(dim=1) / kept.sum(dim=1)).cpu()}
