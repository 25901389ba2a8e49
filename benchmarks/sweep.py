"""The linear probe against the published loop (Lin et al., CVPR 2023), on the same features, in one run.

    python benchmarks/sweep.py --quick
    python benchmarks/sweep.py --sets 5
    python benchmarks/sweep.py --data ../shared/data --sets 3

The published loop is written down here in plain PyTorch: 2 learning rates x 3 weight decays x 2 batch sizes x 12,800
steps, of which val picks the best head. It gets one thread (--threads), with which it is fastest on a busy machine; xm
gets what it takes by default. --quick runs 500 steps for each batch size and extrapolates the seconds.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, product, repeat
from pathlib import Path
from statistics import mean, median

import torch
from sklearn.linear_model import LogisticRegression
from text_path import Caltech, accuracy
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, TensorDataset

from xm.device import threads
from xm.encoder import Tail
from xm.model import EMBEDDING, Tower, Towers, class_means
from xm.probe import PENALTIES, LinearProbe
from xm.strategy import Context, adapt
from xm.stream import Stream

RATES, DECAYS, BATCH_SIZES, STEPS = (1e-3, 1e-4), (0.0, 0.01, 1e-4), (8, 32), 12_800
SCALE, WARMUP, EVAL_EVERY = math.exp(4.60517), 50, 100
QUICK = 500
"""Steps of --quick, and of every timing of single steps."""


@dataclass(frozen=True)
class Features:
    """One feature set: unit vectors with labels. `text` holds the class names."""

    image: Stream
    text: Stream
    val: Stream
    test: Stream

    @property
    def classes(self) -> int:
        return int(pair(self.text)[1].max()) + 1

    @property
    def megabytes(self) -> float:
        """Of what is trained on."""
        return sum(stream.x[EMBEDDING].nbytes for stream in (self.image, self.text)) / 1e6


def pair(stream: Stream) -> tuple[Tensor, Tensor]:
    assert stream.y is not None
    return stream.x[EMBEDDING], stream.y


def synthetic(seed: int, classes: int = 100, shots: int = 16, dim: int = 1024) -> Features:
    """Classes in groups of ten, noise with a falling spectrum in a basis of its own, names beyond a gap of their own.

    Were that basis the coordinates', AdamW, which scales each by itself, would have it easier than on embeddings.
    """
    generator = torch.Generator().manual_seed(seed)

    def directions(n: int, spectrum: Tensor | float = 1.0) -> Tensor:
        return normalize(torch.randn(n, dim, generator=generator) * spectrum, dim=1)

    groups, falling = directions(-(-classes // 10)), torch.linspace(0, -4, dim).exp()
    centres = normalize(groups.repeat_interleave(10, dim=0)[:classes] + directions(classes), dim=1)
    image_side, text_side = directions(1), directions(1)
    basis, _ = torch.linalg.qr(torch.randn(dim, dim, generator=generator))

    def images(count: int) -> Stream:
        y = torch.arange(classes).repeat_interleave(count)
        x = image_side + 0.5 * centres[y] + 2.2 * directions(len(y), falling) @ basis
        return Stream("image", {EMBEDDING: normalize(x, dim=1)}, y)

    names = normalize(text_side + 0.5 * centres + 0.5 * directions(classes), dim=1)
    return Features(images(shots), Stream("text", {EMBEDDING: names}, torch.arange(classes)), images(4), images(20))


def caltech(data: Path, shots: int, sets: int) -> Iterator[Features]:
    """The published draws of Caltech-101 and its whole test split, names through the aligner `names`."""
    source = Caltech(data)
    names = source.names(source.kernel())
    for seed in range(1, sets + 1):
        draw = source.draw(shots, seed)
        yield Features(draw.train, names, draw.val, draw.test)


def rate(lr: float, step: int) -> float:
    """The published learning rate: 1e-5 at first, linear to the peak, then a cosine that begins after the warm-up."""
    if step < WARMUP:
        return 1e-5 if step == 0 else lr * step / WARMUP
    return lr * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / STEPS))


def published(here: Features, lr: float, decay: float, batch_size: int, steps: int) -> tuple[float, Tensor]:
    """One configuration of the published loop: the first of the best accuracies on val, and the weights then."""
    head = nn.Linear(here.image.x[EMBEDDING].shape[1], here.classes, bias=False)
    head.weight.data = class_means(here.text, here.classes)
    optimiser = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(lr, step) / lr)
    half = batch_size // 2
    images = DataLoader(TensorDataset(*pair(here.image)), batch_size - half, shuffle=True, drop_last=True)
    texts = DataLoader(TensorDataset(*pair(here.text)), half, shuffle=True, drop_last=True)
    val = DataLoader(TensorDataset(*pair(here.val)), batch_size)
    image_batches, text_batches = (chain.from_iterable(repeat(loader)) for loader in (images, texts))
    best, weight = -1.0, head.weight
    for step in range(steps):
        (image, image_y), (text, text_y) = next(image_batches), next(text_batches)
        logits = SCALE * head(normalize(torch.cat([image, text]), dim=1))
        loss = cross_entropy(logits, torch.cat([image_y, text_y]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % EVAL_EVERY == 0:
            with torch.no_grad():
                hits = sum(int((head(normalize(x, dim=1)).argmax(dim=1) == y).sum()) for x, y in val)
            if hits / len(here.val) > best:
                best, weight = hits / len(here.val), copy.deepcopy(head.weight)
    return best, weight.detach()


def published_sweep(here: Features) -> Tensor:
    """The weights of the configuration that is best on val; of equal ones the first."""
    found = [published(here, *one, STEPS) for one in product(RATES, DECAYS, BATCH_SIZES)]
    return max(found, key=lambda one: one[0])[1]


def probe(here: Features, settings: Mapping[str, object]) -> Tensor:
    """The weights of xm's linear probe, picked on val."""
    context = Context(
        classes=tuple(str(index) for index in range(here.classes)),
        target="image",
        dim=here.image.x[EMBEDDING].shape[1],
        train={"image": here.image, "text": here.text},
        val=here.val,
        named=frozenset({"text"}),
        towers=Towers({"image": Tower(Tail()), "text": Tower(Tail())}),
    )
    return adapt(LinearProbe(settings), context).get_parameter("weight").detach()


