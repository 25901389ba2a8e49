"""Why CroMA is ahead of plain alignment or not, and how well it retrieves: tables of docs/croma.md, in Markdown.

    XM_DATA=... python benchmarks/croma.py

One setting at a time, on class splits that no other table uses: accuracy in % at 1 and 5 shots, means over the seeds.

    XM_DATA=... python benchmarks/croma.py --retrieval [--steps 5] [--pairs 0,5,10] [--json]

Retrieval of the target's items of new classes by the source's, after a few pairs of each class (the paper's second
table): mean and standard deviation over the seeds. With --json the last line is all figures as JSON.

    XM_DATA=... python benchmarks/croma.py --trials

What its settings were chosen by: R@1 in % of each, on the class splits of the first table.

Features are read from the cache (XM_CACHE).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from statistics import fmean
from typing import Any

import torch

from xm.encoders import FeatureStore
from xm.evaluation import mean_std
from xm.foundation import cache_dir, threads
from xm.learning import make_pair_objective
from xm.plugins import PluginManager, manager
from xm_aligners.croma import retrieval
from xm_aligners.croma.approaches import APPROACHES
from xm_aligners.croma.draws import Draw, draw
from xm_aligners.croma.features import Featured, featured
from xm_aligners.croma.few_shot import adapt
from xm_aligners.croma.model import MetaModel
from xm_aligners.croma.settings import ApproachConfig
from xm_aligners.croma.tasks import FEATURES
from xm_aligners.croma.tuned import RETRIEVAL, TUNED
from xm_aligners.croma.worlds import WORLDS, data_folder

SHOTS = (1, 5)
SUPPORTS = 5
VALIDATION = (101, 102, 103)
TESTED = tuple(range(1, 11))
"""Seeds of class splits: settings are chosen on the former, tables are of the latter."""

START_RATES = (3e-4, 1e-3, 3e-3, 1e-2)
FEW_RATES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
TRIAL_PAIRS = (5, 10)
"""What the trials go through: rates of a start that is trained, and of the steps on few pairs."""

METRICS = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "rank", "cosine": "cosine distance"}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what differs.
        approach: of which.
        changes: settings, over the tuned ones.
        zeros: few-shot learning starts from a classifier of zeros.
    """

    name: str
    approach: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    zeros: bool = False


