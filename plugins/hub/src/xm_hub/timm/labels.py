"""Names of the classes that a model of timm was trained with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

SUBSETS = {
    1000: ("imagenet-1k", "1k"),
    11221: ("imagenet-21k-miil", "21k"),
    11821: ("imagenet-12k", "12k"),
    21841: ("imagenet-22k", "22k"),
    21842: ("imagenet-22k-ms", "22k"),
    21843: ("imagenet-21k-goog", "21k"),
}
"""Parts of ImageNet by number of classes: their names in `timm.data.ImageNetInfo`, and what a tag says of them."""

_DATASET = re.compile(r"(?:^|_)in(\d+k)(?=_|$)")
_ALIKE = {"21k": "22k"}
"""Tags say one for the other."""

Names = tuple[str, ...]
"""Of classes, in words."""


def class_names(config: Mapping[str, Any], classes: int) -> Names | None:
    """Names of a classifier's classes; None if they are not known.

    They are the configuration's own, else ImageNet's, by the number of classes; but not if the weights' tag tells of
    another data set.

    Args:
        config: timm's ``pretrained_cfg``.
        classes: of the head.
    """
    own = _own(config, classes)
    if own is not None:
        return own
    subset = imagenet(str(config.get("tag") or ""), classes)
    return None if subset is None else _of_imagenet(subset)


def imagenet(tag: str, classes: int) -> str | None:
    """The part of ImageNet that has so many classes, unless the tag ends with another data set; or None."""
    name, said = SUBSETS.get(classes, (None, ""))
    found = _DATASET.findall(tag)
    if tag and (not found or _ALIKE.get(found[-1], found[-1]) != _ALIKE.get(said, said)):
        return None
    return name


def _own(config: Mapping[str, Any], classes: int) -> Names | None:
    names = config.get("label_names")
    if isinstance(names, Mapping):
        names = [names.get(str(i), names.get(i)) for i in range(classes)]
    if not isinstance(names, Sequence) or len(names) != classes or not all(isinstance(n, str) and n for n in names):
        return None
    said = config.get("label_descriptions")
    return _named([str(said.get(n, n)) if isinstance(said, Mapping) else n for n in names])


@lru_cache(maxsize=2)
def _of_imagenet(subset: str) -> Names:
    from timm.data.imagenet_info import ImageNetInfo

    info: Any = ImageNetInfo(subset)
    return _named([info.index_to_description(i) for i in range(info.num_classes())])


def _named(descriptions: Sequence[str]) -> Names:
    """The first of the words between commas, "tench" of "tench, Tinca tinca"; all of them where classes share it."""
    first = [text.partition(",")[0].strip() or text for text in descriptions]
    times = Counter(first)
    return tuple(name if times[name] == 1 else text for name, text in zip(first, descriptions, strict=True))
