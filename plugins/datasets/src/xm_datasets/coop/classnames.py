"""ImageNet's classes: CoOp's ``classnames.txt``, a WordNet id and a name a line."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from xm import DataError
from xm_datasets.coop.rows import clean, read_lines

_LINE = re.compile(r"(n\d{8})\s+(\S.*)")

WORDNET = {"n04008634": "projectile", "n04355933": "sunglass"}
"""WordNet's first word for the two classes that CLIP's list, which CoOp's file copies, calls as it calls another."""


def read_classnames(file: Path) -> dict[str, str]:
    """WordNet id to class name, in the order of labels, which is that of the ids.

    No two classes share a name: of "missile" and "missile", "sunglasses" and "sunglasses", one is as in `WORDNET`.

    Raises:
        DataError: if a line is of another form, an id is there twice, or two classes share another name.
    """
    names: dict[str, str] = {}
    for number, line in read_lines(file):
        match = _LINE.fullmatch(line)
        if not match:
            raise DataError(f"{file}: line {number}: {line[:60]!r} is no WordNet id with a name, as in n01440764 tench")
        if match[1] in names:
            raise DataError(f"{file}: line {number}: {match[1]} is there twice")
        names[match[1]] = clean(match[2])
    counts = Counter(names.values())
    names = {w: WORDNET.get(w, name) if counts[name] > 1 else name for w, name in sorted(names.items())}
    twice = [name for name, count in Counter(names.values()).items() if count > 1]
    if twice:
        ids = " and ".join(wnid for wnid, name in names.items() if name == twice[0])
        raise DataError(f"{file}: {ids} are both called {twice[0]!r}; give one of them another name")
    return names
