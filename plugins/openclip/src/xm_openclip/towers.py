"""Towers in two: a frozen stage and a trainable tail."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from open_clip.modified_resnet import ModifiedResNet  # type: ignore[import-untyped]
from open_clip.transformer import (  # type: ignore[import-untyped]
    TextTransformer,
    VisionTransformer,
)
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import UsageError
from xm.learning import Inputs
from xm_openclip.encoder import Front


class Whole(nn.Module):
    """A tail that is a module of its own; it reads one tensor."""

    def __init__(self, tower: nn.Module, reads: str) -> None:
        super().__init__()
        self.tower = deepcopy(tower)
        self.reads = reads

    def forward(self, x: Inputs) -> Tensor:
        out = self.tower(x[self.reads])
        return normalize(out[0] if isinstance(out, tuple) else out, dim=-1)


class VisionTail(nn.Module):
    """The last blocks of a ViT, with pooling and projection; reads ``tokens`` (n, sequence, width)."""

    def __init__(self, visual: Any, depth: int) -> None:
        super().__init__()
        self.tower = deepcopy(visual)
        self.tower.transformer.resblocks = self.tower.transformer.resblocks[-depth:]
        for name in ("conv1", "class_embedding", "positional_embedding", "patch_dropout", "ln_pre"):
            setattr(self.tower, name, None)

    def forward(self, x: Inputs) -> Tensor:
        pooled, _ = self.tower._pool(self.tower.transformer(x["tokens"]))
        return normalize(pooled if self.tower.proj is None else pooled @ self.tower.proj, dim=-1)


class TextTail(nn.Module):
    """The last blocks of a text transformer, with its norm and projection.

    Reads ``tokens`` (n, sequence, width), ``eot`` (n,), the position that stands for the text, and ``mask``
    (n, sequence, sequence), added to attention, of towers whose mask depends on the text.
    """

    attn_mask: Tensor | None

    def __init__(self, tower: Any, depth: int) -> None:
        super().__init__()
        self.blocks = deepcopy(tower.transformer.resblocks[-depth:])
        self.ln_final = deepcopy(tower.ln_final)
        self.text_projection = deepcopy(tower.text_projection)
        self.register_buffer("attn_mask", deepcopy(tower.attn_mask), persistent=False)
        self.heads = getattr(tower, "heads", 1)

    def forward(self, x: Inputs) -> Tensor:
        length = x["tokens"].shape[1]
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        if "mask" in x:
            mask = x["mask"].repeat_interleave(self.heads, 0)
        tokens = _through(self.blocks, x["tokens"], mask)
        pooled = self.ln_final(tokens[torch.arange(len(tokens), device=tokens.device), x["eot"]])
        if isinstance(self.text_projection, nn.Linear):
            pooled = self.text_projection(pooled)
        elif self.text_projection is not None:
            pooled = pooled @ self.text_projection
        return normalize(pooled, dim=-1)


class WholeText(nn.Module):
    """A text tower of open_clip's own; reads ``ids`` (n, length), and is `xm.encoders.Promptable`.

    Where no token sees those behind it, what lies behind the last position that stands for a text is left out.
    """

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.token_embedding = deepcopy(tower.token_embedding)
        self.positional_embedding = deepcopy(tower.positional_embedding)
        self.cls_emb = deepcopy(getattr(tower, "cls_emb", None))
        self.rest = TextTail(tower, len(tower.transformer.resblocks))
        self.masks_pads = self.cls_emb is not None or getattr(tower, "use_pad_mask", False)
        self.pad_id: int = getattr(tower, "pad_id", 0)
        for name in ("pool_type", "text_pool_type", "eos_id", "text_eos_id", "correct_cls_mask"):
            if hasattr(tower, name):
                setattr(self, name, getattr(tower, name))

    def embed(self, x: Inputs) -> Tensor:
        embedded: Tensor = self.token_embedding(x["ids"])
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        tokens = x["tokens"] if "tokens" in x else self.embed(x)
        if self.cls_emb is not None:
            tokens = torch.cat([tokens, self.cls_emb.expand(len(tokens), 1, -1)], dim=1)
        tokens = tokens + self.positional_embedding[: tokens.shape[1]]
        inputs = {"tokens": tokens, "eot": _eot(self, x["ids"], tokens.shape[1])}
        if self.masks_pads:
            inputs["mask"] = self._mask(x["ids"], tokens.shape[1])
        elif self.rest.attn_mask is not None and len(tokens):
            inputs["tokens"] = tokens[:, : int(inputs["eot"].max()) + 1]
        out: Tensor = self.rest(inputs)
        return out

    def _mask(self, ids: Tensor, length: int) -> Tensor:
        """Added to attention, (n, length, length): minus infinity at pads, and at later tokens in a causal tower."""
        valid = torch.ne(ids, self.pad_id)
        if self.cls_emb is not None:
            own = valid.new_ones(len(ids), 1)
            valid = torch.cat([valid, own] if self.correct_cls_mask else [own, valid], dim=1)
        pads = torch.zeros(valid.shape, device=ids.device).masked_fill(~valid, float("-inf"))[:, None, :]
        causal: Tensor | None = self.rest.attn_mask
        return pads.expand(-1, length, -1) if causal is None else causal[:length, :length] + pads


def split_image(module: Any, depth: int) -> tuple[Front, nn.Module]:
    """The image tower, split.

    Raises:
        UsageError: if it can't be split there; it names the depths.
    """
    visual = module.visual
    depths: Iterable[int] = ()
    if depth == -1:
        return lambda _, pixels: {"pixels": pixels}, Whole(visual, "pixels")
    if isinstance(visual, VisionTransformer):
        blocks = len(visual.transformer.resblocks)
        if 0 < depth <= blocks:
            return lambda clip, pixels: _image_tokens(clip.visual, pixels, depth), VisionTail(visual, depth)
        depths = range(1, blocks + 1)
    elif isinstance(visual, ModifiedResNet):
        if depth == 1:
            return lambda clip, pixels: _maps(clip.visual, pixels), Whole(visual.attnpool, "maps")
        depths = (1,)
    raise _no_such(depth, "image", visual, depths)


def split_text(module: Any, depth: int) -> tuple[Front, nn.Module]:
    """The text tower, split.

    Raises:
        UsageError: if it can't be split there; it names the depths.
    """
    own = hasattr(module, "text")
    tower = module.text if own else module
    depths: Iterable[int] = ()
    if depth == -1:
        known = isinstance(tower, TextTransformer) or not own
        return lambda _, ids: {"ids": ids}, WholeText(tower) if known else Whole(tower, "ids")
    if isinstance(tower, TextTransformer) or not own:
        blocks = len(tower.transformer.resblocks)
        if 0 < depth <= blocks:
            return lambda clip, ids: _text_tokens(clip.text if own else clip, ids, depth), TextTail(tower, depth)
        depths = range(1, blocks + 1)
    raise _no_such(depth, "text", tower, depths)


def _through(blocks: Iterable[nn.Module], tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    for block in blocks:
        tokens = block(tokens, attn_mask=mask)
    return tokens


def _image_tokens(visual: Any, pixels: Tensor, depth: int) -> dict[str, Tensor]:
    return {"tokens": _through(visual.transformer.resblocks[:-depth], visual._embeds(pixels))}


def _maps(visual: Any, pixels: Tensor) -> dict[str, Tensor]:
    maps = visual.stem(pixels)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        maps = layer(maps)
    return {"maps": maps}


def _text_tokens(tower: Any, ids: Tensor, depth: int) -> dict[str, Tensor]:
    if hasattr(tower, "_embeds"):
        tokens, mask = tower._embeds(ids)
    else:
        tokens, mask = tower.token_embedding(ids) + tower.positional_embedding, tower.attn_mask
    out = {
        "tokens": _through(tower.transformer.resblocks[:-depth], tokens, mask),
        "eot": _eot(tower, ids, tokens.shape[1]),
    }
    if mask is not None and mask.ndim == 3:  # (n * heads, sequence, sequence), equal for all heads
        out["mask"] = mask[:: tower.heads]
    return out


def _eot(tower: Any, ids: Tensor, length: int) -> Tensor:
    """The position (n,) of the token that stands for each text, as in open_clip's `text_global_pool`."""
    kind = tower.text_pool_type if hasattr(tower, "text_pool_type") else tower.pool_type
    if getattr(tower, "cls_emb", None) is not None or kind == "last":
        return torch.full((len(ids),), length - 1, device=ids.device)
    if kind == "first":
        return torch.zeros(len(ids), dtype=torch.long, device=ids.device)
    if kind == "eos":
        eos = tower.text_eos_id if hasattr(tower, "text_eos_id") else tower.eos_id
        ids = (ids == eos).int()
    return ids.argmax(dim=-1)


def _no_such(depth: int, modality: str, tower: nn.Module, depths: Iterable[int]) -> UsageError:
    known = list(depths)
    some = f", 1 to {known[-1]}" if len(known) > 1 else ", 1" if known else ""
    return UsageError(
        f"the {modality} tower ({type(tower).__name__}) can't be split at depth {depth}; "
        f"depths are 0 (frozen){some} and -1 (all of it)"
    )
