"""Caltech-101's classes in two manifests, half each: two datasets for the protocol of one learned, another tested.

    python benchmarks/halves.py --data ../shared/data --out /tmp/halves
    xm bench /tmp/halves/first.csv --protocol cross-dataset --test /tmp/halves/second.csv --aux text

The split is CoOp's; images that are not there are left out of train and val.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA", "."), help="holds caltech-101/")
    parser.add_argument("--out", type=Path, required=True, help="folder for first.csv and second.csv")
    given = parser.parse_args()
    folder = Path(given.data).absolute() / "caltech-101"
    splits = json.loads((folder / "split_zhou_Caltech101.json").read_text(encoding="utf-8"))
    rows = [
        (folder / "101_ObjectCategories" / path, name.replace("_", " "), split, label)
        for split in ("train", "val", "test")
        for path, label, name in splits[split]
    ]
    middle = (max(label for *_, label in rows) + 1) / 2
    given.out.mkdir(parents=True, exist_ok=True)
    for name, chosen in {"first": (0, middle), "second": (middle, 2 * middle)}.items():
        with (given.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "label", "split"))
            writer.writerows(
                row[:3] for row in rows if chosen[0] <= row[3] < chosen[1] and (row[2] == "test" or row[0].is_file())
            )


if __name__ == "__main__":
    main()
