"""Models of sentence-transformers in two: a frozen front, and a tail to be trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from xm import UsageError
from xm.learning import Inputs
from xm_hub import parts

CODED = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
"""What the preprocessing of texts gives, (n, length), and what the trunk calls it."""

_PROBES = ("a", "some words, one after the other", "a dog")
"""Texts that a split is tried on."""

Front = Callable[[Any, Inputs], Inputs]
"""A frozen stage: a model and what the preprocessing gives to named tensors."""


class Modules(nn.Module):
    """The modules of a model, one after the other, to unit vectors (n, dim).

    Args:
        made: `SentenceTransformer`.
        first: in place of its first module.
        dim: that are kept.
        settings: of the features that are no tensors.
    """

    def __init__(self, made: Any, first: nn.Module, dim: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        first = parts.replaced(first, {})
        for name in ("processor", "input_formatter"):  # of no use behind the tokens, and large
            if name in vars(first):
                vars(first)[name] = None
        self.parts = nn.ModuleList(deepcopy([first, *list(made.children())[1:]]))
        self.parts.train(False)
        self.dim = dim
        self.settings = dict(settings)

    def vectors(self, features: dict[str, Any]) -> Tensor:
        features = {**features, **self.settings}
        for part in self.parts:
            features = part(features)
        return normalize(features["sentence_embedding"].float()[:, : self.dim], dim=-1)


class ImageTail(Modules):
    """A whole image tower; it reads ``pixels`` (n, 3, height, width)."""

    def forward(self, x: Inputs) -> Tensor:
        return self.vectors({"pixel_values": x["pixels"]})


class Whole(Modules):
    """A whole text model; it reads ``ids``, ``mask`` and, of models that have them, ``types`` (n, length).

    The part where no text is, is left out.
    """

    def forward(self, x: Inputs) -> Tensor:
        return self.vectors(_features(cropped(x)))


class Prompted(Whole):
    """A whole text model that takes token embeddings too: `xm.encoders.Promptable`."""

    def embed(self, x: Inputs) -> Tensor:
        network: Any = self.parts[0].auto_model
        embedded: Tensor = network.get_input_embeddings()(cropped(x)["ids"])
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        if "tokens" not in x:
            return super().forward(x)
        kept = cropped({name: value for name, value in x.items() if name != "tokens"})
        features = _features({name: value for name, value in kept.items() if name != "ids"})
        return self.vectors({**features, "inputs_embeds": x["tokens"][:, : kept["mask"].shape[1]]})


class _Given(nn.Module):
    """In the place of the embeddings: gives what the tail was given."""

    tokens: Tensor

    def forward(self, *given: Any, **settings: Any) -> Tensor:
        return self.tokens


class Last(Modules):
    """The last blocks of the network; it reads ``tokens`` (n, length, width) too, what the first of them is given."""

    def __init__(self, made: Any, path: str, depth: int, dim: int, settings: Mapping[str, Any]) -> None:
        blocks = made[0].get_submodule(path)
        kept = parts.listed(blocks, list(blocks.children())[-depth:])
        first = parts.replaced(made[0], {path: kept, _embeddings(made[0]): _Given()})
        super().__init__(made, first, dim, settings)
        self.place = _embeddings(made[0])

    def forward(self, x: Inputs) -> Tensor:
        kept = cropped(x)
        holder: Any = self.parts[0].get_submodule(self.place)
        holder.tokens = kept["tokens"]
        try:
            return self.vectors(_features({name: value for name, value in kept.items() if name != "tokens"}))
        finally:
            del holder.tokens


def split_texts(
    made: Any, coded: Callable[[Sequence[str]], dict[str, Any]], depth: int, most: int, dim: int
) -> tuple[Front, nn.Module]:
    """A text model in two; the tail is a copy.

    Args:
        made: `SentenceTransformer`.
        coded: its preprocessing.
        depth: k: the last k blocks; -1: all.
        most: tokens, the length of what the front gives.
        dim: that are kept.

    Raises:
        UsageError: if it can't be split there; it names the depths.
    """
    found = coded(_PROBES)
    settings = {name: value for name, value in found.items() if not isinstance(value, Tensor)}
    probe = given(found, made.device)
    left = getattr(made.tokenizer, "padding_side", "right") == "left"
    filler = int(getattr(made.tokenizer, "pad_token_id", 0) or 0)
    with torch.no_grad():
        whole = normalize(made(_features(probe) | settings)["sentence_embedding"].float()[:, :dim], dim=-1)

    def full(x: Inputs) -> Inputs:
        return {name: _filled(value, most, left, filler if name == "ids" else 0) for name, value in x.items()}

    def tried(front: Front, tail: nn.Module) -> tuple[Front, nn.Module] | None:
        try:
            x = front(made, probe)
            with torch.no_grad():
                same = parts.alike(tail(x), whole)
                if same and isinstance(tail, Prompted):
                    same = parts.alike(tail({**x, "tokens": tail.embed(x)}), whole)
        except Exception:  # a network that is called in another way, by whatever that raises
            return None
        return (front, parts.used(tail, x)) if same else None

    if depth == -1:
        for kind in (Prompted, Whole):
            if found_it := tried(lambda _, x: full(x), kind(made, made[0], dim, settings)):
                return found_it
        raise _no_such(made, depth, 0)
    path, blocks = _blocks(made[0])
    if 0 < depth <= blocks:

        def front(model: Any, x: Inputs) -> Inputs:
            if not len(x["ids"]):
                return full({**x, "tokens": torch.zeros(0, 0, made[0].auto_model.config.hidden_size)})
            cut = parts.before(model[0], path, depth)
            with torch.no_grad():
                end = parts.reached(lambda: cut(_features(x) | settings))
            tokens = end.given[0] if end.given else end.settings["hidden_states"]
            return full({**x, "tokens": tokens.float()})

        if found_it := tried(front, Last(made, path, depth, dim, settings)):
            return found_it
        blocks = 0
    raise _no_such(made, depth, blocks)


def split_images(made: Any, pixels: Tensor, dim: int) -> nn.Module:
    """A copy of the whole image tower, without what pixels (n, 3, height, width) do not need."""
    return parts.used(ImageTail(made, made[0], dim, {"modality": "image"}), {"pixels": pixels})


def given(coded: Mapping[str, Any], device: torch.device) -> Inputs:
    """The tensors of the preprocessing by the trunk's names; where there is no mask, all are tokens."""
    found = {ours: coded[theirs].to(device) for theirs, ours in CODED.items() if theirs in coded}
    return found if "mask" in found else {**found, "mask": torch.ones_like(found["ids"])}


