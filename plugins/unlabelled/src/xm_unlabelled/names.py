"""What the strategies of this family share: rows of class names, and the unlabelled items of the target."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, Stream, UsageError
from xm.learning import EMBEDDING, FEW, class_means


def unlabelled_items(context: Context) -> Stream:
    """The target's unlabelled items, at the depth at which its encoder is opened.

    Raises:
        UsageError: if there are none.
    """
    found = context.unlabelled.get(context.target)
    if found is None:
        raise UsageError(
            f"there are no unlabelled {context.target} items to learn from: say where they are, with --unlabelled "
            "rest, split or a folder"
        )
    return found


def at_home(stream: Stream, context: Context) -> Tensor:
    """A stream's embeddings (n, dim) in the home space, on the context's device; few raw inputs are there at a time."""
    parts = (stream[rows].to(context.device) for rows in torch.arange(len(stream)).chunk(-(-len(stream) // FEW)))
    return torch.cat([context.towers.embedded(part).x[EMBEDDING] for part in parts])


def name_rows(context: Context) -> Tensor:
    """What stands for each class before an item is seen: (classes, dim), unit length, zeros where a class has nothing.

    The mean of the auxiliary modalities' class means; with no auxiliary modality, those of the target's own samples.

    Raises:
        UsageError: if there are no samples at all.
    """
    streams = [stream for name, stream in context.train.items() if name != context.target]
    streams = streams or list(context.train.values())
    if not streams:
        raise UsageError("there is nothing to tell classes by: name an auxiliary modality, as in --aux text")
    homes = [Stream(s.modality, {EMBEDDING: at_home(s, context)}, s.labels.to(context.device)) for s in streams]
    means = [class_means(home, len(context.classes)) for home in homes]
    return normalize(torch.stack(means).mean(dim=0), dim=1)


def per_class(wanted: int | None, default: int, items: int, classes: int) -> int:
    """How many items a class to take: what is wanted; else the default, but at most half the mean class size."""
    chosen = max(1, min(default, items // (2 * classes))) if wanted is None else wanted
    return min(chosen, items)
