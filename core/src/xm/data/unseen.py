"""Seen and unseen classes: of which there are labelled samples of the target, and of which there are none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from xm.data.paths import missing
from xm.data.semantics import Classes
from xm.data.splits import rng
from xm.data.types import Dataset
from xm.foundation.errors import DataError, UsageError, unknown

HALF = "half"
"""The second half of the classes in the order of their labels, as in base-to-new generalisation."""

SHOWN = 5
"""Class names that a sentence lists."""


def unseen_classes(given: str, classes: Sequence[str], seed: int) -> frozenset[int]:
    """The labels of the unseen classes.

    Args:
        given: `HALF`: all but the first half, which has one more where their number is odd (Zhou et al., CVPR 2022);
            a number: so many, drawn by the seed; else a text file of class names, one a line.
        classes: in words.
        seed: of the draw.

    Raises:
        UsageError: if fewer than two classes are left to learn from, or none is unseen.
        DataError: for a file that is missing, or a line in it that is no class.
    """
    if given == HALF:
        found = frozenset(range((len(classes) + 1) // 2, len(classes)))
    elif given.isdecimal():
        order = list(range(len(classes)))
        rng("unseen", seed).shuffle(order)
        found = frozenset(order[: int(given)])
    else:
        found = _named(Path(given).expanduser(), classes)
    if not found or len(classes) - len(found) < 2:
        raise UsageError(
            f"--unseen {given}: {len(found)} of {len(classes)} classes would be unseen; one at least must be, and two "
            "are needed to learn from"
        )
    return found


def _named(path: Path, classes: Sequence[str]) -> frozenset[int]:
    if not path.is_file():
        raise DataError(f"--unseen {missing(path, 'file')}; or say {HALF} (of the classes), or a number of them")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--unseen {path}: can't be read as text ({error})") from None
    known, found = Classes(classes), set()
    for number, line in enumerate(lines, start=1):
        name = known.find(line) if line else None
        if line and name is None:
            raise DataError(f"--unseen {path}, line {number}: {unknown('class', line, classes)}")
        found |= {label for label, other in enumerate(classes) if other == name}
    return frozenset(found)


def listed(labels: Collection[int], classes: Sequence[str]) -> str:
    """Their names, the first few of them: "ant, bee and 3 more"."""
    names = [classes[label] for label in sorted(labels)]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def without_samples(dataset: Dataset, modality: str, labels: Collection[int]) -> Dataset:
    """The dataset without a modality's samples of these classes."""
    if not labels:
        return dataset
    kept = tuple(s for s in dataset.samples if s.modality != modality or s.label not in labels)
    return replace(dataset, samples=kept)
