"""Writing the run folders of training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from torch import Tensor

from xm.data.task import Task
from xm.evaluation.report import Report, Result
from xm.evaluation.significance import Hits
from xm.experiment.settings import TrainSettings
from xm.experiment.tested import Tested, hits_of
from xm.experiment.tracking import Trackers
from xm.foundation.distributed import gather, leads
from xm.foundation.errors import RunError
from xm.foundation.events import Event, Listener
from xm.foundation.files import now, read_tensors, sweep, write_json, write_tensors
from xm.foundation.layout import CENTRES, FORMAT, INDEX, KEPT, MODEL, RESULTS, ROWS, RULE, TESTED, map_file
from xm.foundation.new_folder import NewFolder, free_name
from xm.learning.model import own_tensors
from xm.plugins.plugin_manager import PluginManager


@dataclass(frozen=True)
class Kept:
    """A cell that was finished before.

    Attributes:
        results: of its model.
        hits: what it had right, by what each result says was `scored`.
    """

    results: tuple[Result, ...]
    hits: Mapping[str, Hits]


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder under a temporary name; `finish` gives it its own.

    A failure or an interruption removes it if no cell was finished. Else it stays, as after a kill, and the writer that
    has the same key goes on with its cells.

    Args:
        settings: of the training.
        plugins: that trackers come from.
        key: equal for trainings whose results are (`xm.experiment.resuming.key_of`).
        listener: hears what is damaged.
    """

    def __init__(self, settings: TrainSettings, plugins: PluginManager, key: str, listener: Listener) -> None:
        self.settings = settings
        self.listener = listener
        self._new = NewFolder(settings.out, partial(free_name, settings.modality, settings.strategy), key)
        self.trackers = Trackers.load(settings.trackers, plugins, listener)

    def __enter__(self) -> Self:
        self._new.__enter__()
        try:
            if leads():
                sweep(self._new.partial)
                self.trackers.open(self._new.partial)
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        """Take away what is unfinished, unless there are cells in it; then the error says so."""
        if error is not None and leads():
            cells = sum(1 for _ in (self._new.partial / KEPT).rglob(RESULTS))
            self._new.keep = cells > 0
            said = "1 finished cell is kept" if cells == 1 else f"{cells} finished cells are kept"
            if cells:
                error.add_note(f"{said}, and the same command goes on from there")
        self._new.__exit__(None, None, None)

    def place(self, strategy: str, aux: Sequence[str], task: Task) -> str:
        """The folder of a model in the run."""
        cell = f"shots-{task.shots}/seed-{task.seed}/{'+'.join((task.target, *aux))}"
        return cell if strategy == self.settings.strategy else f"baselines/{strategy}/{cell}"

    def keep(self, tested: Tested) -> None:
        """Write a cell: a model's own tensors, what it said of test, what its rule and towers need, and its results.

        A rule that is the same in all cells is written once, for the run.
        """
        run, place = self._new.partial, tested.result.model
        folder = run / place
        write_tensors(folder / MODEL, own_tensors(tested.model))
        write_tensors(folder / TESTED, tested.decisions)
        if tested.centres:
            write_tensors(folder / CENTRES, tested.centres)
        shared = run if self.settings.predictor and not tested.centres else folder
        if tested.rule and not (shared / RULE).exists():
            write_tensors(shared / RULE, tested.rule)
        write_tensors(run / KEPT / place / ROWS, tested.rows)
        write_json(run / KEPT / place / RESULTS, [asdict(result) for result in tested.results])

    def kept(self, places: Iterable[str]) -> dict[str, Kept]:
        """Those of the cells that were finished before, by place. What is damaged is told, and taken away."""
        found = {place: cell for place in places if (cell := self._kept(place))} if leads() else {}
        return gather(found)[0]

    def _kept(self, place: str) -> Kept | None:
        run = self._new.partial
        folder, said = run / place, run / KEPT / place / RESULTS
        if not said.exists():
            return None
        try:
            results = tuple(Result.read(values) for values in json.loads(said.read_text(encoding="utf-8")))
            for path in {folder / MODEL, *folder.glob("*.safetensors"), *run.glob("*.safetensors")}:
                with safe_open(path, "pt"):  # reads no more than the header, which says how long the file is
                    pass
            rows = read_tensors(said.with_name(ROWS))
            return Kept(results, hits_of(results, read_tensors(folder / TESTED), rows))
        except (OSError, RunError, SafetensorError, ValueError, KeyError, TypeError, IndexError) as error:
            text = f"{folder}: damaged ({type(error).__name__}), and will be made again"
            self.listener(Event("warning", {"message": text}))
            shutil.rmtree(folder, ignore_errors=True)
            (run / RULE).unlink(missing_ok=True)
            return None

    def once(self, name: str, make: Callable[[], float]) -> float:
        """A figure that is no cell's, made unless it was before."""
        path = self._new.partial / KEPT / f"{name}.json"
        try:
            return float(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            found = make()
        if leads():
            write_json(path, found)
        return found

    def finish(
        self,
        report: Report,
        index: Mapping[str, Any],
        maps: Mapping[str, Mapping[str, Tensor]],
        more: Mapping[Path, Mapping[str, Tensor]],
    ) -> Report:
        """Write maps, index and more files of tensors, and give the folder its name; the report says it."""
        for modality, tensors in maps.items() if leads() else ():
            write_tensors(self._new.partial / map_file(modality), tensors)
        for file, tensors in more.items() if leads() else ():
            write_tensors(self._new.partial / file, tensors)
        index = {"format": FORMAT, "created": now(), **index}

        def write_index(folder: Path) -> None:
            write_json(self._new.partial / INDEX, {**index, **replace(report, run=str(folder)).to_json()})

        folder = self._new.publish(write_index)
        if leads():
            shutil.rmtree(folder / KEPT, ignore_errors=True)
        return replace(report, run=str(folder))