def adamw_steps(here: Features, batch_size: int) -> Tensor:
    """The first steps of one configuration of xm's loop."""
    one = {"lr": [RATES[0]], "weight_decay": [DECAYS[0]], "batch_size": [batch_size], "steps": QUICK}
    return probe(here, {"solver": "adamw", **one})


def scikit_learn(here: Features) -> Tensor:
    """The same objective and penalties by scikit-learn, each from the one before, picked on val."""
    both = (here.image, here.text)
    x, y = (torch.cat(values).numpy() for values in zip(*map(pair, both), strict=True))
    shares = torch.cat([torch.full((len(s),), 0.5 / len(s)) for s in both]).numpy()
    regression = LogisticRegression(fit_intercept=False, max_iter=1000, warm_start=True)
    path = [regression.set_params(C=1 / penalty).fit(x.astype(float), y, shares).coef_.copy() for penalty in PENALTIES]
    return max((torch.from_numpy(weight).float() for weight in path), key=lambda weight: accuracy(weight, here.val))


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def peak(seed: int) -> float:
    """In a fresh process: megabytes of resident memory that xm's L-BFGS takes at most beyond the features (Linux)."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not os.access(reset, os.W_OK):
        return math.nan
    here = synthetic(seed)
    probe(synthetic(seed, classes=10, shots=2, dim=64), {})
    reset.write_text("5")

    before = status.read_text()
    probe(here, {})
    kilobytes = [int(t.split(key)[1].split()[0]) for t, key in ((before, "VmRSS:"), (status.read_text(), "VmHWM:"))]
    return (kilobytes[1] - kilobytes[0]) * 1024 / 1e6


@dataclass(frozen=True)
class Timing:
    """One feature set, by row: seconds of a sweep and of a step, test accuracies of what ran to its end."""

    seconds: dict[str, float]
    steps: dict[str, float]
    accuracies: dict[str, float]


PUBLISHED, LBFGS, INIT = "published loop", "xm, lbfgs", "xm, lbfgs, pull=init"
ADAMW, SCIKIT = "xm, adamw", "scikit-learn"


def measure(here: Features, quick: bool, published_threads: int) -> Timing:
    """Every row on one feature set. The rows follow each other, so that they meet the same load."""
    made, spent, steps = dict[str, Tensor](), dict[str, float](), dict[str, float]()

    def timed(name: str, run: Callable[[Features], Tensor]) -> None:
        spent[name] = seconds(lambda: made.__setitem__(name, run(here)))

    def extrapolated(name: str, run: Callable[[Features, int], object]) -> None:
        steps[name] = seconds(lambda: [run(here, size) for size in BATCH_SIZES]) / QUICK / len(BATCH_SIZES)
        spent[name] = steps[name] * len(RATES) * len(DECAYS) * len(BATCH_SIZES) * STEPS

    timed(LBFGS, lambda here: probe(here, {}))
    timed(INIT, lambda here: probe(here, {"pull": "init"}))
    with threadpool_limits(1, "blas"):
        timed(SCIKIT, scikit_learn)
    extrapolated(ADAMW, adamw_steps)
    with threads(published_threads):
        extrapolated(PUBLISHED, lambda here, size: published(here, RATES[0], DECAYS[0], size, QUICK))
        if not quick:
            timed(PUBLISHED, published_sweep)
    return Timing(spent, steps, {name: accuracy(weight, here.test) for name, weight in made.items()})


def table(timings: list[Timing], quick: bool) -> str:
    """One row a method: medians of seconds, means of accuracies and of their paired differences to the published."""
    lines = [f"{'':<20}{'s a sweep':>12}{'times faster':>14}{'ms a step':>11}{'test accuracy %':>17}{'difference':>12}"]
    for name in (PUBLISHED, LBFGS, INIT, ADAMW, SCIKIT):
        spent = f"{median(t.seconds[name] for t in timings):.3g}"
        step = f"{1000 * median(t.steps[name] for t in timings):.2f}" if name in timings[0].steps else "–"
        accurate = against = "–"
        if name in timings[0].accuracies:
            accurate = f"{100 * mean(t.accuracies[name] for t in timings):.2f}"
            against = "–" if quick else f"{difference(timings, name):+.2f}"
        spent = "~" + spent if name == ADAMW or (quick and name == PUBLISHED) else spent
        lines.append(f"{name:<20}{spent:>12}{ratio(timings, name):>14.1f}{step:>11}{accurate:>17}{against:>12}")
    return "\n".join(lines)


def ratio(timings: list[Timing], name: str) -> float:
    """Seconds of the published loop per second of `name`: the median over feature sets."""
    return median(timing.seconds[PUBLISHED] / timing.seconds[name] for timing in timings)


def difference(timings: list[Timing], name: str) -> float:
    """Mean over feature sets of the test accuracy minus the published loop's, in points."""
    return 100 * mean(timing.accuracies[name] - timing.accuracies[PUBLISHED] for timing in timings)


