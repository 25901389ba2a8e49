"""The default model, and whether it is here."""

from __future__ import annotations

from importlib.util import find_spec

from xm.plugins.hub import cached

DEFAULT = "laion/clap-htsat-unfused"
OTHERWISE = "name a folder that has it, made by save_pretrained of ClapModel and ClapProcessor: laion-clap:FOLDER"
"""What to type where there is no network."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_NEEDED = ("transformers", "safetensors", "soundfile", "torchaudio")


def why_not() -> str | None:
    """None if packages and the default weights are here, else what is missing and what to type."""
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}"
    if any(cached(DEFAULT, name) for name in WEIGHTS):
        return None
    return f"no CLAP weights on this machine; name a model to download it: --audio-encoder laion-clap:{DEFAULT}"
