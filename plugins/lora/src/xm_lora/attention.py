"""Multi-head attention with a linear layer for each of its matrices, so that each can have an adapter of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Attention(nn.Module):
    """What an `nn.MultiheadAttention` computes, by the layers ``q_proj``, ``k_proj``, ``v_proj`` and ``out_proj``.

    PyTorch's keeps the first three as one matrix and calls none of the four as a layer: an adapter around one would be
    passed by.

    Attributes:
        in_proj_bias: None, which keeps `nn.TransformerEncoderLayer` from its shortcut around all layers.
        separate: whether PyTorch's had the first three as matrices of their own.

    Args:
        fused: whose weights are taken over; it is not used any more.

    Raises:
        ValueError: if it adds keys and values of its own.
    """

    in_proj_bias = None

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        super().__init__()
        if fused.bias_k is not None or fused.add_zero_attn:
            raise ValueError("attention with keys of its own (bias_k, add_zero_attn) can't be taken apart")
        self.separate = fused.in_proj_weight is None
        self.heads, self.dropout, self.batch_first = fused.num_heads, fused.dropout, fused.batch_first
        weights: tuple[Tensor, ...] = (
            (fused.q_proj_weight, fused.k_proj_weight, fused.v_proj_weight)
            if self.separate
            else fused.in_proj_weight.chunk(3)
        )
        biases = (None,) * 3 if fused.in_proj_bias is None else fused.in_proj_bias.chunk(3)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = _linear(fused.out_proj.weight, fused.out_proj.bias)

    def fused(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the four layers, by name, under the names that PyTorch's attention has for them."""
        first, found = ("q_proj", "k_proj", "v_proj"), {"out_proj.weight": weights["out_proj"]}
        if self.separate:
            return found | {f"{name}_weight": weights[name] for name in first}
        return found | {"in_proj_weight": torch.cat([weights[name] for name in first])}

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """As PyTorch's, of batches; there are no attention weights to be had.

        Masks are added, or True where there is no attention.

        Args:
            query: (n, length, width); (length, n, width) unless `batch_first`.
            key: of any length.
            value: as long as `key`.
            key_padding_mask: (n, key length).
            need_weights: must be false.
            attn_mask: (length, key length) or (n * heads, length, key length).
            is_causal: a hint of what `attn_mask` is; not needed.
        """
        if need_weights:
            raise ValueError("attention that was taken apart has no attention weights")
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q, k, v = self._split(self.q_proj(query)), self._split(self.k_proj(key)), self._split(self.v_proj(value))
        mask = self._mask(attn_mask, key_padding_mask, q)
        mixed = scaled_dot_product_attention(q, k, v, mask, dropout_p=self.dropout if self.training else 0.0)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return (out if self.batch_first else out.transpose(0, 1)), None

    def _split(self, x: Tensor) -> Tensor:
        """(n, heads, length, width / heads)."""
        n, length, width = x.shape
        return x.view(n, length, self.heads, width // self.heads).transpose(1, 2)

    def _mask(self, attention: Tensor | None, padding: Tensor | None, like: Tensor) -> Tensor | None:
        """Both in one, to be added to (n, heads, length, key length); None if there is none."""
        if attention is not None:
            attention = _added(attention, like)
            attention = attention.view(-1, self.heads, *attention.shape[1:]) if attention.ndim == 3 else attention
        if padding is None:
            return attention
        padding = _added(padding, like)[:, None, None, :]
        return padding if attention is None else attention + padding


def _added(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of booleans as numbers to be added."""
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, -torch.inf)
    return mask.to(like)


def take_apart(module: nn.Module) -> None:
    """Put an `Attention` in the place of every `nn.MultiheadAttention` in `module`."""
    for name, child in module.named_children():
        if isinstance(child, nn.MultiheadAttention):
            setattr(module, name, Attention(child).train(child.training))
        else:
            take_apart(child)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made
