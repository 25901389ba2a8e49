"""The encoder `onnx`: a network of the user's own, as an ONNX file."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.plugins import ANY


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="onnx",
            target="xm_own.onnx.encoder:Onnx",
            summary="a network of your own: an ONNX file, with a JSON beside it that says the preprocessing",
            modality=ANY,
            argument="FILE.onnx, with FILE.json beside it",
            available="xm_own.onnx.available:why_not",
        )
    ]
