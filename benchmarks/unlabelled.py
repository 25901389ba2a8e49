"""What items without labels are worth: the tables of docs/methods/lbl2vec.md, fpl.md and label-propagation.md.

ESC-10: trained on one fold without its labels (80 clips), tested on the other four, each fold once (seeds 1 to 5).
Caltech-101: the 3,087 train images without labels, the published test split; where labels are learned from, the
published draws of seeds 1 to 3, and what they leave of train. garments: 356 garments as CLIP sees them, with strong
names.

    python benchmarks/unlabelled.py --data ../shared/data [--only esc-10] [--template "a sound of {}"] [--json]

The data folder (default: XM_DATA) holds caltech-101/, esc-10/ and clip-features/; what is not there is left out.
Features go to the cache (XM_CACHE): the first run takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xm
from xm.foundation import Event

SETS: Mapping[str, Mapping[str, Any]] = {
    "esc-10": {
        "modality": "audio",
        "data": "esc-10",
        "group_by": r"(\d)-[^/]*$",
        "split": (0.2, 0, 0.8),
        "resplit": True,
        "seeds": (1, 2, 3, 4, 5),
    },
    "caltech-101": {"modality": "image", "data": "caltech-101/split_zhou_Caltech101.json", "seeds": (1, 2, 3)},
    "garments": {"modality": "image", "data": "clip-features/garments-strong-names.npz", "seeds": (1, 2, 3)},
}
"""Settings of training, by set; data below the data folder."""

ROWS = ("zero-shot", "lbl2vec", "fpl", "label-propagation")
"""At no shots; fpl around `linear`, label-propagation around `zero-shot`."""

CENTRES = {"none": "as they are", "unlabelled": "centred"}
SHOTS = (1, 2)


def measured(data: Path, name: str, strategy: str, templates: Sequence[str], **settings: Any) -> dict[int, str]:
    """Accuracy with class names in %, mean ± standard deviation over seeds, by shots."""
    given = {**SETS[name], "aux": ("text",), "templates": tuple(templates), "unlabelled": "rest", "baselines": False}
    given |= {"strategy": strategy, **settings}
    with tempfile.TemporaryDirectory() as folder:
        given |= {"data": str(data / given["data"]), "out": Path(folder) / "run"}
        report = xm.train(**given, listener=unheard)
    cells = {cell.shots: cell for cell in report.summary if cell.aux}
    several = len(given["seeds"]) > 1
    return {
        shots: f"{100 * cell.mean:.1f}" + (f" ± {100 * cell.std:.1f}" if several else "")
        for shots, cell in cells.items()
    }


def unheard(event: Event) -> None:
    """Warnings are not for a table."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def without_labels(data: Path, names: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """A row a strategy at no shots; for each set embeddings as they are, and centred by the unlabelled items."""
    return [
        [
            strategy,
            *(
                measured(data, name, strategy, used(name, templates), shots=(0,), centre=centre, **alone(name))[0]
                for name in names
                for centre in CENTRES
            ),
        ]
        for strategy in ROWS
    ]


def alone(name: str) -> dict[str, Any]:
    """One seed where nothing at no shots depends on it."""
    return {} if SETS[name].get("resplit") else {"seeds": (1,)}


def with_labels(data: Path, names: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """A row a strategy, on the same draws; for each set 1 and 2 shots."""
    found = []
    for strategy in ("linear", "fpl"):
        cells = [measured(data, name, strategy, used(name, templates), shots=SHOTS) for name in names]
        found.append([strategy, *(by_shots[shots] for by_shots in cells for shots in SHOTS)])
    return found


def used(name: str, templates: Sequence[str]) -> Sequence[str]:
    """Features have no templates."""
    return () if name == "garments" else templates


def main() -> None:
    parser = argparse.ArgumentParser(description="What items without labels are worth.")
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="default: XM_DATA")
    parser.add_argument("--only", choices=tuple(SETS), action="append", help="these sets")
    parser.add_argument("--template", action="append", default=[], help="a sentence around a class name")
    parser.add_argument("--json", action="store_true", help="the tables' rows as JSON, last")
    given = parser.parse_args()
    if given.data is None:
        parser.error("name the data folder with --data or XM_DATA")
    data = Path(given.data)
    names = [name for name in given.only or SETS if (data / SETS[name]["data"]).exists()]
    if not names:
        parser.error(f"{data} holds none of {', '.join(str(one['data']) for one in SETS.values())}")
    rows = without_labels(data, names, given.template)
    print("accuracy in %, no labels, names as auxiliary samples; label-propagation is transductive\n")
    print(table(["strategy", *(f"{name}, {words}" for name in names for words in CENTRES.values())], rows), flush=True)
    more = with_labels(data, names, given.template)
    print("\naccuracy in %, with labels and names, on the same draws\n")
    print(table(["strategy", *(f"{name}, {count} shots" for name in names for count in SHOTS)], more))
    if given.json:
        print(json.dumps({"no labels": rows, "labels": more}))


if __name__ == "__main__":
    main()
