"""From class numbers and names to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xm import DataError
from xm_datasets.webdataset.facts import Facts

ADVICE = "put a classes.txt beside the shards, one name a line, class 0 first"


def class_names(facts: Mapping[str, Facts], listed: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The class name of each labelled sample, and all names in order.

    They are in the order of `listed`; without a list in the order of the numbers, without numbers by name. A number
    is called as another sample calls it, or "class 3".

    Args:
        facts: by what to call the sample in errors.
        listed: the names by number, () if there is no list.

    Raises:
        DataError: if a number or a name is not in the list, or they contradict each other.
    """
    known = {where: one for where, one in facts.items() if one.number is not None or one.name}
    if listed:
        among = frozenset(listed)
        return {where: _listed(where, one, listed, among) for where, one in known.items()}, list(listed)
    if all(one.number is None for one in known.values()):
        return {where: one.name for where, one in known.items()}, sorted({one.name for one in known.values()})
    numbers = _numbers(known)
    names = {number: name for name, number in numbers.items()}
    found: dict[str, str] = {}
    for where, one in known.items():
        if one.number is None and one.name not in numbers:
            raise DataError(f"{where}: class {one.name!r} has no number, but others have numbers alone; {ADVICE}")
        found[where] = one.name if one.number is None else names.setdefault(one.number, f"class {one.number}")
    return found, [names[number] for number in sorted(names)]


def _listed(where: str, one: Facts, listed: Sequence[str], among: frozenset[str]) -> str:
    if one.number is None:
        if one.name not in among:
            raise DataError(f"{where}: class {one.name!r} is not in the list of {len(listed)} classes")
        return one.name
    if one.number >= len(listed):
        raise DataError(f"{where}: class number {one.number}, but the list has {len(listed)} classes, from 0")
    name = listed[one.number]
    if one.name not in ("", name):
        raise DataError(f"{where}: class {one.number} is {one.name!r} there, but {name!r} in the list of classes")
    return name


def _numbers(known: Mapping[str, Facts]) -> dict[str, int]:
    """Name to number, from the samples that have both."""
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    for where, one in known.items():
        if one.number is None or not one.name:
            continue
        number, name = numbers.setdefault(one.name, one.number), names.setdefault(one.number, one.name)
        if name != one.name:
            raise DataError(f"{where}: class {one.number} is {one.name!r} there, but {name!r} elsewhere")
        if number != one.number:
            raise DataError(f"{where}: class {one.name!r} has number {one.number} there, but {number} elsewhere")
    return numbers
