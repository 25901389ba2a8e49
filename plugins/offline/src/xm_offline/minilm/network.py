"""BERT of the size of MiniLM-L6, as a stack of PyTorch's own encoder layers.

A layer of `torch.nn.TransformerEncoder` computes what a BERT layer does, so neither transformers nor
sentence-transformers is imported, which would take 4 to 7 seconds more.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.learning import Inputs


class Bert(nn.Module):
    """Token embeddings and mask (n, length), 1 for tokens, to one vector a token; both are (n, length, width).

    The embeddings of ids are ``words(ids)``.
    """

    def __init__(self, config: dict[str, int | float]) -> None:
        super().__init__()
        width, eps = int(config["hidden_size"]), float(config["layer_norm_eps"])
        self.words = nn.Embedding(int(config["vocab_size"]), width)
        self.positions = nn.Embedding(int(config["max_position_embeddings"]), width)
        self.types = nn.Embedding(int(config["type_vocab_size"]), width)
        self.norm = nn.LayerNorm(width, eps=eps)
        layer = nn.TransformerEncoderLayer(
            width,
            int(config["num_attention_heads"]),
            int(config["intermediate_size"]),
            dropout=0.0,
            activation="gelu",
            layer_norm_eps=eps,
            batch_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, int(config["num_hidden_layers"]), enable_nested_tensor=False)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.norm(tokens + self.positions(places) + self.types.weight[0])
        out: Tensor = self.layers(x, src_key_padding_mask=mask == 0)
        return out

    def features(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """The mean over each text's tokens, (n, width), not normalised."""
        kept = mask.unsqueeze(-1)
        total: Tensor = (self(tokens, mask) * kept).sum(dim=1)
        return total / kept.sum(dim=1)


class Whole(nn.Module):
    """The network as a tail; reads ``ids`` and ``mask`` (n, length), and is `xm.encoders.Promptable`.

    The part where all texts have ended is left out.
    """

    def __init__(self, network: Bert) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(True)

    def embed(self, x: Inputs) -> Tensor:
        embedded: Tensor = self.network.words(x["ids"][:, : _longest(x)])
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        longest = _longest(x)
        tokens = x["tokens"][:, :longest] if "tokens" in x else self.embed(x)
        return normalize(self.network.features(tokens, x["mask"][:, :longest]), dim=-1)


def _longest(x: Inputs) -> int:
    return int(x["mask"].sum(dim=1).max()) if len(x["mask"]) else 0


def load(config: Path, weights: Path) -> Bert:
    """The network with the weights of a Hugging Face ``BertModel``, frozen."""
    with torch.device("meta"):
        model = Bert(json.loads(config.read_text(encoding="utf-8")))
    model.load_state_dict(_renamed(load_file(weights)), assign=True)
    return model.eval().requires_grad_(False)


_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


def _renamed(given: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {
        "words.weight": given["embeddings.word_embeddings.weight"],
        "positions.weight": given["embeddings.position_embeddings.weight"],
        "types.weight": given["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = given[f"embeddings.LayerNorm.{kind}"]
        for i in range(sum(name.endswith("query.weight") for name in given)):
            ours, theirs = f"layers.layers.{i}", f"encoder.layer.{i}"
            state[f"{ours}.self_attn.in_proj_{kind}"] = torch.cat(
                [given[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            )
            for new, old in _LAYER.items():
                state[f"{ours}.{new}.{kind}"] = given[f"{theirs}.{old}.{kind}"]
    return state
