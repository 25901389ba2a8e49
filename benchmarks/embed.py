"""`xm embed` against the bare model: images and sounds a second, in one run.

The bare model computes prepared inputs that lie in memory, in batches of the encoder's own size, with as many
threads; what `xm embed` adds is reading and decoding files, and writing the bank. For `efficientnet-lite0` the
package's own network, as it is, in eager PyTorch, is in the table too.

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
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

import xm
from xm.data.types import Dataset, Sample
from xm.encoder import Encoder, Preparing
from xm.encoders import make_encoder
from xm.events import silent
from xm.plugins import manager
from xm.specs import DatasetSpec

ENCODERS = {
    "openclip:ViT-B-32/random:0": ("image", "caltech-101/101_ObjectCategories", "*/*.jpg"),
    "efficientnet-lite0": ("image", "caltech-101/101_ObjectCategories", "*/*.jpg"),
    "yamnet": ("audio", "esc-10", "*/*.ogg"),
}
"""References, and their modality and files."""

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
        ratio: ours over bare, the median of rounds.
        eager: the network as published, in eager PyTorch; None if it is the bare model.
    """

    encoder: str
    items: int
    bare: float
    ours: float
    ratio: float
    eager: float | None = None


def bare(encoder: Encoder, files: Sequence[Path]) -> Callable[[], None]:
    """Computes what was prepared before."""
    if not isinstance(encoder, Preparing):
        raise SystemExit(f"{type(encoder).__name__} does not read apart from computing")
    prepared = [encoder.prepare(path) for path in files]
    size = encoder.batch_size

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(prepared), size):
                encoder.compute(prepared[start : start + size])

    return run


def eager(files: Sequence[Path], encoder: Encoder) -> Callable[[], None]:
    """The published network on the same pixels."""
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]

    assert isinstance(encoder, Preparing)
    pixels = torch.stack([encoder.prepare(path) for path in files])
    model = EfficientNet.from_name("efficientnet-lite0").eval()

    def run() -> None:
        with torch.inference_mode():
            for start in range(0, len(pixels), encoder.batch_size):
                model(pixels[start : start + encoder.batch_size])

    return run


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def measured(reference: str, files: Sequence[Path], rounds: int) -> Row:
    """Alternating rounds of the bare model and of `xm embed`, after a warm-up of both."""
    CHOSEN[:] = files
    encoder = make_encoder(reference, manager(), torch.device("cpu"))
    model = bare(encoder, files)
    plain = eager(files[:100], encoder) if reference == "efficientnet-lite0" else None
    times: dict[str, list[float]] = {"bare": [], "ours": [], "eager": []}

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "bank.safetensors"
            encoders = {encoder.modality: reference}
            xm.embed("chosen", out, listener=silent, modalities=tuple(encoders), encoders=encoders, device="cpu")

    encoder.encode(files[: encoder.batch_size])
    for _ in range(rounds):
        times["bare"].append(seconds(model))
        times["ours"].append(seconds(ours))
        if plain is not None:
            times["eager"].append(seconds(plain) * len(files) / 100)
    n = len(files)
    ratios = [one / other for one, other in zip(times["bare"], times["ours"], strict=True)]
    rates = {name: n / median(found) for name, found in times.items() if found}
    return Row(reference, n, rates["bare"], rates["ours"], median(ratios), rates.get("eager"))


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
        rows.append(measured(reference, files[::step][: options.items], options.rounds))
        row = rows[-1]
        told = f"{row.encoder}: bare {row.bare:.1f}, xm embed {row.ours:.1f} a second, ratio {row.ratio:.3f}"
        print(told + (f"; as published {row.eager:.1f}, {row.ours / row.eager:.1f} times" if row.eager else ""))
    if options.json:
        first = next((row for row in rows if row.encoder.startswith("openclip")), rows[0])
        print(
            json.dumps(
                {"ratio": round(first.ratio, 4), "threads": torch.get_num_threads(), "rows": [*map(asdict, rows)]}
            )
        )


if __name__ == "__main__":
    main()
