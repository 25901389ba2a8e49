"""Writing run folders: whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from xm.data.task import Task
from xm.errors import UsageError
from xm.events import Listener
from xm.files import write_json, write_tensors
from xm.layout import FORMAT, INDEX, MODEL, RULE, TESTED
from xm.model import own_tensors
from xm.plugins import PluginManager
from xm.report import Report
from xm.settings import TrainSettings


class RunWriter(AbstractContextManager["RunWriter"]):
    """Writes a run folder under a temporary name; `finish` gives it its own, a failure removes it."""

    def __init__(self, settings: TrainSettings, plugins: PluginManager) -> None:
        self.settings = settings
        self.folder = settings.out or _free_name(settings)
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise UsageError(f"--out {self.folder}: exists and is not an empty folder; choose another")
        found = [plugins.trackers.find(name) for name in settings.trackers]
        self.partial = self.folder.with_name(f".{self.folder.name}.{os.getpid()}")
        made = [spec.load() for spec in found]
        self._had_parent = self.partial.parent.exists()
        self.partial.mkdir(parents=True)
        try:
            self.trackers: list[Listener] = [tracker(self.partial) for tracker in made]
        except BaseException:
            self._remove()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        """Take away what is unfinished, and the folder around it if it was made for it and holds nothing else."""
        shutil.rmtree(self.partial, ignore_errors=True)
        if not self._had_parent:
            with suppress(OSError):
                self.partial.parent.rmdir()

    def place(self, strategy: str, aux: Sequence[str], task: Task) -> str:
        """The folder of a model in the run."""
        cell = f"shots-{task.shots}/seed-{task.seed}/{'+'.join((task.target, *aux))}"
        return cell if strategy == self.settings.strategy else f"baselines/{strategy}/{cell}"

    def keep(self, place: str, model: nn.Module, tested: Mapping[str, Tensor]) -> None:
        """Write a model's own tensors, and what it said of test."""
        write_tensors(self.partial / place / MODEL, own_tensors(model))
        write_tensors(self.partial / place / TESTED, tested)

    def keep_rule(self, tensors: Mapping[str, Tensor]) -> None:
        """Write what the predictor knows of the classes."""
        if tensors:
            write_tensors(self.partial / RULE, tensors)

    def finish(self, report: Report, index: Mapping[str, Any], maps: Mapping[str, Mapping[str, Tensor]]) -> Report:
        """Write maps and index, and give the folder its name; the report says it."""
        for modality, tensors in maps.items():
            write_tensors(self.partial / "maps" / f"{modality}.safetensors", tensors)
        created = datetime.now().astimezone().isoformat(timespec="seconds")
        index = {"format": FORMAT, "created": created, **index}
        while True:
            report = replace(report, run=str(self.folder))
            write_json(self.partial / INDEX, {**index, **report.to_json()})
            try:
                self.partial.replace(self.folder)
            except OSError as error:  # another process took the name meanwhile
                if self.settings.out or not self.folder.exists():
                    raise UsageError(
                        f"run folder {self.folder}: can't be written: {error.strerror or error}"
                    ) from error
                self.folder = _free_name(self.settings)
            else:
                return report


def _free_name(settings: TrainSettings) -> Path:
    """``runs/<when>-<target>-<strategy>``, with a number if it is taken."""
    when = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = Path("runs") / f"{when}-{settings.modality}-{settings.strategy}"
    names = [base, *(base.with_name(f"{base.name}-{i}") for i in range(2, 100))]
    return next(name for name in names if not name.exists())
