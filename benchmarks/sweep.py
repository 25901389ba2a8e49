"""The linear probe against the published loop (Lin et al., CVPR 2023), on the same features, in one run.

    python benchmarks/sweep.py --quick
    python benchmarks/sweep.py --sets 5
    python benchmarks/sweep.py --data ../shared/data --sets 3
    python benchmarks/sweep.py --imagenet

The published loop is written down here in plain PyTorch: 2 learning rates x 3 weight decays x 2 batch sizes x 12,800
steps, of which val picks the best head. It gets one thread (--threads), with which it is fastest on a busy machine; xm
gets what it takes by default. --quick runs 1,000 steps for each batch size and extrapolates the seconds. --imagenet
runs nothing but xm's L-BFGS, on 1,000 classes x (16 images + 7 texts), for its time and memory.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, product, repeat
from pathlib import Path
from statistics import mean, median, stdev

import torch
from features import Features, caltech, pair, synthetic
from sklearn.linear_model import LogisticRegression
from text_path import accuracy
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.data import DataLoader, TensorDataset

from xm import Context
from xm.encoders import Tail
from xm.foundation import threads
from xm.learning import EMBEDDING, PENALTIES, LinearProbe, Tower, Towers, adapt, class_means

RATES, DECAYS, BATCH_SIZES, STEPS = (1e-3, 1e-4), (0.0, 0.01, 1e-4), (8, 32), 12_800
SCALE, WARMUP, EVAL_EVERY = math.exp(4.60517), 50, 100
QUICK = 1000
"""Steps of --quick, and of every timing of single steps."""


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


def adamw(here: Features, steps: int = STEPS) -> Tensor:
    """The weights of xm's AdamW sweep of so many steps."""
    return probe(here, {"solver": "adamw", "steps": steps})


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


def peak(imagenet: bool) -> tuple[float, float, float]:
    """Of xm's L-BFGS in a fresh process: most resident megabytes beyond what was there, the features', and seconds."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    here = synthetic(0, classes=1000, texts=7) if imagenet else synthetic(0)
    probe(synthetic(0, classes=10, shots=2, dim=64), {})
    if not os.access(reset, os.W_OK):
        return math.nan, here.megabytes, seconds(lambda: probe(here, {}))
    reset.write_text("5")
    before = status.read_text()
    spent = seconds(lambda: probe(here, {}))
    kilobytes = [int(t.split(key)[1].split()[0]) for t, key in ((before, "VmRSS:"), (status.read_text(), "VmHWM:"))]
    return (kilobytes[1] - kilobytes[0]) * 1024 / 1e6, here.megabytes, spent


@dataclass(frozen=True)
class Timing:
    """One feature set, by row: seconds of a sweep and of a step, test accuracies of what ran to its end."""

    seconds: dict[str, float]
    steps: dict[str, float]
    accuracies: dict[str, float]


PUBLISHED, LBFGS, ADAMW, SCIKIT = "published loop", "xm, lbfgs", "xm, adamw", "scikit-learn"
WIDTHS = (11, 14, 11, 17, 28, 15)
CONFIGURATIONS = len(RATES) * len(DECAYS) * len(BATCH_SIZES)


def measure(here: Features, quick: bool, published_threads: int) -> Timing:
    """Every row on one feature set. The rows follow each other, so that they meet the same load."""
    made, spent, steps = dict[str, Tensor](), dict[str, float](), dict[str, float]()

    def timed(name: str, run: Callable[[Features], Tensor]) -> None:
        spent[name] = seconds(lambda: made.__setitem__(name, run(here)))

    def extrapolated(name: str, steps_run: int, run: Callable[[], object]) -> None:
        steps[name] = seconds(run) / steps_run
        spent[name] = steps[name] * CONFIGURATIONS * STEPS

    timed(LBFGS, lambda here: probe(here, {}))
    with threadpool_limits(1, "blas"):
        timed(SCIKIT, scikit_learn)
    extrapolated(ADAMW, QUICK * CONFIGURATIONS, lambda: adamw(here, QUICK))
    with threads(published_threads):
        first = (here, RATES[0], DECAYS[0])
        extrapolated(PUBLISHED, QUICK * 2, lambda: [published(*first, size, QUICK) for size in BATCH_SIZES])
        if not quick:
            timed(PUBLISHED, published_sweep)
    if not quick:
        timed(ADAMW, adamw)
    return Timing(spent, steps, {name: accuracy(weight, here.test) for name, weight in made.items()})


def table(timings: list[Timing], quick: bool) -> str:
    """One row a method: medians of seconds, means of accuracies and of their paired differences to the published."""
    head = ("s a sweep", "times faster", "ms a step", "test accuracy %", "of each set", "difference")
    lines = [f"{'':<16}" + "".join(f"{text:>{width}}" for text, width in zip(head, WIDTHS, strict=True))]
    for name in (PUBLISHED, LBFGS, ADAMW, SCIKIT):
        spent = f"{median(t.seconds[name] for t in timings):.3g}"
        step = f"{1000 * median(t.steps[name] for t in timings):.2f}" if name in timings[0].steps else "–"
        accurate = each = against = "–"
        if name in timings[0].accuracies:
            values = [100 * t.accuracies[name] for t in timings]
            accurate, each = f"{mean(values):.2f}", " ".join(f"{value:.1f}" for value in values)
            against = "–" if quick or name == PUBLISHED else "{:+.2f} ± {:.2f}".format(*difference(timings, name))
        spent = "~" + spent if quick and name in (PUBLISHED, ADAMW) else spent
        cells = (spent, f"{ratio(timings, name):.1f}", step, accurate, each, against)
        lines.append(f"{name:<16}" + "".join(f"{text:>{width}}" for text, width in zip(cells, WIDTHS, strict=True)))
    return "\n".join(lines)


def ratio(timings: list[Timing], name: str) -> float:
    """Seconds of the published loop per second of `name`: the median over feature sets."""
    return median(timing.seconds[PUBLISHED] / timing.seconds[name] for timing in timings)


def difference(timings: list[Timing], name: str) -> tuple[float, float]:
    """The test accuracy minus the published loop's, in points: mean over feature sets, and its standard error."""
    points = [100 * (timing.accuracies[name] - timing.accuracies[PUBLISHED]) for timing in timings]
    return mean(points), (stdev(points) / math.sqrt(len(points)) if len(points) > 1 else math.nan)


