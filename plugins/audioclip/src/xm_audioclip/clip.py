"""The image and the text encoder: CLIP's RN50, by open_clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from xm import PluginError, fingerprint_of
from xm.encoders import note_cut, read_text
from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS, read_image
from xm_audioclip.checkpoint import Checkpoint, State, misfit
from xm_audioclip.encoder import AudioClip

_HEAD = 64
"""Width of an attention head in CLIP."""
VOCABULARY = 49408
"""Tokens of CLIP's tokenizer."""


class ImageEncoder(AudioClip):
    """Images by CLIP's RN50. Items: paths, PIL images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4).

    EXIF orientation is not applied, as in CLIP's own preprocessing.
    """

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS

    def fingerprint(self) -> str:
        return fingerprint_of("xm_audioclip 1", "image", self._checkpoint.digest, "CLIP: bicubic, centre crop")

    def prepare(self, item: Any) -> Tensor:
        """Pixels (3, size, size)."""
        return _transform(self._checkpoint.image_size)(read_image(item, upright=False))

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, dim), not normalised."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        with torch.no_grad():
            pixels = torch.stack(list(prepared)).to(self.device)
            return {"features": load(self._checkpoint, str(self.device)).encode_image(pixels).float().cpu()}


class TextEncoder(AudioClip):
    """Texts by CLIP's text transformer. Items: strings, and `Path`s of .txt files; cut at the context length."""

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True

    def fingerprint(self) -> str:
        return fingerprint_of("xm_audioclip 1", "text", self._checkpoint.digest, "CLIP's tokens, cut; QuickGELU")

    def prepare(self, item: Any) -> Tensor:
        """Token ids (context,)."""
        text, context = read_text(item), self._checkpoint.context
        ids, more = (_tokenizer(length)([text])[0] for length in (context, context + 1))
        if not more[:context].equal(ids):  # a text that ends within has the same beginning
            note_cut(item, context)
        return ids

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, dim), not normalised."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        with torch.no_grad():
            ids = torch.stack(list(prepared)).to(self.device)
            return {"features": load(self._checkpoint, str(self.device)).encode_text(ids).float().cpu()}


@lru_cache(maxsize=2)
def load(checkpoint: Checkpoint, device: str) -> Any:
    """The image and text towers of a checkpoint, an `open_clip.CLIP` for evaluation. The last two are kept.

    Raises:
        UsageError: if the weights are not CLIP's with a ResNet.
        PluginError: if open_clip is missing.
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        state = checkpoint.clip()
        try:
            clip = _build(state, checkpoint)
            clip.load_state_dict(state)
        except (KeyError, RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise misfit(checkpoint.file, error) from error
    return clip.eval().requires_grad_(False).to(device)


def _build(state: State, checkpoint: Checkpoint) -> nn.Module:
    """An untrained CLIP of the sizes that its weights have; its activation is QuickGELU, as OpenAI's."""
    width = len(state["visual.layer1.0.conv1.weight"])
    vision = {
        "layers": [len({k.split(".")[2] for k in state if k.startswith(f"visual.layer{i}.")}) for i in (1, 2, 3, 4)],
        "width": width,
        "head_width": _HEAD,
        "image_size": checkpoint.image_size,
    }
    size, vocabulary = len(state["ln_final.weight"]), len(state["token_embedding.weight"])
    if vocabulary != VOCABULARY:
        raise ValueError(f"it knows {vocabulary} tokens, CLIP's tokenizer {VOCABULARY}")
    text = {
        "context_length": checkpoint.context,
        "vocab_size": vocabulary,
        "width": size,
        "heads": size // _HEAD,
        "layers": len({k.split(".")[2] for k in state if k.startswith("transformer.resblocks.")}),
    }
    made: nn.Module = _open_clip().CLIP(checkpoint.dim, vision, text, quick_gelu=True)
    return made


@lru_cache(maxsize=2)
def _transform(size: int) -> Callable[[Image], Tensor]:
    """CLIP's preprocessing, (3, size, size)."""
    transform = _open_clip().transform
    made: Callable[[Image], Tensor] = transform.image_transform_v2(transform.PreprocessCfg(size=size), is_train=False)
    return made


@lru_cache(maxsize=2)
def _tokenizer(context: int) -> Callable[[list[str]], Tensor]:
    made: Callable[[list[str]], Tensor] = _open_clip().SimpleTokenizer(context_length=context)
    return made


def _open_clip() -> Any:
    try:
        import open_clip  # type: ignore[import-untyped]
    except ImportError as error:
        raise PluginError("open_clip is not installed; try: pip install open_clip_torch") from error
    return open_clip
