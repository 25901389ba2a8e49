"""How long a bank takes to open, and to give a batch.

    python benchmarks/bank.py [--rows 1000000] [--dim 512] [--json]

The bank is made in a temporary folder first: 2 GB by default. With --json the last line is one object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from safetensors.torch import save_file

from xm.encoders.bank import Bank

BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bank.safetensors"
        labels = torch.arange(options.rows) % 1000
        save_file({"train_image": torch.randn(options.rows, options.dim), "train_image_y": labels}, path)
        opened, sampled = [], []
        generator = torch.Generator().manual_seed(0)
        for _ in range(20):
            started = time.perf_counter()
            stream = Bank(path).stream("train", "image")
            opened.append(time.perf_counter() - started)
            rows = torch.randint(options.rows, (BATCH,), generator=generator)
            started = time.perf_counter()
            batch = stream[rows]
            sampled.append(time.perf_counter() - started)
            assert len(batch) == BATCH
        times = {"open": median(opened), f"batch_{BATCH}": median(sampled)}
        figures = {"rows": options.rows, "dim": options.dim, **times}
    print()
    print(", ".join(f"{name} in {1000 * seconds:.2f} ms" for name, seconds in times.items()))
    if options.json:
        print(json.dumps({name: round(value, 6) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
