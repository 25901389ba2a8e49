"""Why CroMA is ahead of plain alignment or not: one setting at a time, on class splits that no table uses.

    XM_DATA=... python benchmarks/croma.py --seeds 101,102,103

Prints a Markdown table: accuracy in % at 1 and 5 shots, means over the seeds. Features are read from the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import torch

from xm.device import threads
from xm.files import cache_dir
from xm.objectives import make_pair_objective
from xm.plugins import PluginManager, manager
from xm.store import FeatureStore
from xm_croma.approaches import APPROACHES
from xm_croma.draws import draw
from xm_croma.features import Featured, featured
from xm_croma.few_shot import adapt
from xm_croma.settings import ApproachConfig
from xm_croma.tasks import FEATURES
from xm_croma.tuned import TUNED
from xm_croma.worlds import WORLDS, data_folder

SHOTS = (1, 5)
SUPPORTS = 5


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


def table(seeds: Sequence[int]) -> Iterator[str]:
    """The lines, as they are measured."""
    plugins = manager()
    store = FeatureStore(cache_dir() / "features")
    worlds = {name: featured(make(data_folder()), {}, store, plugins) for name, make in WORLDS.items()}
    yield f"| | {' | '.join(f'{name}, {shots} shots' for name in worlds for shots in SHOTS)} |"
    yield "|---|" + "---|" * (len(worlds) * len(SHOTS))
    for row in rows():
        cells = []
        for world in worlds.values():
            found = [measured(row, world, seed, plugins) for seed in seeds]
            cells += [f"{100 * fmean(one[shots] for one in found):.1f}" for shots in SHOTS]
        yield f"| {row.name} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="101,102,103", help="of class splits")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    with threads(1):  # matrices are small
        for line in table(seeds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