def main() -> None:
    parser = argparse.ArgumentParser(description="xm's linear probe against the published sweep.")
    add = parser.add_argument
    add("--quick", action="store_true", help=f"{QUICK} steps of the published loop, extrapolated")
    add("--sets", type=int, default=5, help="feature sets; of Caltech-101, published draws (3 exist)")
    add("--data", type=Path, default=os.environ.get("XM_DATA"), help="adds Caltech-101; default: XM_DATA")
    add("--shots", type=int, default=16, help="of Caltech-101's draws")
    add("--threads", type=int, default=1, help="of the published loop")
    add("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    kinds = {"synthetic": [synthetic(seed) for seed in range(given.sets)]}
    if given.data is not None:
        kinds[f"caltech-101, {given.shots} shots"] = list(caltech(Path(given.data), given.shots, min(3, given.sets)))
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        memory = fresh.apply(peak, (0,))
    adamw_steps(synthetic(0, classes=10, shots=2, dim=64), 8)  # loads what the first optimiser needs
    summary: dict[str, object] = {}
    for kind, sets in kinds.items():
        load = os.getloadavg()[0]
        timings = [measure(here, given.quick, given.threads) for here in sets]
        images, dim = sets[0].image.x[EMBEDDING].shape
        print(
            f"{kind}: {len(sets)} feature sets, {sets[0].classes} classes, {images} images of {dim} dimensions, ",
            end="",
        )
        print(f"{len(sets[0].text)} names; load {load:.1f} to {os.getloadavg()[0]:.1f}")
        print(table(timings, given.quick) + "\n", flush=True)
        per_step = median(t.steps[PUBLISHED] / t.steps[ADAMW] for t in timings)
        numbers = {"ratio": round(ratio(timings, LBFGS), 1), "step_ratio": round(per_step, 2)}
        for key, name in () if given.quick else (("difference", LBFGS), ("difference_pull_init", INIT)):
            numbers[key] = round(difference(timings, name), 2)
        summary = {**numbers, **summary, kind: numbers}
    size = kinds["synthetic"][0].megabytes
    print(f"~ extrapolated from {QUICK} steps of each batch size to {STEPS} of each configuration")
    print(f"peak resident memory of {LBFGS}, synthetic: {memory:.0f} MB beyond the features, which are {size:.1f} MB")
    if given.json:
        summary |= {"extrapolated": given.quick, "peak_over_features": round(memory / size, 2)}
        print(json.dumps(summary))


if __name__ == "__main__":
    main()
