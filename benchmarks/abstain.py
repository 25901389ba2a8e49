"""How often `chow` decides, and how often it is right then: coverage and accuracy by threshold.

    XM_DATA=DIR python benchmarks/abstain.py

Caltech-101 with the published draws and ESC-10, those that are below XM_DATA; with text, 4 shots, the offline encoders.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import xm
from xm.foundation import silent

LEAST = (0.0, 0.3, 0.5, 0.7, 0.9, 0.97)
DATA = Path(os.environ.get("XM_DATA", "data"))
TASKS: dict[str, dict[str, Any]] = {
    "Caltech-101": {"modality": "image", "data": "caltech-101"},
    "ESC-10": {
        "modality": "audio",
        "data": str(DATA / "esc-10"),
        "group_by": r"/(\d)-[^/]*$",
        "split": (0.2, 0, 0.8),
        "resplit": True,
    },
}


def row(task: dict[str, Any], least: float) -> list[str]:
    """Coverage, and accuracy on what is covered, of `linear` and of `zero-shot`: means over seeds, in %."""
    with tempfile.TemporaryDirectory() as folder:
        report = xm.train(
            **task,
            aux=("text",),
            shots=(4,),
            seeds=(1, 2, 3),
            predictor="chow",
            predictor_set={"least": least},
            out=Path(folder) / "run",
            listener=silent,
        )
    cells = []
    for strategy in ("linear", "zero-shot"):
        found = [r for r in report.results if r.strategy == strategy and r.aux]
        covered = [r.coverage or 0.0 for r in found]
        right = [r.value / c for r, c in zip(found, covered, strict=True) if c]
        cells += [f"{100 * statistics.fmean(covered):.1f}", f"{100 * statistics.fmean(right):.1f}" if right else "-"]
    return cells


def main() -> None:
    """Print a table for each data set that is there."""
    for name, task in TASKS.items():
        if os.sep in str(task["data"]) and not Path(task["data"]).is_dir():
            print(f"{name}: {task['data']} is not there\n")
            continue
        print(f"{name}, 4 shots, mean over seeds 1 to 3\n")
        print("| `least` | `linear` + text decides on | right on these | `zero-shot` decides on | right on these |")
        print("|---|---|---|---|---|")
        for least in LEAST:
            print(f"| {least:g} | {' | '.join(row(task, least))} |", flush=True)
        print()


if __name__ == "__main__":
    main()
