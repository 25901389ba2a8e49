"""Wrong labels, on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xm.data.splits import rng
from xm.data.types import Sample


def corrupted(
    samples: Sequence[Sample], classes: int | Sequence[int], share: float, *key: object
) -> tuple[Sample, ...]:
    """The samples, of which a share has another label than its own, any of the others with equal chance.

    Args:
        samples: labelled or not; those without a label stay so.
        classes: how many there are, or the labels to choose from; with one there is no other.
        share: of the labelled samples, 0 to 1, rounded to whole samples.
        key: what the draw depends on.
    """
    labels = range(classes) if isinstance(classes, int) else classes
    labelled = [i for i, sample in enumerate(samples) if sample.label is not None]
    count = round(share * len(labelled)) if len(labels) > 1 else 0
    generator = rng("label noise", *key)
    found = list(samples)
    for i in generator.sample(labelled, count):
        own = found[i].label
        found[i] = replace(found[i], label=generator.choice([label for label in labels if label != own]))
    return tuple(found)
