"""What ``torch:MODULE:NAME`` gives: an encoder of whatever the name stands for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import nn

from xm import Encoder, UsageError
from xm.plugins import options_of
from xm_own.torch.code import Code, find, required, telling
from xm_own.torch.function import FunctionEncoder
from xm_own.torch.module import ModuleEncoder
from xm_own.torch.settings import Given, GivenOfNetwork, given, said

_MADE: dict[tuple[str, int], Any] = {}
"""Networks and functions that the user's code gave when it was called: each is made and held once."""

_MAKING = Lock()
"""Held while one is made."""


def own(argument: str = "", modality: str | None = None) -> Encoder:
    """The encoder of a function, a network or an encoder in the user's code.

    What is named may be

    - an `xm.Encoder`, or a class of such: it is used as it is;
    - a `torch.nn.Module` or a class of such, from images (n, channels, height, width) to vectors;
    - a function or object that is called with a list of items, and gives vectors (n, dim);
    - a function without arguments that gives one of these.

    Args:
        argument: ``MODULE:NAME`` or ``FILE.py:NAME``, then ``?modality=…`` and what else `Given` has, of a network
            `GivenOfNetwork`.
        modality: for which it is asked; None if that is not known.

    Raises:
        UsageError: if it is none of these, or settings are wrong.
        PluginError: if the user's code fails.
    """
    text, typed = options_of("torch", argument, "dim=512")
    code = find(text)
    thing = _made(code)
    if isinstance(thing, Encoder):
        if typed:
            raise UsageError(
                f"torch:{argument}: {code} is an encoder, which says all itself; leave out {argument[len(text) :]}"
            )
        return _told(code, thing)
    attributes = said(code, thing)
    if isinstance(thing, nn.Module):
        attributes.pop("dim", None)  # it may mean anything
        words = given(GivenOfNetwork, argument, typed, attributes)
        return ModuleEncoder(code, thing, words, words.modality or modality or "image", attributes)
    some = given(Given, argument, typed, attributes)
    wanted = some.modality or modality
    if not wanted:
        raise UsageError(f"torch:{argument}: of which modality? type torch:{code}?modality=image, or another")
    return FunctionEncoder(code, thing, some, wanted, attributes)


def _told(code: Code, encoder: Encoder) -> Encoder:
    """The encoder, whose errors are told as those of the user's code, with its file and line."""
    for name in ("prepare", "compute", "trunk"):
        method = getattr(encoder, name, None)
        if method is not None and name not in vars(encoder):
            setattr(encoder, name, partial(_telling, code, method))
    return encoder


def _telling(code: Code, method: Callable[..., Any], *given: Any) -> Any:
    with telling(code, code.file):
        return method(*given)


def _made(code: Code) -> Any:
    """The encoder, network or function of a name, called if it needs no argument."""
    thing, kinds, key = code.thing, (Encoder, nn.Module), (str(code), id(code.thing))
    with _MAKING:
        if key in _MADE:
            return _MADE[key]
        if not isinstance(thing, kinds) and callable(thing) and (isinstance(thing, type) or required(thing) == 0):
            # `encode` runs in inference mode; of parameters made there, not even copies (in a tail) could be trained.
            with torch.inference_mode(False), telling(code, code.file):
                thing = thing()
        fits = isinstance(thing, kinds) or (callable(thing) and not isinstance(thing, type) and required(thing) == 1)
        if not fits:
            gave = f"{'is' if thing is code.thing else 'gives'} {type(thing).__name__}"
            raise UsageError(
                f"torch:{code}: {gave}; expected an xm.Encoder, a torch.nn.Module, or a function of one argument, the "
                "items, that gives vectors (n, dim)"
            )
        if isinstance(thing, nn.Module):
            thing = thing.eval()
        if not isinstance(thing, Encoder):  # those have a device of their own
            _MADE[key] = thing
    return thing
