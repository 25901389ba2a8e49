"""What may be said of the user's code: behind the question mark, or by attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import Field

from xm.plugins import Config, validated
from xm_own.preprocessing import Pictures
from xm_own.torch.code import Code


class Given(Config):
    """Of every encoder. What is typed goes before attributes of the same names."""

    modality: str = Field("", description="image, text, audio, video or another word; else the one asked for")
    space: str = Field("", description="name of the space; by content if none is named")
    dim: int = Field(0, ge=0, description="length of a vector; 0: as of the first that is given")


class GivenOfNetwork(Given, Pictures):
    """Of a network also its preprocessing, which may be a dict of these as attribute `preprocessing` too."""


G = TypeVar("G", bound=Given)

OTHERS = ("preprocessing", "suffixes", "batch_size", "fingerprint")
"""Attributes that are looked at besides."""


def said(code: Code, thing: Any) -> dict[str, Any]:
    """Attributes that say something of the encoder, of what was named and of what it gave when it was called."""
    names = [*Given.model_fields, *OTHERS]
    return {name: getattr(owner, name) for owner in (code.thing, thing) for name in names if hasattr(owner, name)}


def given(kind: type[G], argument: str, query: Mapping[str, str], attributes: Mapping[str, Any]) -> G:
    """The settings.

    Args:
        kind: which.
        argument: as typed, for messages.
        query: what was typed behind the question mark.
        attributes: as `said` gives them.

    Raises:
        UsageError: if something is unknown or out of range.
    """
    own: dict[str, Any] = {name: attributes[name] for name in Given.model_fields if name in attributes}
    preprocessing = attributes.get("preprocessing")
    if isinstance(preprocessing, dict):
        own |= preprocessing
    return validated(kind, {**own, **query}, f"torch:{argument}")
