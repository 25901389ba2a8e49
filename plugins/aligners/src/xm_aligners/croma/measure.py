"""One cell of the benchmarks: an approach on one draw of a task, at all numbers of shots."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xm import Stream, UsageError
from xm.foundation import threads
from xm.learning import Checkpoint, make_pair_objective
from xm.plugins import PluginManager
from xm_aligners.croma.approaches import APPROACHES
from xm_aligners.croma.draws import Draw, draw
from xm_aligners.croma.features import Featured
from xm_aligners.croma.few_shot import Start, adapt, corrupted
from xm_aligners.croma.reptile import number
from xm_aligners.croma.settings import ApproachConfig, TaskConfig
from xm_aligners.croma.tasks import FEATURES


@dataclass(frozen=True)
class Cell:
    """What is measured.

    Attributes:
        approach: by name.
        config: its settings.
        task: the settings of the draw.
        seed: of the draw.
        shots: samples of each class.
    """

    approach: str
    config: ApproachConfig
    task: TaskConfig
    seed: int
    shots: Sequence[int]

    def key(self, featured: Featured) -> dict[str, Any]:
        """All that the outcome depends on, plain values."""
        return {
            "approach": self.approach,
            "config": self.config.model_dump(mode="json"),
            "task": self.task.model_dump(mode="json"),
            "seed": self.seed,
            "shots": list(self.shots),
            "world": featured.digest,
        }


@dataclass(frozen=True)
class Measured:
    """What came out.

    Attributes:
        hits: by shots: (supports, items), whether each query was right.
        classes: the tested ones, in words.
        seconds: of meta-training.
    """

    hits: dict[int, NDArray[np.bool_]]
    classes: tuple[str, ...]
    seconds: float


class Bench:
    """Measures cells. What was meta-trained is kept, since cells may differ in their few-shot labels alone.

    Args:
        plugins: where objectives come from.
    """

    def __init__(self, plugins: PluginManager) -> None:
        self.plugins = plugins
        self._trained: dict[str, tuple[Start, float]] = {}

    def measure(self, cell: Cell, featured: Featured, file: Path) -> Measured:
        """Meta-train and test, or read what `file` holds of the very same cell.

        Raises:
            UsageError: if the file holds another cell.
        """
        kept, key = Checkpoint(file), cell.key(featured)
        found = kept.read()
        if found is not None:
            tensors, values = found
            if values["key"] != key:
                raise UsageError(f"{file}: was made with other settings or data; choose another --out, or remove it")
            hits = {int(name): tensor.numpy() for name, tensor in tensors.items()}
            return Measured(hits, tuple(values["classes"]), values["seconds"])
        with threads(1):  # matrices are small
            made = self._measure(cell, featured)
        hits_by_name = {str(shots): torch.from_numpy(hits) for shots, hits in made.hits.items()}
        kept.write(hits_by_name, {"key": key, "classes": made.classes, "seconds": made.seconds})
        return made

    def _measure(self, cell: Cell, featured: Featured) -> Measured:
        task, config = cell.task, cell.config
        drawn = draw(featured, cell.seed, per_class=task.pairs, pairing=task.pairing, wrong=task.wrong, dims=task.dims)
        if config.ways != drawn.ways:
            raise UsageError(f"{cell.approach}.ways={config.ways}: the test tasks have {drawn.ways} classes; leave it")
        noiseless = replace(cell, task=task.model_copy(update={"noise": 0.0}), shots=())
        key = json.dumps(noiseless.key(featured))
        if key not in self._trained:
            began = time.perf_counter()
            objective = make_pair_objective(config.objective, config.objective_set, self.plugins)
            start = APPROACHES[cell.approach](drawn.data, objective, config, cell.seed)
            self._trained[key] = start, time.perf_counter() - began
        start, seconds = self._trained[key]
        return Measured({shots: _hits(start, drawn, cell, shots) for shots in cell.shots}, drawn.tested, seconds)


def _hits(start: Start, drawn: Draw, cell: Cell, shots: int) -> NDArray[np.bool_]:
    found = []
    for i, support in enumerate(drawn.supports(shots, cell.task.supports, cell.seed)):
        generator = torch.Generator().manual_seed(number(cell.seed, shots, i, "noise"))
        labels = corrupted(support.labels, cell.task.noise, drawn.ways, generator)
        model = adapt(start, Stream(support.modality, support.x, labels), cell.config, cell.seed)
        with torch.no_grad():
            found.append(model(drawn.query.x[FEATURES]).argmax(dim=1) == drawn.query.labels)
    return torch.stack(found).numpy()
