"""What follows a model's name after a question mark."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xm.plugins import Config, options_of, validated


class Options(Config):
    """One argument serves all towers of a model, so each reads the options that concern it."""

    length: str = Field("", description="of sounds: chunks or crop, and one of pad, centre, loop, repeatpad")
    pool: Literal["", "cls", "mean", "pooler"] = Field(
        "", description="of models with one tower: the first token, the mean over tokens, or the model's own pooler"
    )
    tokens: int = Field(0, ge=0, description="texts are cut there; 0: at the tower's number of positions")
    code: Literal["", "trust"] = Field("", description="trust: run Python code that the model's files bring")


def parse(name: str, argument: str) -> tuple[str, Options]:
    """The model, and the options after the last question mark.

    Args:
        name: of the encoder, for messages.
        argument: as typed after its colon.

    Raises:
        UsageError: if options are unknown or wrong.
    """
    model, given = options_of(name, argument, "length=crop")
    return model, validated(Options, given, f"{name}:{argument}")
