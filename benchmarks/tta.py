"""Test-time augmentation, on clean test images and on corrupted ones: the table of docs/methods/tta.md.

Caltech-101's published test split (CoOp's), EfficientNet-Lite0 and MiniLM: zero-shot by the class names, no image is
learned from. Each seed has other views, and other noise on the test images.

    XM_DATA=DIR python benchmarks/tta.py --limit 400 --seeds 1,2,3

DIR holds caltech-101/ as for text_path.py. The first run encodes limit x 4 x 9 images a seed; features go to the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import xm
from xm.data import Dataset, open_dataset
from xm.evaluation import mean_std
from xm.foundation import Event, cache_dir
from xm.plugins import DatasetSpec, manager

NAME = "caltech-101-part"
SPLIT = "caltech-101/split_zhou_Caltech101.json"
ZOOMS = 7
RULES: dict[str, dict[str, Any]] = {
    "argmax": {},
    "tta, all 9": {"confident": 1.0},
    "tta, half": {"confident": 0.5},
    "tta, the most confident": {"confident": 0.12},
}


def part(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """As many test images as were asked for, drawn once, and all the rest of the data."""
    found = open_dataset(str(Path(os.environ["XM_DATA"]) / SPLIT), manager(), cache)
    test = [sample for sample in found.samples if sample.split == "test"]
    chosen = {id(sample) for sample in Random(0).sample(test, min(LIMIT, len(test)))}
    kept = tuple(s for s in found.samples if s.split != "test" or id(s) in chosen)
    return replace(found, name=NAME, samples=kept)


LIMIT = 400


class Plugin:
    @xm.hookimpl
    def datasets(self) -> list[DatasetSpec]:
        return [DatasetSpec(name=NAME, target=f"{__name__}:part")]


def scored(seed: int, rule: str, out: Path, scale: float, corruptions: list[str]) -> dict[str, float]:
    """Accuracy in % by what was scored: "test", "noise"."""
    views = ["flip", *(f"zoom{ZOOMS * (seed - 1) + n}:0.8" for n in range(1, ZOOMS + 1))]
    rules: dict[str, Any] = (
        {} if rule == "argmax" else {"predictor": "tta", "predictor_set": {"views": views, **RULES[rule]}}
    )
    named = {kind.replace(":", f"{seed}:", 1) if ":" in kind else f"{kind}{seed}": kind for kind in corruptions}
    report = xm.train(
        "image",
        aux=("text",),
        data=NAME,
        strategy="zero-shot",
        set={"scale": scale},
        seeds=(seed,),
        baselines=False,
        test_view=tuple(named),
        out=out,
        listener=_progress,
        **rules,
    )
    return {named.get(r.split.removeprefix("test:"), r.split): 100 * r.value for r in report.results}


def _progress(event: Event) -> None:
    if event.kind == "embed" and event.data["done"] % 640 == 0:
        print(f"  {event.data['done']} of {event.data['total']}", flush=True)


def main() -> None:
    global LIMIT
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=400, help="test images (2465 are all)")
    parser.add_argument("--seeds", default="1,2,3", help="of views and noise")
    parser.add_argument("--scale", type=float, default=100.0, help="of the logits; CLIP's")
    parser.add_argument("--corruptions", default="noise,blur,jpeg", help="views of test")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    given = parser.parse_args()
    LIMIT = given.limit
    manager().register(Plugin(), NAME)
    corruptions, seeds = given.corruptions.split(","), [int(seed) for seed in given.seeds.split(",")]
    found: dict[str, list[dict[str, float]]] = {rule: [] for rule in RULES}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            for number, rule in enumerate(RULES):
                out = Path(folder) / f"{seed}-{number}"
                found[rule].append(scored(seed, rule, out, given.scale, corruptions))
    table = {rule: {split: mean_std([one[split] for one in each]) for split in each[0]} for rule, each in found.items()}
    if given.json:
        print(json.dumps({"limit": LIMIT, "seeds": seeds, "scale": given.scale, "cache": str(cache_dir()), "%": table}))
        return
    splits = ["test", *corruptions]
    print(f"| {LIMIT} test images, seeds {given.seeds} | {' | '.join(['clean', *corruptions])} |")
    print(f"|{'---|' * (len(splits) + 1)}")
    for rule, row in table.items():
        print(f"| {rule} | {' | '.join(f'{mean:.1f} ± {std:.1f}' for mean, std in map(row.__getitem__, splits))} |")


if __name__ == "__main__":
    main()
