"""The label metric of class names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xm import Stream, UsageError
from xm.learning import class_means


def distances_of_names(classes: Sequence[str], texts: Stream | None) -> Tensor:
    """Euclidean distances (classes, classes) between the names' unit vectors, 0..2; squared, twice the cosine distance.

    Args:
        classes: in words.
        texts: names in the home space, one or several a class, of which the mean direction is taken.

    Raises:
        UsageError: if there are no texts, or a class has none.
    """
    if texts is None or texts.y is None:
        raise UsageError(
            "loki: metric=names needs an encoder that reads class names: choose one (--text-encoder NAME), or give "
            "the distances in a file (--predictor-set metric=FILE)"
        )
    absent = sorted(set(range(len(classes))) - set(texts.y.tolist()))
    if absent:
        raise UsageError(
            f"loki: metric=names: the name of class {classes[absent[0]]!r} could not be read; "
            "give the distances in a file (--predictor-set metric=FILE)"
        )
    means = class_means(texts, len(classes))
    return torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
