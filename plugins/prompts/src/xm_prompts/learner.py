"""What is learned: context vectors in the class prompts, read by a frozen text tower."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from xm import Stream
from xm.foundation import autocast
from xm.learning import Inputs, Tower, Towers

AT_ONCE = 8
"""Chunks of prompts whose contexts are made together, so that prompts of like lengths meet."""


class Prompts(nn.Module):
    """The class prompts, without their context.

    Args:
        x: the trunk's outputs for the prompts with placeholders.
        slots: (classes, n_ctx), the placeholders' positions.
        chunk: how many prompts go through the tower at a time.
        precision: of these passes; float32: that of what surrounds them.
    """

    slots: Tensor

    def __init__(self, x: Inputs, slots: Tensor, chunk: int, precision: str = "float32") -> None:
        super().__init__()
        self.inputs = nn.Module()
        for name, value in x.items():
            self.inputs.register_buffer(name, value)
        self.register_buffer("slots", slots)
        self.chunk = chunk
        self.precision = precision
        self.order = torch.argsort(_lengths(x["ids"]), stable=True)

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], chunk: int, precision: str = "float32") -> Prompts:
        """From what `state_dict` of a module with ``prompts`` holds."""
        prefix = "prompts.inputs."
        x = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        return cls(x, tensors["prompts.slots"], chunk, precision)

    def forward(self, tower: Tower, ctx: Tensor, *, recompute: bool = False) -> Tensor:
        """Unit vectors (m, classes, dim) of the prompts with each of m contexts.

        Prompts of like lengths go through the tower together, which leaves out what lies behind the longest.

        Args:
            tower: of the encoder that reads names, opened at its token embeddings.
            ctx: (m, classes or 1, n_ctx, width).
            recompute: keep no activations for the backward pass, as is done where there are more prompts than `chunk`.
        """
        classes, order = len(self.slots), self.order.to(ctx.device)
        rows = order.repeat_interleave(len(ctx))
        ctx = ctx.expand(-1, classes, -1, -1)[:, order].transpose(0, 1).flatten(0, 1)
        again = torch.is_grad_enabled() and (recompute or len(rows) > self.chunk)
        found = []
        for part in zip(torch.split(rows, self.chunk), torch.split(ctx, self.chunk), strict=True):
            if again:
                found.append(checkpoint(self._read, tower, *part, use_reentrant=False, preserve_rng_state=False))
            else:
                found.append(self._read(tower, *part))
        vectors: Tensor = torch.cat(found)
        return vectors.reshape(classes, -1, vectors.shape[1])[torch.argsort(order)].transpose(0, 1)

    def _read(self, tower: Tower, rows: Tensor, ctx: Tensor) -> Tensor:
        x = {name: value[rows] for name, value in self.inputs.named_buffers()}
        tokens: Tensor = tower.tail.embed(x)  # type: ignore[operator]
        slots = self.slots[rows][..., None].expand(-1, -1, tokens.shape[2])
        with autocast(tokens.device, self.precision):
            out: Tensor = tower({**x, "tokens": tokens.scatter(1, slots, ctx.to(tokens.dtype))})
        return out.to(tokens.dtype)


def _lengths(ids: Tensor) -> Tensor:
    """Of each row (n, length), where what it ends with begins: the padding, where it has one."""
    changes = (ids[:, 1:] != ids[:, :-1]) * torch.arange(1, ids.shape[1], device=ids.device)
    return changes.amax(dim=1)


class PromptLearner(nn.Module):
    """Logits ``scale * embedding @ weight.T``, whose rows are the class prompts with the learned context.

    Args:
        towers: frozen.
        namer: the modality of the tower that reads the prompts.
        prompts: of all classes.
        ctx: (n_ctx, width), shared by the classes, or (classes, n_ctx, width), one each; the initial vectors.
        scale: of the logits.
        averaged: with a moving `average` of the vectors, which stands in for them but in training.
    """

    average: Tensor | None

    def __init__(
        self, towers: Towers, namer: str, prompts: Prompts, ctx: Tensor, scale: float, averaged: bool = False
    ) -> None:
        super().__init__()
        self.towers = towers
        self.namer = namer
        self.prompts = prompts
        self.ctx = nn.Parameter(ctx)
        self.register_buffer("average", ctx.clone() if averaged else None)
        self.scale = scale

    @property
    def vectors(self) -> Tensor:
        """The context vectors as they count now: in training those learned, else their average if there is one."""
        return self.ctx if self.training or self.average is None else self.average

    def weight(self) -> Tensor:
        """The classifier's rows (classes, dim), unit vectors."""
        ctx = self.vectors if self.vectors.ndim == 3 else self.vectors[None]
        rows: Tensor = self.prompts(self.towers[self.namer], ctx[None])
        return rows[0]

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        embedding: Tensor = self.towers[stream.modality](stream.x)
        return self.scale * embedding @ self.weight().T


class ConditionalLearner(nn.Module):
    """A prompt learner whose context is shifted for each item by a small network that sees the item's embedding.

    Args:
        towers: frozen.
        namer: the modality of the tower that reads the prompts.
        prompts: of all classes.
        ctx: (n_ctx, width), the initial vectors.
        meta: from embeddings (n, dim) to shifts (n, width).
        scale: of the logits.
    """

    def __init__(
        self, towers: Towers, namer: str, prompts: Prompts, ctx: Tensor, meta: nn.Module, scale: float
    ) -> None:
        super().__init__()
        self.towers = towers
        self.namer = namer
        self.prompts = prompts
        self.ctx = nn.Parameter(ctx)
        self.meta = meta
        self.scale = scale

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes); n times as many prompts as classes are read, a few items at a time."""
        embedding: Tensor = self.towers[stream.modality](stream.x)
        at_once = max(1, AT_ONCE * self.prompts.chunk // len(self.prompts.slots))
        parts = torch.split(embedding, at_once)
        return torch.cat([self._logits(part, recompute=len(parts) > 1) for part in parts])

    def _logits(self, embedding: Tensor, *, recompute: bool) -> Tensor:
        ctx = self.ctx + self.meta(embedding)[:, None, :]
        rows: Tensor = self.prompts(self.towers[self.namer], ctx[:, None], recompute=recompute)
        return self.scale * torch.einsum("nd,ncd->nc", embedding, rows)