def cropped(x: Inputs) -> dict[str, Tensor]:
    """Without the columns in which no text has a token."""
    where = x["mask"].bool().any(dim=0).nonzero().flatten()
    first, last = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, min(1, x["mask"].shape[1]))
    return {name: value[:, first:last] for name, value in x.items()}


def _features(x: Mapping[str, Tensor]) -> dict[str, Any]:
    return {theirs: x[ours] for theirs, ours in CODED.items() if ours in x}


def _filled(x: Tensor, length: int, left: bool, filler: int) -> Tensor:
    """(n, k, ...) with k <= length, made (n, length, ...)."""
    more = length - x.shape[1]
    sides = (more, 0) if left else (0, more)
    return pad(x, (*(0,) * (2 * (x.ndim - 2)), *sides), value=filler)


def _blocks(first: Any) -> tuple[str, int]:
    """Where the network's blocks are, and how many; ("", 0) if that can't be told."""
    config = first.auto_model.config
    number = int(getattr(config, "num_hidden_layers", 0) or 0)
    for name, module in first.named_modules():
        if number and isinstance(module, nn.ModuleList) and len(module) == number and _embeddings(first):
            return name, number
    return "", 0


def _embeddings(first: nn.Module) -> str:
    """Where the module is that makes tokens' vectors of ids; "" if there is none."""
    names = [n for n, _ in first.named_modules() if n.rpartition(".")[2] in ("embeddings", "embed_tokens")]
    return min(names, key=len, default="")


def _no_such(made: Any, depth: int, blocks: int) -> UsageError:
    some = f", 1 to {blocks}" if blocks > 1 else ", 1" if blocks else ""
    kind = type(made[0].auto_model).__name__
    return UsageError(f"the text tower ({kind}) can't be split at depth {depth}; depths are 0 (frozen){some} and -1")
