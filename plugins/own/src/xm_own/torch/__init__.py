"""The encoder `torch`: a function, a network or an encoder in the user's own code."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.plugins import ANY


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="torch",
            target="xm_own.torch.encoder:own",
            summary="a function of your own code from items to vectors, a torch.nn.Module, or an xm.Encoder",
            modality=ANY,
            argument="MODULE:NAME or FILE.py:NAME, then ?modality=… and other settings",
            available="xm_own.torch.available:why_not",
        )
    ]
