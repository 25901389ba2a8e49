"""`xm embed` against the bare model: images and sounds a second, in one run.

The bare model computes prepared inputs that lie in memory, in batches of the encoder's own size, with as many
threads; what `xm embed` adds is reading and decoding files, and writing the bank. "At best" is what the processors
can do at all: as many threads, each of which reads an item and computes it, with nothing else to do. The way that
`--precision auto` would choose for very many items is held against the bare model, for networks in PyTorch. For
`efficientnet-lite0` and `yamnet` the published network in eager PyTorch, float32, is in the table too, bare, and in a
plain script that reads a batch and then computes it.

    python benchmarks/embed.py --data ../shared/data --items 600 [--rounds 3] [--json]

The data folder (default: XM_DATA) holds caltech-101/ and esc-10/. Rounds alternate, and medians count, as other
processes on the machine slow both. With --json the last line is one object; `ratio` is that of open_clip's
ViT-B-32 with random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

import xm
from xm import Dataset, DatasetSpec, Encoder, Preparing, Sample
from xm.encoders import make_encoder, measured
from xm.foundation import autocast, silent
from xm.plugins import manager

ENCODERS = {
    "openclip:ViT-B-32/random:0": ("image", "caltech-101/101_ObjectCategories", "*/*.jpg"),
    "efficientnet-lite0": ("image", "caltech-101/101_ObjectCategories", "*/*.jpg"),
    "yamnet": ("audio", "esc-10", "*/*.ogg"),
}
"""References, and their modality and files."""

MANY = 1000
"""Times the files, for what is worth it only for many."""

SOME = 100
"""Files for the published networks, which are slow."""

THREADS = torch.get_num_threads()

CHOSEN: list[Path] = []
"""Files of the dataset `chosen`."""


def open_chosen(source: str, **_: Any) -> Dataset:
    """The files that are embedded."""
    suffix = CHOSEN[0].suffix
    modality = manager().suffixes()[suffix]
    return Dataset("chosen", ("all",), tuple(Sample(path, modality, 0, "train") for path in CHOSEN))


@dataclass(frozen=True)
class Row:
    """Items a second of one encoder.

    Attributes:
        encoder: its reference.
        items: embedded in a round.
        bare: the model alone.
        ours: `xm embed`.
        best: reading and computing on all processors, with nothing else to do.
        ratio: ours over bare, the median of rounds.
        of_best: ours over best, likewise.
        eager: the network as published, in eager PyTorch; None if it is the bare model.
        script: the same, reading included.
        way: that `--precision auto` chooses; None for networks outside PyTorch.
        auto: the bare model that way.
    """

    encoder: str
    items: int
    bare: float
    ours: float
    best: float
    ratio: float
    of_best: float
    eager: float | None = None
    script: float | None = None
    way: str | None = None
    auto: float | None = None


def bare(encoder: Encoder, files: Sequence[Path], precision: str = "float32") -> Callable[[], None]:
    """Computes what was prepared before."""
    if not isinstance(encoder, Preparing):
        raise SystemExit(f"{type(encoder).__name__} does not read apart from computing")
    prepared = [encoder.prepare(path) for path in files]
    size = encoder.batch_size

    def run() -> None:
        with torch.inference_mode(), autocast(encoder.device, precision):
            for start in range(0, len(prepared), size):
                encoder.compute(prepared[start : start + size])

    return run


def at_best(encoder: Encoder, files: Sequence[Path]) -> Callable[[], None]:
    """Each thread reads an item and computes it alone."""
    assert isinstance(encoder, Preparing)

    def one(path: Path) -> None:
        with torch.inference_mode():
            encoder.compute([encoder.prepare(path)])

    def run() -> None:
        with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(one, files))

    return run


def efficientnet() -> nn.Module:
    """The package's own network, whose weights the encoder has."""
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

    made: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    return made


def yamnet() -> nn.Module:
    """MobileNet v1 on patches (n, 1, 96, 64), as in tensorflow/models, research/audioset/yamnet; random weights."""

    def block(inner: int, outer: int, stride: int, size: int = 3, groups: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False)
        return [conv, nn.BatchNorm2d(outer, eps=1e-4), nn.ReLU()]

    layers = block(1, 32, 2)
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    inner = 32
    for outer, stride in widths:
        layers += [*block(inner, inner, stride, groups=inner), *block(inner, outer, 1, size=1)]
        inner = outer
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 521), nn.Sigmoid())


