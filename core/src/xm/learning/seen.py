"""The task of the seen classes, where others are unseen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from xm.learning.context import Context, Known
from xm.learning.predictor import Argmax
from xm.learning.stream import Reader, Stream


def among_seen(context: Context) -> Context:
    """The task of the seen classes alone, with labels that count these; the context itself, where all are seen.

    So does a strategy train that must not push unseen classes away (Zhou et al., CVPR 2022, section 4.1). Auxiliary
    samples and texts of unseen classes are left out. A rule that knows something of all classes is not asked.
    """
    seen = context.seen
    if seen is None:
        return context

    def only(stream: Stream) -> Stream:
        places = stream.labels[:, None] == seen.to(stream.labels.device)
        rows = places.any(dim=1)
        return replace(stream[rows], y=places[rows].long().argmax(dim=1))

    def known(name: str) -> Known:
        found = context.semantics(name)
        rows = found[seen] if isinstance(found, Tensor) else found
        return only(rows) if isinstance(rows, Stream) else rows

    def reader(make: Callable[[str], Reader], reference: str) -> Reader:
        found = make(reference)
        return replace(found, texts=None if found.texts is None else only(found.texts))

    train = {name: only(stream) for name, stream in context.train.items()}
    return replace(
        context,
        classes=tuple(context.classes[label] for label in seen.tolist()),
        train={name: stream for name, stream in train.items() if len(stream)},
        val=None if context.val is None else only(context.val),
        read_names=lambda: None if context.texts is None else only(context.texts),
        read_semantics=known,
        make_reader=None if context.make_reader is None else partial(reader, context.make_reader),
        predictor=Argmax() if context.predictor.tensors else context.predictor,
        seen=None,
    )