def rows() -> Iterator[Row]:
    """All lines, the tuned settings first."""
    inner = int(TUNED["croma"].get("inner_steps", 5))
    yield Row("align-classify, tuned", "align-classify")
    for rows in ("random", "tasks"):
        for rate in (1e-3, 3e-3, 1e-2):
            changes = {"rows": rows, "adapt_lr": rate}
            yield Row(f"align-classify, rows={rows}, few-shot learning at {rate:g}", "align-classify", changes)
    yield Row("croma, tuned", "croma")
    yield Row("croma, rows of zero instead of the meta-classifier's", "croma", zeros=True)
    for name in ("align-classify", "croma"):
        for steps in (150, 2400):
            yield Row(f"{name}, {steps} steps instead of 600", name, {"iterations": steps // inner})
    for epsilon in (0.1, 1.0):
        yield Row(f"croma, epsilon {epsilon:g}", "croma", {"epsilon": epsilon})
    for ways in (3, 11):
        yield Row(f"croma, alignment tasks of {ways} classes", "croma", {"align_ways": ways})
    yield Row("croma, 30 inner steps, as many in all", "croma", {"inner_steps": 30, "iterations": 20})


def measured(row: Row, world: Featured, seed: int, plugins: PluginManager) -> dict[int, float]:
    """Accuracy by shots on one draw."""
    config = ApproachConfig.model_validate({**TUNED[row.approach], **row.changes})
    drawn = draw(world, seed)
    objective = make_pair_objective(config.objective, config.objective_set, plugins)
    start = APPROACHES[row.approach](drawn.data, objective, config, seed)
    if row.zeros:
        start = replace(start, head=torch.zeros_like(start.head))
    found: dict[int, float] = {}
    for shots in SHOTS:
        values = []
        for support in drawn.supports(shots, SUPPORTS, seed):
            model = adapt(start, support, config, seed)
            with torch.no_grad():
                right = model(drawn.query.x[FEATURES]).argmax(dim=1) == drawn.query.labels
            values.append(float(right.float().mean()))
        found[shots] = fmean(values)
    return found


def features(plugins: PluginManager) -> dict[str, Featured]:
    """Both tasks' features, by name."""
    store = FeatureStore(cache_dir() / "features")
    return {name: featured(make(data_folder()), {}, store, plugins) for name, make in WORLDS.items()}


def study(seeds: Sequence[int]) -> Iterator[str]:
    """The lines of the table on CroMA's settings, as they are measured."""
    plugins = manager()
    worlds = features(plugins)
    yield f"| | {' | '.join(f'{name}, {shots} shots' for name in worlds for shots in SHOTS)} |"
    yield "|---|" + "---|" * (len(worlds) * len(SHOTS))
    for row in rows():
        cells = []
        for world in worlds.values():
            found = [measured(row, world, seed, plugins) for seed in seeds]
            cells += [f"{100 * fmean(one[shots] for one in found):.1f}" for shots in SHOTS]
        yield f"| {row.name} | {' | '.join(cells)} |"


def started(name: str, config: ApproachConfig, drawn: Draw, seed: int, plugins: PluginManager) -> MetaModel:
    """The encoders that an approach of retrieval begins the new task with."""
    objective = make_pair_objective(config.objective, config.objective_set, plugins)
    return retrieval.APPROACHES[name].start(drawn.data, objective, config, seed)


def retrieved(seeds: Sequence[int], pairs: Sequence[int], steps: int) -> Iterator[dict[str, Any]]:
    """A record for each task, approach, number of pairs and gallery: by metric, one value a seed."""
    plugins = manager()
    for world, found in features(plugins).items():
        for name, approach in retrieval.APPROACHES.items():
            config = ApproachConfig.model_validate(dict(RETRIEVAL[steps][name]))
            values: dict[tuple[int, str], list[dict[str, float]]] = {}
            for seed in seeds:
                drawn = draw(found, seed)
                start = started(name, config, drawn, seed, plugins)
                for shots in pairs:
                    measured = retrieval.measured(approach, start, drawn, shots, SUPPORTS, config, seed)
                    for gallery, metrics in measured.items():
                        values.setdefault((shots, gallery), []).append(metrics)
            for (shots, gallery), each in values.items():
                by_metric = {metric: [metrics[metric] for metrics in each] for metric in METRICS}
                yield {"task": world, "approach": name, "pairs": shots, "gallery": gallery, **by_metric}


def retrieval_table(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each record, in the order of the paper's table."""
    yield f"| task | gallery | pairs | approach | {' | '.join(METRICS.values())} |"
    yield "|---|---|---|---|" + "---|" * len(METRICS)
    places = ("task", "gallery", "pairs")
    order = {name: [record[name] for record in records] for name in places}
    for record in sorted(records, key=lambda record: [order[name].index(record[name]) for name in places]):
        cells = [str(record[name]) for name in (*places, "approach")]
        cells += [_figure(metric, record[metric]) for metric in METRICS]
        yield f"| {' | '.join(cells)} |"


def _figure(metric: str, values: Sequence[float]) -> str:
    mean, std = mean_std(values)
    if metric == "cosine":
        return f"{mean:.2f} ± {std:.2f}"
    percent = 1 if metric == "median_rank" else 100
    return f"{percent * mean:.1f} ± {percent * std:.1f}"


def trials(seeds: Sequence[int]) -> Iterator[str]:
    """R@1 of all settings that were tried for retrieval: means over tasks, seeds, numbers of pairs and galleries."""
    plugins = manager()
    worlds = features(plugins)
    yield "| approach | rate of the start | steps on few pairs | their rate | R@1 |"
    yield "|---|---|---|---|---|"
    for name, approach in retrieval.APPROACHES.items():
        trained = name in ("align", "croma")
        for align_lr in START_RATES if trained else START_RATES[:1]:
            starts = []
            base = {**RETRIEVAL[5][name], "align_lr": align_lr}
            for world, seed in product(worlds.values(), seeds):
                drawn = draw(world, seed)
                config = ApproachConfig.model_validate(base)
                starts.append((drawn, started(name, config, drawn, seed, plugins), seed))
            for steps, rate in product(RETRIEVAL, FEW_RATES) if approach.learns else [(0, 0.0)]:
                config = ApproachConfig.model_validate({**base, "adapt_steps": steps, "adapt_lr": rate or 1.0})
                found = [
                    metrics["r1"]
                    for (drawn, start, seed), shots in product(starts, TRIAL_PAIRS)
                    for metrics in retrieval.measured(approach, start, drawn, shots, SUPPORTS, config, seed).values()
                ]
                of_start = f"{align_lr:g}" if trained else "-"
                yield f"| {name} | {of_start} | {steps} | {rate:g} | {100 * fmean(found):.1f} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--retrieval", action="store_true", help="the table on retrieval")
    parser.add_argument("--trials", action="store_true", help="what its settings were chosen by")
    parser.add_argument("--seeds", type=_numbers, help="of class splits; 101 to 103, for --retrieval 1 to 10")
    parser.add_argument("--pairs", type=_numbers, default=(0, 5, 10), help="of each class, for --retrieval")
    parser.add_argument("--steps", type=int, choices=tuple(RETRIEVAL), default=50, help="on them, for --retrieval")
    parser.add_argument("--json", action="store_true", help="end with the figures of --retrieval, on one line")
    given = parser.parse_args()
    with threads(1):  # matrices are small
        if given.retrieval:
            records = list(retrieved(given.seeds or TESTED, given.pairs, given.steps))
            print("\n".join(retrieval_table(records)))
            if given.json:
                print(json.dumps({"steps": given.steps, "seeds": given.seeds or TESTED, "results": records}))
            return
        for line in (trials if given.trials else study)(given.seeds or VALIDATION):
            print(line, flush=True)


def _numbers(given: str) -> tuple[int, ...]:
    return tuple(int(number) for number in given.split(","))


if __name__ == "__main__":
    main()
