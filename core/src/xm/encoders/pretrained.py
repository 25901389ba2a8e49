"""Pretrained weights: which of them encoders use, which are on this machine, and bringing them here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from xm.encoders.encoder import Encoder
from xm.encoders.reference import make_encoder
from xm.foundation.errors import UsageError, XMError
from xm.foundation.events import Event, Listener, logged
from xm.plugins.hub_cache import repositories
from xm.plugins.plugin_manager import PluginManager, manager
from xm.plugins.weights import Weights, told


@dataclass(frozen=True)
class Pretrained:
    """Weights, and the encoders that use them.

    Attributes:
        weights: themselves.
        encoders: references of encoders, as they are typed; () if none of those that were asked uses them.
    """

    weights: Weights
    encoders: tuple[str, ...] = ()


def pretrained(references: Sequence[str] = (), *, plugins: PluginManager | None = None) -> list[Pretrained]:
    """The weights of encoders, on this machine or not.

    Args:
        references: of encoders, as after ``--image-encoder``. None: of every encoder that can be used here without an
            argument, and after those every other model in the Hugging Face hub's cache.
        plugins: the plugin manager; the process's own if None.

    Raises:
        UsageError: for an unknown encoder.
        PluginError: if one that was named can't be made: a file that its construction needs is not here, say.
    """
    found = plugins or manager()
    users: dict[tuple[str, str], Pretrained] = {}
    for reference in references or _usable(found):
        for weights in _made(reference, found).pretrained():
            key = (weights.source, weights.name)
            known = users.get(key, Pretrained(weights))
            users[key] = replace(known, encoders=(*known.encoders, reference))
    if not references:
        named = {pretrained.weights.name.partition("@")[0] for pretrained in users.values()}
        for repo in repositories():
            if repo.name not in named:
                users["huggingface.co", repo.name] = Pretrained(
                    Weights(repo.name, "huggingface.co", size=repo.size, licence=repo.licence, kept=True)
                )
    return list(users.values())


def bring(reference: str, *, listener: Listener = logged, plugins: PluginManager | None = None) -> list[Weights]:
    """Bring everything here that an encoder and those that share its weights need, so that they work without network.

    Args:
        reference: of the encoder, as after ``--image-encoder``.
        listener: hears, before each download, what is coming: name, size and licence.
        plugins: the plugin manager; the process's own if None.

    Returns:
        What was brought; [] if all was here.

    Raises:
        UsageError: for an unknown encoder.
        PluginError: if files can't be had.
    """
    found = plugins or manager()
    encoder = _made(reference, found)
    brought = []
    for weights in encoder.pretrained():
        if weights.here or weights.get is None:
            continue
        listener(Event("note", {"message": f"downloading {told(weights)}"}))
        weights.get()
        brought.append(weights)
    encoder.fingerprint()  # what it depends on is here then: tokenizer and preprocessing too
    for other in _siblings(reference, found):
        try:
            made = _made(other, found)
        except UsageError:  # the model has no such tower
            continue
        made.fingerprint()
    return brought


def _made(reference: str, plugins: PluginManager) -> Encoder:
    return make_encoder(reference, plugins, torch.device("cpu"))


def _usable(plugins: PluginManager) -> list[str]:
    """Names of the encoders that can be made here without an argument."""
    found = []
    for spec in plugins.encoders.values():
        if spec.why_not() is None:
            try:
                _made(spec.name, plugins)
            except XMError:
                continue
            found.append(spec.name)
    return found


def _siblings(reference: str, plugins: PluginManager) -> list[str]:
    """References of the encoders of other modalities that the same plugin makes from the same argument."""
    name, _, argument = reference.partition(":")
    specs = plugins.encoders
    if name not in specs or not argument:
        return []
    stem = name.removesuffix(f"-{specs[name].modality}")
    return [
        f"{spec.name}:{argument}"
        for spec in specs.values()
        if spec.name != name
        and specs.plugin_of[spec.name] == specs.plugin_of[name]
        and spec.argument
        and spec.name in (stem, f"{stem}-{spec.modality}")
    ]
