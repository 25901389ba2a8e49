"""xm: few-shot learning across modalities.

Importing `xm` is cheap: names are imported on first use.
"""
from xm.hookspecs import hookimpl
from xm.specs import EncoderSpec
__all__ = ["EncoderSpec", "hookimpl"]
