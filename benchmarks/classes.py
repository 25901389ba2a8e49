"""How seconds and memory of a training grow with the number of classes.

    python benchmarks/classes.py [--classes 300,1000,3000] [--strategy linear] [--dim 512] [--json]

Features of a class lie about a direction of its own: one image and one text a class to train on, one image for val, two
for test. Each number of classes is a process of its own, whose peak memory is read; seconds are of `xm.train` without
imports, of the fit of the target with texts, and of all else.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import xm
from xm.plugins import manager

NOISE = 0.05
SPLITS = (("train_image", 1), ("val_image", 1), ("test_image", 2), ("train_text", 1))


def write(path: Path, classes: int, dim: int) -> None:
    """Unit vectors of so many classes, as ``--data`` reads them."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((classes, dim), dtype=np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    arrays: dict[str, Any] = {"classes": np.array([f"thing {i}" for i in range(classes)])}
    for name, each in SPLITS:
        y = np.arange(classes).repeat(each)
        x = directions[y] + NOISE * rng.standard_normal((len(y), dim), dtype=np.float32)
        arrays[name], arrays[f"{name}_y"] = x / np.linalg.norm(x, axis=1, keepdims=True), y
    np.savez(path, **arrays)


def measure(classes: int, dim: int, strategy: str) -> dict[str, float]:
    """Seconds and GB of one training, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        write(here / "features.npz", classes, dim)
        manager().strategies.find(strategy).load()
        started = time.perf_counter()
        report = xm.train(
            "image",
            data=str(here / "features.npz"),
            aux=("text",),
            strategy=strategy,
            shots=(1,),
            seeds=(1,),
            device="cpu",
            out=here / "run",
            cache=here / "cache",
        )
        whole = time.perf_counter() - started
    fits = sum(result.seconds for result in report.results)
    own = next(result.seconds for result in report.results if result.strategy == strategy and result.aux)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    return {"classes": classes, "whole": whole, "fit": own, "rest": whole - fits, "GB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", default="300,1000,3000")
    parser.add_argument("--strategy", default="linear")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.dim, options.strategy)))
        return
    print("| classes | seconds | of the fit with texts | of all but fits | GB at most |\n|---|---|---|---|---|")
    rows = []
    for classes in map(int, options.classes.split(",")):
        command = [sys.executable, __file__, "--one", str(classes), "--dim", str(options.dim)]
        done = subprocess.run([*command, "--strategy", options.strategy], check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(
            f"| {classes:,} | {row['whole']:.1f} | {row['fit']:.1f} | {row['rest']:.1f} | {row['GB']:.1f} |", flush=True
        )
    if options.json:
        print(json.dumps({"strategy": options.strategy, "dim": options.dim, "rows": rows}))


if __name__ == "__main__":
    main()
