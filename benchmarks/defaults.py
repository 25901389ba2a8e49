"""The defaults of strategies that use class names, against the names alone and against each fixed setting.

    python benchmarks/defaults.py digits synthetic-weak synthetic-strong
    XM_DATA=DIR python benchmarks/defaults.py esc-10 caltech-101
    python benchmarks/defaults.py garments.npz --strategies linear,gda,lp++,tip-adapter --seeds 20

A source is one of those names, or a file of features with image and text. Each row is trained on the same draws. Of
linear there are also its fixed pulls, and with --published the loop of Lin et al. (CVPR 2023), which takes minutes a
model. A cell is a source, shots and val items a class; a deficit is the default's accuracy minus that of the best other
row of its cell, in points, with a 95 % interval over seeds (normal).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from features import pair, synthetic

import xm
from xm.evaluation import Report

PULLS: dict[str, dict[str, Any]] = {name: {"pull": name} for name in ("zero", "third", "init")}
PUBLISHED = {"solver": "adamw"}
SYNTHETIC = {"synthetic-weak": 1.5, "synthetic-middle": 1.0, "synthetic-strong": 0.5}
"""Noise of the names, of `features.synthetic`."""
DATA = Path(os.environ.get("XM_DATA", "."))
PLACES: dict[str, dict[str, Any]] = {
    "digits": {"modality": "image", "data": "digits"},
    "esc-10": {"modality": "audio", "data": str(DATA / "esc-10")},
    "caltech-101": {"modality": "image", "data": "caltech-101"},
}


@dataclass(frozen=True)
class Row:
    """Accuracies in %, by seed."""

    name: str
    values: Mapping[int, float]

    def less(self, other: Row) -> tuple[float, float]:
        """The mean of the paired differences to another, and half of its interval."""
        differences = [value - other.values[seed] for seed, value in self.values.items()]
        return fmean(differences), 1.96 * stdev(differences) / len(differences) ** 0.5


def made(name: str, folder: Path, seed: int) -> Path:
    """Synthetic features as a file."""
    here = synthetic(seed, noise=SYNTHETIC[name], classes=20)
    arrays: dict[str, Any] = {"classes": np.array([str(i) for i in range(20)])}
    streams = {"train_image": here.image, "val_image": here.val, "test_image": here.test, "train_text": here.text}
    for key, stream in streams.items():
        x, y = pair(stream)
        arrays |= {key: x.numpy(), f"{key}_y": y.numpy()}
    path = folder / f"{name}-{seed}.npz"
    np.savez(path, **arrays)
    return path


def accuracies(report: Report, strategy: str, aux: Sequence[str], shots: int) -> dict[int, float]:
    return {
        r.seed: 100 * r.value
        for r in report.results
        if (r.strategy, r.aux, r.shots, r.split) == (strategy, tuple(aux), shots, "test")
    }


def cells(source: str, given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[Row], dict[str, Row]]]:
    """A cell's name, its rows without the defaults, and these by strategy."""
    place = dict(PLACES.get(source) or {"modality": "image", "data": source, "resplit": given.resplit})
    if source in SYNTHETIC:
        place = {"modality": "image", "data": str(made(source, folder, 0))}
    fixed = {**PULLS, **({"published": PUBLISHED} if given.published else {})} if "linear" in given.strategies else {}
    for val in given.val_shots:
        common = {**place, "aux": ["text"], "shots": given.shots, "seeds": given.seeds, "val_shots": val}

        def run(strategy: str, settings: dict[str, Any], common: dict[str, Any] = common) -> Report:
            with tempfile.TemporaryDirectory(dir=folder) as out:
                return xm.train(**common, strategy=strategy, set=settings, out=Path(out) / "run")

        reports = {name: run("linear", settings) for name, settings in fixed.items()}
        defaults = {name: run(name, {}) for name in given.strategies}
        first = next(iter(defaults.values()))
        names = Row("names", accuracies(first, "zero-shot", ["text"], 0))
        for shots in given.shots:
            rows = [names, *(Row(n, accuracies(report, "linear", ["text"], shots)) for n, report in reports.items())]
            if "linear" in defaults:
                rows.append(Row("target alone", accuracies(defaults["linear"], "linear", [], shots)))
            found = {n: Row(n, accuracies(report, n, ["text"], shots)) for n, report in defaults.items()}
            yield f"{Path(source).stem}, {shots} shots, val {val}", rows, found


def main() -> None:
    parser = argparse.ArgumentParser(description="Defaults against fixed settings and the names alone.")
    add = parser.add_argument
    add("sources", nargs="*", default=["digits", *SYNTHETIC])
    add("--strategies", type=lambda text: text.split(","), default=["linear"])
    add("--shots", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16])
    add("--val-shots", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4], help="0: no val")
    add("--seeds", type=int, default=10)
    add("--resplit", action="store_true", help="of a file: draw its splits anew for each seed")
    add("--published", action="store_true", help="the published loop too")
    given = parser.parse_args()
    given.seeds = list(range(1, given.seeds + 1))
    deficits: dict[str, list[tuple[float, float, str]]] = {name: [] for name in given.strategies}
    with tempfile.TemporaryDirectory() as folder:
        for source in given.sources:
            for cell, rows, defaults in cells(source, given, Path(folder)):
                told = [f"{row.name} {fmean(row.values.values()):.1f}" for row in rows]
                best = max((row for row in rows if row.name != "target alone"), key=lambda r: fmean(r.values.values()))
                for name, row in defaults.items():
                    difference, interval = row.less(best)
                    deficits[name].append((difference, interval, cell))
                    told.append(f"{name} {fmean(row.values.values()):.1f} ({difference:+.1f} ± {interval:.1f})")
                print(f"{cell}: {', '.join(told)}", flush=True)
    for name, found in deficits.items():
        below = [cell for difference, interval, cell in found if difference + interval < -1]
        difference, interval, cell = min(found)
        print(f"{name}: {fmean(d for d, _, _ in found):+.2f} to the best other row, in the mean of {len(found)} cells")
        print(f"  at least {difference:+.1f} ± {interval:.1f} ({cell}); clearly below -1: {'; '.join(below) or 'none'}")


if __name__ == "__main__":
    main()