PUBLISHED = {"efficientnet-lite0": efficientnet, "yamnet": yamnet}


def eager(network: nn.Module, files: Sequence[Path], encoder: Encoder, *, reads: bool) -> Callable[[], None]:
    """The published network on pixels or on sounds' patches, a batch at a time; these are read before, or each time."""
    assert isinstance(encoder, Preparing)
    prepare, model, size = encoder.prepare, network.eval(), encoder.batch_size
    join = torch.stack if encoder.modality == "image" else lambda patches: torch.cat(patches)[:, None]
    batches = [files[i : i + size] for i in range(0, len(files), size)]
    ready = [] if reads else [join([prepare(path) for path in batch]) for batch in batches]

    def run() -> None:
        with torch.inference_mode():
            for batch in ready or (join([prepare(path) for path in batch]) for batch in batches):
                model(batch)

    return run


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compared(reference: str, files: Sequence[Path], rounds: int) -> Row:
    """Alternating rounds of the bare model and of `xm embed`, after a warm-up of both."""
    CHOSEN[:] = files
    encoder = make_encoder(reference, manager(), torch.device("cpu"))
    model = bare(encoder, files)
    best = at_best(encoder, files)
    published = {
        name: eager(PUBLISHED[reference](), files[:SOME], encoder, reads=reads)
        for name, reads in (("eager", False), ("script", True))
        if reference in PUBLISHED
    }
    times: dict[str, list[float]] = {"bare": [], "ours": [], "best": [], "eager": [], "script": [], "auto": []}

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bank.safetensors"
            encoders = {encoder.modality: reference}
            xm.embed("chosen", out, listener=silent, modalities=tuple(encoders), encoders=encoders, device="cpu")

    encoder.encode(files[: encoder.batch_size])
    for _ in range(rounds):
        times["bare"].append(seconds(model))
        times["ours"].append(seconds(ours))
        times["best"].append(seconds(best))
        for name, plain in published.items():
            times[name].append(seconds(plain) * len(files) / len(files[:SOME]))
    n = len(files)
    way = measured(encoder, [*files] * MANY).way if encoder.networks() else None
    if way is not None:
        fast = bare(encoder, files, way.precision)
        with way.of(encoder):
            fast()  # compiles
            for _ in range(rounds):
                times["auto"].append(seconds(fast))
    rates = {name: n / median(found) for name, found in times.items() if found}

    def ratio(of: str) -> float:
        return median(one / ours for one, ours in zip(times[of], times["ours"], strict=True))

    return Row(
        reference,
        n,
        rates["bare"],
        rates["ours"],
        rates["best"],
        ratio("bare"),
        ratio("best"),
        rates.get("eager"),
        rates.get("script"),
        None if way is None else str(way),
        rates.get("auto"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"))
    parser.add_argument("--items", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", action="append", choices=ENCODERS, help="which; else all")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the folder of the data with --data, or set XM_DATA")
    manager().datasets["chosen"] = DatasetSpec(name="chosen", target=f"{__name__}:open_chosen")
    rows = []
    for reference in options.encoder or ENCODERS:
        _, folder, pattern = ENCODERS[reference]
        files = sorted((Path(options.data) / folder).glob(pattern))
        step = max(1, len(files) // options.items)
        rows.append(compared(reference, files[::step][: options.items], options.rounds))
        row = rows[-1]
        told = f"{row.encoder}: bare {row.bare:.1f}, xm embed {row.ours:.1f} a second, ratio {row.ratio:.3f}; "
        told += f"at best {row.best:.1f}, ratio {row.of_best:.3f}"
        told += f"; {row.way}: bare {row.auto:.1f}, {row.auto / row.bare:.2f} times" if row.auto else ""
        if row.eager and row.script:
            told += f"; as published: bare {row.eager:.1f}, {row.bare / row.eager:.1f} times; "
            told += f"in a script {row.script:.1f}, {row.ours / row.script:.1f} times"
        print(told)
    if options.json:
        first = next((row for row in rows if row.encoder.startswith("openclip")), rows[0])
        print(
            json.dumps(
                {"ratio": round(first.ratio, 4), "threads": torch.get_num_threads(), "rows": [*map(asdict, rows)]}
            )
        )


if __name__ == "__main__":
    main()
