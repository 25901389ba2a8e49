"""Base to new: what learning from half of the classes is worth for the others: the table of docs/new-classes.md.

CoCoOp's protocol of generalisation from base to new classes (Zhou et al., CVPR 2022, section 4.1) is
`xm train --unseen half`; on Caltech-101, with the published split and draws of seeds 1 to 3, 16 shots of 50 classes:

    python benchmarks/base_to_new.py --data ../shared/data

The data folder (default: XM_DATA) holds caltech-101/. It takes the offline trio, or other encoders by ``--encoder``.
Prompts are cut to ``--steps`` steps, as their published 200 epochs take hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xm
from xm import DataError
from xm.evaluation import Report

ROWS = {"base": "test:seen", "new": "test:unseen", "H": "test:harmonic"}
AMONG_ALL = {name: split.replace(":", ":generalised-") for name, split in ROWS.items()}
"""The same, decided among base and new classes together."""


def settings(steps: int) -> dict[str, dict[str, Any]]:
    """The strategies, with what is cut."""
    prompts = {"init": "a photo of a", "steps": steps}
    return {"zero-shot": {}, "linear": {}, "tip-adapter": {}, "coop": prompts}


def report(data: Path, strategy: str, given: argparse.Namespace, own: Mapping[str, Any]) -> Report:
    """Of one strategy with class names; without the baseline, which has a row of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return xm.train(
            "image",
            aux=["text"],
            data=str(data),
            encoders=dict(pair.split("=", 1) for pair in given.encoder),
            unseen="half",
            strategy=strategy,
            set=dict(own),
            baselines=False,
            shots=[given.shots],
            seeds=given.seeds,
            out=Path(folder, "run"),
        )


def line(found: Report, aux: Sequence[str]) -> dict[str, str]:
    """Means over seeds in %, of the protocol and among all classes."""
    means = {s.split: s for s in found.summary if list(s.aux) == list(aux)}
    return {
        f"{name}{suffix}": f"{100 * means[split].mean:.1f}"
        for suffix, splits in (("", ROWS), (" of all", AMONG_ALL))
        for name, split in splits.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="holds caltech-101/")
    parser.add_argument("--encoder", action="append", default=[], metavar="MODALITY=REF", help="repeatable")
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=100, help="of the prompt learners")
    parser.add_argument("--strategies", nargs="+", help="some of them")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    given = parser.parse_args()
    if given.data is None:
        raise DataError("name the data folder by --data or XM_DATA")
    data = given.data / "caltech-101/split_zhou_Caltech101.json"
    rows: list[dict[str, Any]] = []
    for strategy, own in settings(given.steps).items():
        if given.strategies and strategy not in given.strategies:
            continue
        started = time.perf_counter()
        found = report(data, strategy, given, own)
        seconds = time.perf_counter() - started
        for aux in dict.fromkeys(s.aux for s in found.summary):
            names = " + ".join(("image", *aux)) if strategy != "zero-shot" else "text"
            rows.append({"strategy": strategy, "learned from": names, **line(found, aux), "s": f"{seconds:.0f}"})
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print(f"| {' | '.join(row.values())} |")


if __name__ == "__main__":
    main()
