"""Aligners against each other on pairs of image and sound: the tables of docs/aligners.md.

Two sets of class-matched pairs. digits: the default data, 40 pairs of a scan (`pixels`) and a spoken word (`logmel`).
caltech-esc: six classes that Caltech-101 and ESC-10 both have, `efficientnet-lite0` and `yamnet`; pairs come from
Caltech's train split and ESC's folds 1 to 3, val is Caltech's val and fold 4, test Caltech's test and fold 5.

    python benchmarks/align.py --data ../shared/data --seeds 1,2,3 [--on val] [--json]

The data folder (default: XM_DATA) holds caltech-101/ and esc-10/; without it there are digits alone. Features go to the
cache (XM_CACHE): the first run takes minutes. With --json the last line is all figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import AlignContext, Aligner, DataError, Encoder, Stream
from xm.alignment import Pairs, Sides
from xm.encoders import FeatureStore, Tail, make_encoder
from xm.evaluation import mean_std, retrieve
from xm.foundation import cache_dir
from xm.learning import EMBEDDING, Inputs, class_means
from xm.plugins import manager

SHARED = {
    "rooster": "009 - Rooster",
    "dalmatian": "001 - Dog bark",
    "helicopter": "007 - Helicopter",
    "watch": "005 - Clock tick",
    "face": "006 - Person sneeze",
    "ketch": "003 - Sea waves",
}
"""Caltech-101's class and ESC-10's folder of each of the six classes."""

FOLDS = {"train": "123", "val": "4", "test": "5"}
"""ESC's folds, whole, in each split."""

IMAGES = {"train": 24, "val": 10, "test": 15}
"""Images of a class in each split, at most: what the smallest class has."""

STRENGTH = 10.0
"""Inverse strength of the probe's penalty, on unit vectors."""

SPLITS = ("train", "val", "test")
Items = dict[str, list[tuple[Any, int]]]
"""By split, items and their classes."""


@dataclass(frozen=True)
class Task:
    """One set, embedded.

    Attributes:
        image: by split, trunk outputs and classes.
        audio: likewise.
        pairs: of a seed, with their classes as groups.
        chance: R@1 of a guess.
    """

    name: str
    source: Encoder
    target: Encoder
    image: Mapping[str, Stream]
    audio: Mapping[str, Stream]
    pairs: Callable[[int], Pairs]
    chance: float

    def context(self, seed: int, grouped: bool) -> AlignContext:
        """What an aligner gets."""
        namer = make_encoder("minilm", manager(), torch.device("cpu"))
        pairs = self.pairs(seed)
        given = pairs if grouped else replace(pairs, group=None)
        return AlignContext(self.source, self.target, namer, given, features, seed=seed)


def features(encoder: Encoder, items: Sequence[Any]) -> Inputs:
    """Trunk outputs, cached."""
    return FeatureStore(cache_dir() / "features", strict=True).features(encoder, items).x


def streams(encoder: Encoder, items: Items) -> dict[str, Stream]:
    """By split."""
    return {
        split: Stream(encoder.modality, features(encoder, [i for i, _ in some]), torch.tensor([y for _, y in some]))
        for split, some in items.items()
    }


def digits() -> Task:
    """The default data, and its own pairs."""
    from xm_digits.dataset import open_digits

    dataset = open_digits("digits", suffixes={}, cache=cache_dir())
    image, audio = (make_encoder(name, manager(), torch.device("cpu")) for name in ("pixels", "logmel"))
    items: dict[str, Items] = {m: {split: [] for split in SPLITS} for m in ("image", "audio", "text")}
    paired: dict[str, dict[str, Any]] = {"image": {}, "audio": {}}
    labels: dict[str, int | None] = {}
    for sample in dataset.samples:
        if sample.pair is not None:
            paired[sample.modality][sample.pair] = sample.item
            labels[sample.pair] = sample.label
        elif sample.split in SPLITS and sample.label is not None:
            items[sample.modality][sample.split].append((sample.item, sample.label))
    names = sorted(paired["image"])
    heard, seen = (features(e, [paired[e.modality][name] for name in names]) for e in (audio, image))
    pairs = Pairs(heard, seen, torch.tensor([labels[name] for name in names]))
    return Task(
        "digits", audio, image, streams(image, items["image"]), streams(audio, items["audio"]), lambda seed: pairs, 0.1
    )


def caltech_esc(data: Path, per_class: int) -> Task:
    """Six classes; pairs are drawn by seed, `per_class` of each."""
    image, audio = (make_encoder(name, manager(), torch.device("cpu")) for name in ("efficientnet-lite0", "yamnet"))
    split_file = data / "caltech-101/split_zhou_Caltech101.json"
    if not split_file.is_file():
        raise DataError(
            f"{split_file}: no such file; point --data or XM_DATA to the folder of caltech-101/ and esc-10/"
        )
    splits = json.loads(split_file.read_text(encoding="utf-8"))
    seen: Items = {split: [] for split in SPLITS}
    heard: Items = {split: [] for split in SPLITS}
    for y, (name, folder) in enumerate(SHARED.items()):
        for split in SPLITS:
            paths = [data / "caltech-101/101_ObjectCategories" / row[0] for row in splits[split] if row[2] == name]
            there = [path for path in paths if path.is_file()][: IMAGES[split]]
            seen[split] += [(path, y) for path in there]
            clips = sorted((data / "esc-10" / folder).glob(f"[{FOLDS[split]}]-*.ogg"))
            heard[split] += [(path, y) for path in clips]
    images, sounds = streams(image, seen), streams(audio, heard)

    def pairs(seed: int) -> Pairs:
        drawn = [draw(stream["train"].labels, per_class, seed) for stream in (sounds, images)]
        return Pairs(sounds["train"][drawn[0]].x, images["train"][drawn[1]].x, images["train"].labels[drawn[1]])

    return Task(f"caltech-esc, {6 * per_class} pairs", audio, image, images, sounds, pairs, 1 / 6)


