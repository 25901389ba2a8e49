"""Whether the encoders can be used here, without importing open_clip or torch."""

from __future__ import annotations

import importlib.util
import os

from xm.plugins.hub import cached

DEFAULT = "ViT-B-32/laion2b_s34b_b79k"
DEFAULT_REPO = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
VARIABLE = "XM_OPENCLIP"


def image() -> str | None:
    """None, or why the image encoder can't be the default here."""
    return _why_not("--image-encoder openclip")


def text() -> str | None:
    """None, or why the text encoder can't be the default here."""
    return _why_not("--text-encoder openclip-text")


def _why_not(flag: str) -> str | None:
    if importlib.util.find_spec("open_clip") is None:
        return "open_clip is not installed; try: pip install open_clip_torch"
    if os.environ.get(VARIABLE) or any(cached(DEFAULT_REPO, name) for name in WEIGHTS):
        return None
    return f"no open_clip weights on this machine; name a model to download it: {flag}:{DEFAULT}"
