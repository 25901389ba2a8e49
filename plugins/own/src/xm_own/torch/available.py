"""Whether the encoder can be used without an argument."""

from __future__ import annotations


def why_not() -> str:
    """It is of no use by itself."""
    return "name your function, such as --image-encoder torch:my_code.py:embed"
