"""Class prompts as texts with placeholders, and where the placeholders' tokens are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from xm import Context, UsageError
from xm.encoders import Promptable
from xm.learning import Inputs

Position: TypeAlias = Literal["end", "middle", "front"]
"""Where the class's name stands, seen from the context."""

PLACEHOLDER = "X"
"""The word in whose places the context goes, as in CoOp's code."""


@dataclass(frozen=True)
class Written:
    """The prompts of all classes, "X X X X name.", as an encoder reads them.

    Attributes:
        x: the trunk's outputs, among them ``ids`` (classes, length).
        slots: (classes, n_ctx), the positions of the placeholders in ``ids``, ascending.
    """

    x: Inputs
    slots: Tensor


def written(context: Context, n_ctx: int, position: Position = "end") -> Written:
    """The class names with `n_ctx` placeholders, of which half, rounded down, stand before a name in the middle.

    Raises:
        UsageError: if a placeholder is no token of its own, or a prompt is too long for the encoder.
    """
    before = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
    marks = [PLACEHOLDER] * n_ctx
    prompts = [" ".join([*marks[:before], name, *marks[before:]]) + "." for name in context.classes]
    token = placeholder(context)
    x = context.read(prompts).x
    found = x["ids"] == token
    longer = context.read([f"{prompt} {PLACEHOLDER}" for prompt in prompts]).x["ids"] == token
    for name, row, more in zip(context.classes, found, longer, strict=True):
        if int(row.sum()) < n_ctx or int(more.sum()) != int(row.sum()) + 1:
            raise UsageError(
                f"class {name!r} with {n_ctx} context vectors is too long for the text encoder, which reads "
                f"{found.shape[1]} tokens; take fewer: --set n_ctx=4"
            )
    places = [row.nonzero()[:, 0] for row in found]
    slots = [torch.cat([place[:before], place[len(place) - n_ctx + before :]]) for place in places]
    return Written(x, torch.stack(slots))


def placeholder(context: Context) -> int:
    """The id of the placeholder's token.

    Raises:
        UsageError: if it is not one token, the same anywhere in a text.
    """
    one, two = context.read([PLACEHOLDER, f"{PLACEHOLDER} {PLACEHOLDER}"]).x["ids"].tolist()
    found = [token for token in set(one) if one.count(token) == 1 and two.count(token) == 2]
    if len(found) != 1:
        raise UsageError(
            f"the text encoder does not read {PLACEHOLDER!r} as one token, so prompts can't be learned with it; "
            "choose another: --text-encoder openclip-text or minilm"
        )
    return int(found[0])


def word_vectors(context: Context, tail: Promptable, words: str) -> Tensor:
    """The token embeddings (tokens, width) of words in front of a text."""
    token = placeholder(context)
    texts = context.read([f"{words} {PLACEHOLDER}", PLACEHOLDER]).to(context.device)
    ids = texts.x["ids"]
    stop, start = (int((row == token).nonzero().max()) for row in ids)
    with torch.no_grad():
        return tail.embed(texts.x)[0, start:stop].clone()


def start_vectors(
    context: Context, tail: Promptable, init: str, n_ctx: int | None, generator: torch.Generator
) -> Tensor:
    """The initial context (n_ctx, width): words, behind zeros where there are fewer of them, or N(0, 0.02^2).

    Args:
        init: the words, or "".
        n_ctx: None: as many as the words have tokens, or else 16.

    Raises:
        UsageError: if there are fewer vectors than words.
    """
    if not init:
        width = tail.embed(context.read([PLACEHOLDER]).to(context.device).x).shape[2]
        return 0.02 * torch.randn(n_ctx or 16, width, generator=generator)
    vectors = word_vectors(context, tail, init)
    if n_ctx is not None and n_ctx < len(vectors):
        raise UsageError(f"init={init!r} has {len(vectors)} tokens, more than n_ctx={n_ctx}; type n_ctx={len(vectors)}")
    missing = max(0, (n_ctx or 0) - len(vectors))
    return torch.cat([vectors.new_zeros(missing, vectors.shape[1]), vectors])


def opened_tail(context: Context) -> tuple[str, Promptable]:
    """The modality of the encoder that reads names, frozen from now on, and its tail.

    Raises:
        UsageError: if no encoder reads names, or its token embeddings can't be replaced.
    """
    name = context.read([PLACEHOLDER]).modality
    tower = context.towers[name].requires_grad_(False).eval()
    tail = tower.tail
    if not isinstance(tail, Promptable):
        raise UsageError(
            f"the {name} encoder's token embeddings can't be replaced, so prompts can't be learned with it; "
            "choose another: --text-encoder openclip-text or minilm"
        )
    return name, tail
