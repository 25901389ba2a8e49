"""Views of items: which kinds there are, and seeing a decoded item in one. They come from plugins (hook `views`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xm.data.content import item_name
from xm.data.types import View
from xm.foundation.errors import ItemError, UsageError
from xm.plugins.plugin_manager import manager
from xm.plugins.specs import ANY, ViewSpec

VIEWS = (ANY,)
"""`xm.Encoder.views` of an encoder that reads items by `xm.media` or `read_text`: every registered view of its
modality."""


def kinds(modality: str) -> tuple[str, ...]:
    """The kinds of views that are registered for a modality, by name."""
    return tuple(sorted(spec.name for spec in manager().views.values() if spec.modality == modality))


def seen(modality: str, decoded: Any, view: View) -> Any:
    """A decoded item in a view: what the registered view makes of it.

    Args:
        modality: whose view of that kind is meant.
        decoded: as `xm.media` decodes an item: a Pillow image; ``(samples, rate)`` of a sound; a list of a video's
            frames; a text.
        view: which, and of which item, for messages.

    Raises:
        ItemError: naming the item, if the modality has no such view.
    """
    spec = manager().views.get(ViewSpec.key_of(modality, view.kind))
    if spec is None:
        known = ", ".join(kinds(modality)) or "none"
        raise ItemError(item_name(view), f"of {modality} there is no view {view.name!r}; there are {known}")
    return spec.load()(decoded, view)


def check_view(text: str, modality: str, known: Sequence[str]) -> None:
    """Whether a view, as a user types it, is one of the known kinds, at a strength that it takes.

    Raises:
        UsageError: that says what there is, or what the strength must be.
    """
    view = View.of(None, text)
    if view.kind not in known:
        raise UsageError(f"the {modality} encoder has no view {text!r} (it has: {', '.join(known) or 'none'})")
    strength = view.params.get("strength")
    spec = manager().views.get(ViewSpec.key_of(modality, view.kind))
    if strength is None or spec is None:
        return
    if not spec.strength:
        raise UsageError(f"view {text!r}: {view.kind} has no strength; type {view.name}")
    if not spec.least <= strength <= spec.most:
        raise UsageError(f"view {text!r}: its strength ({spec.strength}) is from {spec.least:g} to {spec.most:g}")