def memory(imagenet: bool) -> float:
    """Prints what L-BFGS takes; its peak as a multiple of the features."""
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        most, features, spent = fresh.apply(peak, (imagenet,))
    size = "1,000 classes x (16 images + 7 texts)" if imagenet else "100 classes x (16 images + 1 text)"
    print(f"{LBFGS}, {size} of 1,024 dimensions: {spent:.1f} s, at its peak {most:.0f} MB of resident memory ", end="")
    print(f"beyond the features, which are {features:.1f} MB: {most / features:.1f} times", flush=True)
    return most / features


def main() -> None:
    parser = argparse.ArgumentParser(description="xm's linear probe against the published sweep.")
    add = parser.add_argument
    add("--quick", action="store_true", help=f"{QUICK} steps of the published loop, extrapolated")
    add("--sets", type=int, default=5, help="feature sets; of Caltech-101, published draws (3 exist)")
    add("--first", type=int, default=0, help="seed of the first synthetic set")
    add("--data", type=Path, default=os.environ.get("XM_DATA"), help="adds Caltech-101; default: XM_DATA")
    add("--shots", type=int, default=16, help="of Caltech-101's draws")
    add("--threads", type=int, default=1, help="of the published loop")
    add("--imagenet", action="store_true", help="time and memory of L-BFGS at ImageNet's size, nothing else")
    add("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    if given.imagenet:
        at_imagenet = memory(imagenet=True)
        if given.json:
            print(json.dumps({"peak_over_features_imagenet": round(at_imagenet, 2)}))
        return
    kinds = {"synthetic": [synthetic(given.first + i) for i in range(given.sets)]}
    if given.data is not None:
        kinds[f"caltech-101, {given.shots} shots"] = list(caltech(Path(given.data), given.shots, min(3, given.sets)))
    over = memory(imagenet=False)
    adamw(synthetic(0, classes=10, shots=20, dim=64), 8)  # loads what the first optimiser needs
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
        for key, name in () if given.quick else (("difference", LBFGS), ("difference_adamw", ADAMW)):
            numbers[key] = round(difference(timings, name)[0], 2)
        summary = {**numbers, **summary, kind: numbers}
    if given.quick:
        print(f"~ extrapolated from {QUICK} steps of each batch size to {STEPS} of each configuration")
    if given.json:
        print(json.dumps(summary | {"extrapolated": given.quick, "peak_over_features": round(over, 2)}))


if __name__ == "__main__":
    main()
