"""How class names should enter an image encoder's space: the figures of docs/architecture.md.

Caltech-101, the published few-shot draws and the whole published test split (CoOp's), EfficientNet-Lite0 and MiniLM.
Every row is the linear probe with its default settings, its penalty picked on the draw's own val.

    python benchmarks/text_path.py --data ../shared/data --shots 1,4 --seeds 1,2,3

The data folder (default: XM_DATA) holds caltech-101/ with 101_ObjectCategories/, few_shot/shot_N-seed_S.json and
split_zhou_Caltech101.json. Features go to the cache (XM_CACHE): the first run takes minutes, later ones seconds.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import AlignContext, Context, DataError, Encoder, Stream
from xm.alignment import ridge
from xm.encoders import FeatureStore, Tail, make_encoder
from xm.evaluation import mean_std
from xm.foundation import cache_dir
from xm.learning import EMBEDDING, Inputs, Tower, Towers, adapt, class_means
from xm.plugins import manager

ALPHAS = tuple(10.0**k for k in range(-2, 4))
"""Regularisers of the linear ridge regression; leave-one-out error picks one."""


@dataclass(frozen=True)
class Draw:
    """One published draw, embedded."""

    train: Stream
    val: Stream
    test: Stream


class Caltech:
    """The published splits, read and embedded with the offline encoders."""

    def __init__(self, data: Path) -> None:
        self.root = data / "caltech-101"
        self.image = make_encoder("efficientnet-lite0", manager(), torch.device("cpu"))
        self.text = make_encoder("minilm", manager(), torch.device("cpu"))
        self.store = FeatureStore(cache_dir() / "features", strict=True)
        rows = self._json("split_zhou_Caltech101.json")["test"]
        self.classes = tuple(name.replace("_", " ") for _, name in sorted({(label, name) for _, label, name in rows}))
        self.test = self._stream(rows)

    def _json(self, name: str) -> Any:
        path = self.root / name
        if not path.is_file():
            raise DataError(f"{path}: no such file; point --data or XM_DATA to the folder that holds caltech-101/")
        return json.loads(path.read_text(encoding="utf-8"))

    def _stream(self, rows: Sequence[tuple[str, int, str]]) -> Stream:
        x = self.features(self.image, [self.root / "101_ObjectCategories" / path for path, _, _ in rows])
        return Stream("image", {EMBEDDING: Tail()(x)}, torch.tensor([label for _, label, _ in rows]))

    def features(self, encoder: Encoder, items: Sequence[Any]) -> Inputs:
        """Trunk outputs, cached."""
        return self.store.features(encoder, items).x

    def draw(self, shots: int, seed: int) -> Draw:
        """The published draw."""
        found = self._json(f"few_shot/shot_{shots}-seed_{seed}.json")
        return Draw(self._stream(found["train"]), self._stream(found["val"]), self.test)

    def kernel(self) -> nn.Module:
        """The map of the aligner `names`: kernel ridge regression."""
        context = AlignContext(self.text, self.image, self.text, None, self.features)
        made: nn.Module = manager().aligners.find("names").load()().fit(context)
        return made

    def linear(self) -> nn.Module:
        """Linear ridge regression from name embeddings to the same centred rows."""
        prototypes = self.image.prototypes()
        assert prototypes is not None
        rows = normalize(prototypes.weight - prototypes.weight.mean(dim=0), dim=1)
        return nn.Sequential(Tail(), ridge(Tail()(self.features(self.text, list(prototypes.names))), rows, ALPHAS))

    def names(self, way: nn.Module) -> Stream:
        """The class names in the image encoder's space, a sample each."""
        with torch.no_grad():
            embedding = normalize(way(self.features(self.text, list(self.classes))), dim=1)
        return Stream("text", {EMBEDDING: embedding}, torch.arange(len(self.classes)))


def probe(caltech: Caltech, names: Stream | None, draw: Draw, pull: str = "zero") -> float:
    """Test accuracy of the linear probe."""
    context = Context(
        classes=caltech.classes,
        target="image",
        dim=caltech.image.dim,
        train={"image": draw.train} | ({"text": names} if names else {}),
        val=draw.val,
        named=frozenset({"text"} if names else ()),
        towers=Towers({"image": Tower(Tail()), "text": Tower(Tail())}),
    )
    model = adapt(manager().strategies.find("linear").load()({"pull": pull}), context)
    return accuracy(model.get_parameter("weight"), draw.test)


def centred_probe(caltech: Caltech, names: Stream, draw: Draw) -> float:
    """`probe` with images centred by the train images' mean, names by their own."""
    mean = draw.train.x[EMBEDDING].mean(dim=0)
    moved = Draw(*(centred(stream, mean) for stream in (draw.train, draw.val, draw.test)))
    return probe(caltech, centred(names, names.x[EMBEDDING].mean(dim=0)), moved)


def centred(stream: Stream, mean: Tensor) -> Stream:
    """The stream with `mean` taken off, at unit length again."""
    return Stream(stream.modality, {EMBEDDING: normalize(stream.x[EMBEDDING] - mean, dim=1)}, stream.y)


def zero_shot(caltech: Caltech, names: Stream, draw: Draw) -> float:
    """Test accuracy of the names alone."""
    return accuracy(class_means(names, len(caltech.classes)), draw.test)


def accuracy(weight: Tensor, test: Stream) -> float:
    """0..1, of a linear classifier."""
    assert test.y is not None
    return float(((test.x[EMBEDDING] @ weight.T).argmax(dim=1) == test.y).float().mean())


def rows(caltech: Caltech) -> Iterator[tuple[str, Callable[[Draw], float]]]:
    """What is compared, by name."""
    yield "image alone", partial(probe, caltech, None)
    for name, way in (("linear ridge", caltech.linear()), ("kernel ridge", caltech.kernel())):
        names = caltech.names(way)
        yield f"names alone, {name}", partial(zero_shot, caltech, names)
        yield f"image + text, {name}", partial(probe, caltech, names)
        yield f"image + text, {name}, centred", partial(centred_probe, caltech, names)
        yield f"image + text, {name}, pull=init", partial(probe, caltech, names, pull="init")


def main() -> None:
    parser = argparse.ArgumentParser(description="Ways of class names into an image space, on Caltech-101.")
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="default: XM_DATA")
    parser.add_argument("--shots", default="1,4")
    parser.add_argument("--seeds", default="1,2,3")
    given = parser.parse_args()
    if given.data is None:
        parser.error("name the data folder with --data or XM_DATA")
    shots, seeds = ([int(part) for part in text.split(",")] for text in (given.shots, given.seeds))
    caltech = Caltech(Path(given.data))
    draws = {count: [caltech.draw(count, seed) for seed in seeds] for count in shots}
    print(f"{'accuracy in %, mean ± std over ' + str(len(seeds)) + ' draws':<40}" + "".join(f"{k:>14}" for k in shots))
    for name, measure in rows(caltech):
        cells = [mean_std([100 * measure(draw) for draw in draws[count]]) for count in shots]
        print(f"{name:<40}" + "".join(f"{f'{mean:.1f} ± {std:.1f}':>14}" for mean, std in cells), flush=True)


if __name__ == "__main__":
    main()
