"""Embeddings without what is common to their modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from xm.learning.context import Known
from xm.learning.model import EMBEDDING, centred
from xm.learning.stream import Inputs, Reading, Stream


def known_without(found: Known, centres: Mapping[str, Tensor]) -> Known:
    return without(found, centres) if isinstance(found, Stream) else found


def without(stream: Stream, centres: Mapping[str, Tensor], readings: Mapping[str, Reading] | None = None) -> Stream:
    """A stream of embeddings without what is common to its modality; trunk outputs stay, as their tower does that."""
    centre = centres.get(stream.modality)
    if centre is None:
        return stream

    def free(x: Inputs) -> Inputs:
        return {EMBEDDING: centred(x[EMBEDDING], centre)} if EMBEDDING in x else x

    own = [name for name, reading in (readings or {}).items() if reading.encoder is None and name in stream.also]
    return replace(stream, x=free(stream.x), also={**stream.also, **{name: free(stream.also[name]) for name in own}})
