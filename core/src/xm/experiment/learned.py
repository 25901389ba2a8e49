"""What a run learned from, of items by content and of other runs, so that later ones know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xm.data.contents import Contents
from xm.data.task import Task
from xm.data.types import Sample, View
from xm.foundation.errors import ItemError, RunError
from xm.foundation.files import read_tensors
from xm.foundation.layout import LEARNED, start_file
from xm.foundation.reading import inside, read_weights

KEY, START = "key", "start"
KEY_BYTES = 16


def taken_over(folder: Path, modality: str, depth: int) -> dict[str, Tensor]:
    """What a run took over of another run's tower; empty if nothing."""
    path = inside(folder, start_file(modality, depth))
    return read_weights(path) if depth and path.exists() else {}


def task_name(shots: int, seed: int) -> str:
    """What a task is called in a run."""
    return f"shots-{shots}/seed-{seed}"


@dataclass(frozen=True)
class Learned:
    """Content keys of a run's labelled items of train and val.

    Attributes:
        tensors: as `xm.foundation.layout.LEARNED` says.
    """

    tensors: Mapping[str, Tensor]

    @classmethod
    def of_tasks(cls, tasks: Mapping[tuple[int, int], Task], contents: Contents, start: Iterable[bytes]) -> Learned:
        """Of a training.

        Args:
            tasks: by shots and seed.
            contents: that know keys.
            start: keys of what the runs that it starts from learned from.
        """
        rows: dict[bytes, int] = {}

        def numbers(keys: Iterable[bytes]) -> Tensor:
            return torch.tensor([rows.setdefault(key, len(rows)) for key in dict.fromkeys(keys)], dtype=torch.int32)

        found = {task_name(*place): numbers(_keys(task, contents)) for place, task in tasks.items()}
        if before := sorted(start):
            found[START] = numbers(before)
        keys = torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8) if rows else torch.zeros(0)
        return cls({**found, KEY: keys.to(torch.uint8).view(-1, KEY_BYTES)})

    @classmethod
    def of_run(cls, folder: Path) -> Learned | None:
        """Of a run folder; None if an older xm wrote it, which kept nothing of this.

        Raises:
            RunError: if the file is damaged.
        """
        path = inside(folder, LEARNED)
        if not path.exists():
            return None
        tensors = read_tensors(path)
        keys = tensors.get(KEY)
        if keys is None or keys.dtype != torch.uint8 or keys.ndim != 2 or keys.shape[1] != KEY_BYTES:
            raise RunError(f"{path}: damaged (without {KEY})")
        for name, rows in tensors.items():
            known = name == KEY or (rows.dtype == torch.int32 and rows.ndim == 1)
            if not known or (name != KEY and ((rows < 0) | (rows >= len(keys))).any()):
                raise RunError(f"{path}: damaged ({name} names items that it does not hold)")
        return cls(tensors)

    @staticmethod
    def key(sample: Sample, contents: Contents) -> bytes | None:
        """Of a sample's item, the same for all views of it; None if it can't be read."""
        item = sample.item.item if isinstance(sample.item, View) else sample.item
        try:
            return bytes.fromhex(contents.key(item))
        except ItemError:
            return None

    def of(self, task: str) -> list[bytes]:
        """Keys of what a model of a task learned from, with the run's own starts."""
        keys = self.tensors[KEY].numpy()
        rows = [row for name in (task, START) if name in self.tensors for row in self.tensors[name].tolist()]
        return [keys[row].tobytes() for row in dict.fromkeys(rows)]


def _keys(task: Task, contents: Contents) -> Iterator[bytes]:
    for split in ("train", "val"):
        for drawn in task.samples[split].values():
            for sample in drawn:
                if sample.label is not None and (key := Learned.key(sample, contents)):
                    yield key
