"""``xm data``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xm import UsageError
from xm.plugins import manager
from xm_cli.options import Columns, Json, Reader, source_of
from xm_cli.progress import Teller
from xm_cli.tables import count, print_json, print_table, warn_of_plugins

if TYPE_CHECKING:
    from xm import Dataset, Sample

SHOWN = 20
"""Class names in the text; JSON has all."""


def list_(as_json: Json = False) -> None:
    """List datasets, which are opened by name, and readers, which open what --data points to."""
    warn_of_plugins()
    registry = manager().datasets
    found = [
        {
            "name": spec.name,
            "opens": list(spec.opens),
            "default": spec.default,
            "plugin": registry.plugin_of[spec.name],
            "summary": spec.summary,
        }
        for spec in registry.values()
    ]
    if as_json:
        print_json({"datasets": found})
        return
    rows = [[str(f["name"]), _opens(f["opens"], f["default"]), str(f["summary"])] for f in found]
    print_table(["name", "opens", "summary"], rows)


def _opens(kinds: Any, default: Any) -> str:
    opens = ", ".join("folders" if kind == "/" else f"{kind} files" for kind in kinds) or "by name"
    return f"{opens} (default)" if default else opens


def show(
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="A dataset's name, a folder or a file.", show_default=False)
    ] = None,
    reader: Reader = None,
    columns: Columns = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="REGEX", help="On the path: what it matches is not split.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="T,V,T", help="Train, val, test fractions where the data have no splits.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draw of splits.")] = 0,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    as_json: Json = False,
) -> None:
    """Count what is in a dataset: items by split and modality, classes, groups and pairs.

    Without SOURCE, the default dataset. Where the data have no splits, they are drawn as xm train draws them.
    """
    warn_of_plugins()
    with Teller():
        from xm.data import open_dataset, splits
        from xm.foundation import cache_dir

        fractions = _fractions(split) if split else splits.DEFAULT_FRACTIONS
        dataset = open_dataset(source_of(source, None, reader, columns), manager(), cache or cache_dir())
        if group_by:
            dataset = splits.group_by(dataset, group_by)
        drawn = sum(sample.split is None for sample in dataset.samples)
        dataset = splits.split_dataset(dataset, fractions=fractions, seed=seed)
    found = described(dataset, drawn)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _fractions(text: str) -> tuple[float, ...]:
    try:
        parts = tuple(float(part) for part in text.split(","))
    except ValueError:
        parts = ()
    if len(parts) != 3:
        raise UsageError(f"--split {text}: expected three numbers, such as 0.5,0.2,0.3")
    return parts


def described(dataset: Dataset, drawn: int) -> dict[str, Any]:
    """A dataset in plain values; `drawn` is how many of its samples had no split."""
    parts: dict[tuple[str, str], list[Sample]] = {}
    for sample in dataset.samples:
        parts.setdefault((str(sample.split), sample.modality), []).append(sample)
    order = {"train": 0, "val": 1, "test": 2}
    ordered = sorted(parts.items(), key=lambda part: (order.get(part[0][0], 3), part[0]))
    sizes = Counter((s.modality, s.label) for s in dataset.samples if s.label is not None)
    return {
        "name": dataset.name,
        "items": len(dataset.samples),
        "drawn": drawn,
        "splits": [{"split": split, "modality": modality, **_counts(part)} for (split, modality), part in ordered],
        "groups": len(_different(s.group for s in dataset.samples)),
        "pairs": len(_different(s.pair for s in dataset.samples)),
        "classes": [
            {"name": name, "items": {m: n for (m, label), n in sorted(sizes.items()) if label == i}}
            for i, name in enumerate(dataset.classes)
        ],
        "templates": list(dataset.templates),
        "auxiliary": {modality: len(samples) for modality, samples in dataset.auxiliary.items()},
        "encoders": dict(dataset.encoders),
        "semantics": {name: known.kind for name, known in dataset.semantics.items()},
        "metadata": _metadata(dataset.samples),
        "notes": list(dataset.notes),
    }


def _metadata(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    """By name, how many samples have each value."""
    found: dict[str, Counter[str]] = {}
    for sample in samples:
        for name, value in sample.metadata.items():
            found.setdefault(name, Counter())[value] += 1
    return {name: dict(sorted(values.items())) for name, values in sorted(found.items())}


def _counts(samples: list[Sample]) -> dict[str, int]:
    sizes = Counter(s.label for s in samples if s.label is not None)
    return {
        "items": len(samples),
        "labelled": sizes.total(),
        "classes": len(sizes),
        "fewest": min(sizes.values(), default=0),
        "most": max(sizes.values(), default=0),
        "groups": len(_different(s.group for s in samples)),
        "pairs": len(_different(s.pair for s in samples)),
    }


def _different(words: Iterable[str | None]) -> set[str]:
    return {word for word in words if word is not None}


def _print(found: dict[str, Any]) -> None:
    names = [c["name"] for c in found["classes"]]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    print(f"{found['name']}: {count(found['items'], 'item')}, {count(len(names), 'class', 'classes')}")
    print(f"classes: {', '.join(names[:SHOWN])}{more}")
    headers = ["split", "modality", "items", "labelled", "classes", "per class", "groups", "pairs"]
    rows = []
    for part in found["splits"]:
        few, most = part["fewest"], part["most"]
        per = str(few) if few == most else f"{few}-{most}"
        numbers = [part["items"], part["labelled"], part["classes"], per, part["groups"], part["pairs"]]
        rows.append([part["split"], part["modality"], *map(str, numbers)])
    print()
    print_table(headers, rows, right=range(2, len(headers)))
    print()
    if found["drawn"]:
        print(f"{count(found['drawn'], 'item')} had no split; splits were drawn.")
    for modality, n in found["auxiliary"].items():
        print(f"As an auxiliary, {modality} has {count(n, 'item')} of its own.")
    for modality, reference in found["encoders"].items():
        print(f"The encoder of {modality} is {reference}, unless told otherwise.")
    for name, kind in found["semantics"].items():
        print(f"Of the classes there are semantics {name!r}: {kind}.")
    for name, values in found["metadata"].items():
        shown = ", ".join(f"{value} ({n})" for value, n in list(values.items())[:SHOWN])
        print(f"{name}: {shown}{f' and {len(values) - SHOWN} more' if len(values) > SHOWN else ''}")
    for note in found["notes"]:
        print(note)