def draw(y: Tensor, count: int, seed: int) -> Tensor:
    """Rows of `count` samples of each class, in order of class."""
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.nonzero(y == label)[:, 0] for label in torch.unique(y)]
    return torch.cat([own[torch.randperm(len(own), generator=generator)[:count]] for own in rows])


@dataclass(frozen=True)
class Row:
    """An aligner with settings.

    Attributes:
        grouped: the pairs' classes are said, as with weak pairs: pairs of a class belong together crosswise.
    """

    aligner: str
    settings: Mapping[str, Any]
    grouped: bool = False

    @property
    def name(self) -> str:
        """As a user would type it."""
        words = [self.aligner, *(f"{key}={value}" for key, value in self.settings.items())]
        return " ".join(words) + (", groups" if self.grouped else "")


def rows() -> Iterator[Row]:
    """What is compared: every objective of pairs that is installed is one of contrastive's."""
    yield Row("names", {})
    yield Row("ridge", {})
    yield Row("ridge", {"alphas": [0.1]})
    yield Row("cca", {})
    yield Row("cca", {"sides": "both"})
    yield Row("cca", {"sides": "both", "dim": 8})
    for name in sorted(spec.name for spec in manager().objectives.values() if spec.pairs):
        yield Row("contrastive", {"objective": name})
    if "supcon" in manager().objectives:
        yield Row("contrastive", {"objective": "supcon"}, grouped=True)
    yield Row("contrastive", {"start": "orthogonal", "lr": 0.01})
    yield Row("contrastive", {"val": 0.2})
    yield Row("contrastive", {"map": "adapter"})
    yield Row("contrastive", {"sides": "both"})
    yield Row("contrastive", {"sides": "both", "steps": 1000, "lr": 1e-3})


def measure(task: Task, row: Row, seed: int, on: str) -> dict[str, float] | None:
    """Figures on a split, or None where the aligner does not apply.

    R@1: a candidate of the query's class comes first, mean of both ways. rank: the median rank of the first of them.
    transfer: images by the centroids of all train sounds. probe: images by a linear classifier of all train images.
    """
    aligner: Aligner = manager().aligners.find(row.aligner).load()(row.settings)
    context = task.context(seed, row.grouped)
    if aligner.why_not(context):
        return None
    sides = aligner.sides(context)
    image, audio = task.image[on], task.audio[on]
    x, y = _mapped(sides, audio), _mapped(sides, image)
    ways = [retrieve(x, y, audio.labels, image.labels), retrieve(y, x, image.labels, audio.labels)]
    return {
        "R@1": 50 * sum(way.r1 for way in ways),
        "rank": sum(way.median_rank for way in ways) / 2,
        "transfer": _nearest(_mapped(sides, task.audio["train"]), task.audio["train"].labels, y, image.labels),
        "probe": _probe(sides, task.image["train"], y, image.labels),
    }


def _mapped(sides: Sides, stream: Stream) -> Tensor:
    """Unit vectors of the common space."""
    way = sides.source if stream.modality == "audio" else sides.target or Tail()
    with torch.no_grad():
        return normalize(way(stream.x), dim=1)


def _probe(sides: Sides, train: Stream, x: Tensor, y: Tensor) -> float:
    """Accuracy in % of logistic regression on all of train."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit(_mapped(sides, train).numpy(), train.labels.numpy())
    return 100 * float(model.score(x.numpy(), y.numpy()))


def _nearest(train: Tensor, labels: Tensor, x: Tensor, y: Tensor) -> float:
    """Accuracy in % of the nearest class mean."""
    means = class_means(Stream("", {EMBEDDING: train}, labels), int(labels.max()) + 1)
    return 100 * float(((x @ means.T).argmax(dim=1) == y).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Aligners on pairs of image and sound.")
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="default: XM_DATA")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--per-class", default="2,8", help="pairs of a class in caltech-esc")
    parser.add_argument("--on", choices=("val", "test"), default="test")
    parser.add_argument("--rows", default="", metavar="TEXT", help="those rows alone that have it in their name")
    parser.add_argument("--json", action="store_true", help="end in one line of JSON")
    given = parser.parse_args()
    seeds, counts = ([int(part) for part in text.split(",")] for text in (given.seeds, given.per_class))
    tasks = [digits(), *(caltech_esc(Path(given.data), count) for count in counts if given.data)]
    found: list[dict[str, Any]] = []
    for task in tasks:
        print(f"\n{task.name} (chance {100 * task.chance:.0f} %), {given.on}, mean of {len(seeds)} seeds", flush=True)
        print(f"{'':<36}{'R@1':>14}{'median rank':>14}{'transfer':>14}{'probe':>14}")
        for row in (row for row in rows() if given.rows in row.name):
            each = [one for seed in seeds if (one := measure(task, row, seed, given.on))]
            if each:
                cells = {name: mean_std([one[name] for one in each]) for name in each[0]}
                shown = [f"{mean:.1f} ± {std:.1f}" for mean, std in cells.values()]
                print(f"{row.name:<36}" + "".join(f"{cell:>14}" for cell in shown), flush=True)
                found.append({"task": task.name, "row": row.name, "on": given.on, "seeds": seeds, "figures": cells})
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
