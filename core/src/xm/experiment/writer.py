"""Writing the run folders of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from xm.data.task import Task
from xm.evaluation.report import Report
from xm.experiment.cells import Tested
from xm.experiment.settings import TrainSettings
from xm.foundation.distributed import leads
from xm.foundation.events import Listener
from xm.foundation.files import now, write_json, write_tensors
from xm.foundation.layout import CENTRES, FORMAT, INDEX, MODEL, RULE, TESTED, map_file
from xm.foundation.new_folder import NewFolder, free_name
from xm.learning.model import own_tensors
from xm.plugins.plugin_manager import PluginManager


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder under a temporary name; `finish` gives it its own, a failure removes it."""

    def __init__(self, settings: TrainSettings, plugins: PluginManager) -> None:
        self.settings = settings
        self._new = NewFolder(settings.out, partial(free_name, settings.modality, settings.strategy))
        self._trackers = [plugins.trackers.find(name).load() for name in settings.trackers]
        self.trackers: list[Listener] = []

    def __enter__(self) -> Self:
        self._new.__enter__()
        try:
            self.trackers = [tracker(self._new.partial) for tracker in self._trackers] if leads() else []
        except BaseException:
            self._new.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._new.__exit__(kind, error, trace)

    def place(self, strategy: str, aux: Sequence[str], task: Task) -> str:
        """The folder of a model in the run."""
        cell = f"shots-{task.shots}/seed-{task.seed}/{'+'.join((task.target, *aux))}"
        return cell if strategy == self.settings.strategy else f"baselines/{strategy}/{cell}"

    def keep(self, tested: Tested) -> None:
        """Write a model's own tensors, what it said of test, and what its rule and towers need beside it.

        A rule that is the same in all cells is written once, for the run.
        """
        run = self._new.partial
        folder = run / tested.result.model
        write_tensors(folder / MODEL, own_tensors(tested.model))
        write_tensors(folder / TESTED, tested.decisions)
        if tested.centres:
            write_tensors(folder / CENTRES, tested.centres)
        place = run if self.settings.predictor and not tested.centres else folder
        if tested.rule and not (place / RULE).exists():
            write_tensors(place / RULE, tested.rule)

    def finish(self, report: Report, index: Mapping[str, Any], maps: Mapping[str, Mapping[str, Tensor]]) -> Report:
        """Write maps and index, and give the folder its name; the report says it."""
        for modality, tensors in maps.items() if leads() else ():
            write_tensors(self._new.partial / map_file(modality), tensors)
        index = {"format": FORMAT, "created": now(), **index}

        def write_index(folder: Path) -> None:
            write_json(self._new.partial / INDEX, {**index, **replace(report, run=str(folder)).to_json()})

        return replace(report, run=str(self._new.publish(write_index)))
