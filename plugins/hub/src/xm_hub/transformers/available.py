"""Whether the encoders can be used without an argument: they can't, so what to type. Imports nothing heavy."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDED = ("transformers", "safetensors")


def images() -> str:
    """What to type for an image encoder."""
    return _type("--image-encoder transformers:google/siglip-base-patch16-224")


def texts() -> str:
    """What to type for a text encoder."""
    return _type("--text-encoder transformers-text:google/siglip-base-patch16-224")


def sounds() -> str:
    """What to type for a sound encoder."""
    return _type("--audio-encoder transformers-audio:laion/clap-htsat-unfused", "soundfile", "torchaudio")


def videos() -> str:
    """What to type for a video encoder."""
    return _type("--video-encoder transformers-video:microsoft/xclip-base-patch32", "av")


def _type(example: str, *more: str) -> str:
    missing = [package for package in (*_NEEDED, *more) if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}"
    return f"it stands for any model, which you name: {example}, or a folder"
