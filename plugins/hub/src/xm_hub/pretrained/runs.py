"""How features are made of a model's inputs. Functions of the model and named tensors, so that copies run by them too.

transformers' `get_…_features` give a tensor before release 5, and an output whose ``pooler_output`` it is since.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xm.learning import Inputs

Run: TypeAlias = Callable[[Any, Inputs], Tensor]
"""A model and its inputs to features (n, dim), not normalised; of `places`, to vectors (n, m, dim)."""

VALID = "valid"
"""An input of ours, (n,): how many frames of a sound are not filling."""


def of_method(name: str) -> Run:
    """What the method of a model with several towers gives, such as ``get_image_features``."""
    return partial(_method, name)


def _method(name: str, model: Any, inputs: Inputs) -> Tensor:
    out = getattr(model, name)(**inputs)
    found: Tensor = out if isinstance(out, Tensor) else out.pooler_output
    return found


def clap_audio(model: Any, inputs: Inputs) -> Tensor:
    """CLAP's audio tower, of windows of its length: none of them is a crop of a longer sound."""
    spectrograms = inputs["input_features"]
    whole = torch.zeros(len(spectrograms), 1, dtype=torch.bool, device=spectrograms.device)
    pooled = model.audio_model(input_features=spectrograms, is_longer=whole).pooler_output
    found: Tensor = model.audio_projection(pooled)
    return found


def clap_text(model: Any, inputs: Inputs) -> Tensor:
    """CLAP's text tower, before its vectors are scaled to unit length."""
    found: Tensor = model.text_projection(model.text_model(**inputs).pooler_output)
    return found


def blip_image(model: Any, inputs: Inputs) -> Tensor:
    """The image side of BLIP's image-text contrast (Li et al., ICML 2022): its first token, projected."""
    found: Tensor = model.vision_proj(model.vision_model(**inputs).last_hidden_state[:, 0])
    return found


def blip_text(model: Any, inputs: Inputs) -> Tensor:
    """The text side of BLIP's image-text contrast: its first token, projected."""
    found: Tensor = model.text_proj(model.text_encoder(**inputs).last_hidden_state[:, 0])
    return found


def chinese_clip_text(model: Any, inputs: Inputs) -> Tensor:
    """Chinese-CLIP's text tower: its first token, projected. Releases before 5 may ask a pooler that is not there."""
    found: Tensor = model.text_projection(model.text_model(**inputs).last_hidden_state[:, 0])
    return found


def xclip_video(model: Any, inputs: Inputs) -> Tensor:
    """X-CLIP's video tower (Ni et al., ECCV 2022): frames that look across, projected, and a transformer over them.

    `get_video_features` computes this; releases before 5 fail in it unless tuples are asked for.
    """
    frames = inputs["pixel_values"]  # (n, frames, 3, h, w)
    projected = model.visual_projection(model.vision_model(pixel_values=frames.flatten(0, 1))[1])
    found: Tensor = model.mit(projected.view(*frames.shape[:2], -1))[1]
    return found


def pooled(pool: str) -> Run:
    """The output of a model with one tower, made one vector.

    Args:
        pool: "cls", "mean" or "pooler".
    """
    return partial(_pooled, pool)


def _pooled(pool: str, model: Any, inputs: Inputs) -> Tensor:
    valid = inputs.get(VALID)
    out = model(**{name: value for name, value in inputs.items() if name != VALID})
    if pool == "pooler":
        found: Tensor = out.pooler_output.flatten(1)
        return found
    hidden = out.last_hidden_state
    if pool == "cls":
        return hidden[:, 0]  # type: ignore[no-any-return]
    if hidden.ndim == 4:  # maps of a convolutional network (n, dim, h, w)
        return hidden.mean(dim=(2, 3))  # type: ignore[no-any-return]
    return mean_of(hidden, _mask(hidden, inputs.get("attention_mask"), valid))


def _mask(hidden: Tensor, mask: Tensor | None, valid: Tensor | None) -> Tensor | None:
    if valid is not None:
        return torch.arange(hidden.shape[1], device=hidden.device) < valid[:, None]
    return mask if mask is not None and mask.shape == hidden.shape[:2] else None


def mean_of(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Over the tokens (n, m, dim) that the mask (n, m) names; over all of them without one."""
    if mask is None:
        return hidden.mean(dim=1)
    kept = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * kept).sum(dim=1) / kept.sum(dim=1)


def encoder_only(model: Any, inputs: Inputs) -> Tensor:
    """The mean over the frames of an encoder that a decoder follows, such as Whisper's; filling does not count."""
    return _pooled("mean", model.encoder, inputs)


def classifier_of(model: nn.Module, classes: int) -> str:
    """The path of the last linear layer with as many outputs as there are classes.

    Raises:
        LookupError: if there is none.
    """
    found: list[str] = [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not found:
        raise LookupError(f"no linear layer has {classes} outputs, one for each class")
    return found[-1]


def before(path: str) -> Run:
    """What the module at a path reads, such as a model's own classifier."""
    return partial(_before, path)


def _before(path: str, model: Any, inputs: Inputs) -> Tensor:
    read: list[Tensor] = []
    hook = model.get_submodule(path).register_forward_pre_hook(lambda _, given: read.append(given[0]))
    try:
        model(**{name: value for name, value in inputs.items() if name != VALID})
    finally:
        hook.remove()
    return read[-1].flatten(1)


def clip_places(model: Any, inputs: Inputs) -> Tensor:
    """Patches of CLIP's image tower, each by the norm and the projection of the first token (MaskCLIP, ECCV 2022)."""
    hidden = model.vision_model(**inputs).last_hidden_state[:, 1:]
    norm = model.vision_model.post_layernorm
    found: Tensor = model.visual_projection(norm(hidden))
    return found


def siglip_places(model: Any, inputs: Inputs) -> Tensor:
    """Patches of SigLIP's image tower, each pooled alone by the tower's attention pool."""
    hidden = model.vision_model(**inputs).last_hidden_state
    found: Tensor = model.vision_model.head(hidden.flatten(0, 1)[:, None])
    return found.reshape(*hidden.shape[:2], -1)


def blip_places(model: Any, inputs: Inputs) -> Tensor:
    """Patches of BLIP's image tower, each by the projection of the first token."""
    found: Tensor = model.vision_proj(model.vision_model(**inputs).last_hidden_state[:, 1:])
    return found


def patches(model: Any, inputs: Inputs) -> Tensor:
    """Patches of a ViT that is pooled by its first token: all that follows it and the registers."""
    base = model.base_model
    before = 1 + int(getattr(model.config, "num_register_tokens", 0) or 0)
    found: Tensor = base(**inputs).last_hidden_state[:, before:]
    return found
