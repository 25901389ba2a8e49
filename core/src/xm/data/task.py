"""Few-shot tasks: which samples are in train, val and test, and a digest that tells one task from another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xm.data.content import content_key
from xm.data.member import File
from xm.data.types import Sample


@dataclass(frozen=True)
class Task:
    """A few-shot task.

    Attributes:
        dataset: its name.
        classes: in words; a label is an index into it.
        target: the modality that is scored.
        shots: items per class of the target in train.
        aux_shots: items per class of each auxiliary modality that is drawn from train.
        seed: of the draw.
        samples: split ("train", "val", "test") to modality to samples. Train holds the target and the
            auxiliary modalities, val and test the target alone.
        digest: 32 hex digits over classes, target, items and labels; equal on every machine.
        unlabelled: modality to items that may be learned from without their labels; in none of `samples`.
        unlabelled_digest: 32 hex digits over them; "" if none were asked for.
        seen: labels of the classes that train and val may hold target samples of; None: all.
    """

    dataset: str
    classes: tuple[str, ...]
    target: str
    shots: int
    aux_shots: int
    seed: int
    samples: Mapping[str, Mapping[str, tuple[Sample, ...]]]
    digest: str
    unlabelled: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)
    unlabelled_digest: str = ""
    seen: frozenset[int] | None = None

    @property
    def test(self) -> tuple[Sample, ...]:
        """What is scored."""
        return self.samples["test"][self.target]


class Digests:
    """Digests of tasks. Each sample's line is kept: test is the same in every task."""

    def __init__(self) -> None:
        self._lines: dict[int, bytes] = {}

    def of(self, classes: Sequence[str], target: str, samples: Mapping[str, Mapping[str, Sequence[Sample]]]) -> str:
        """The digest of a task, see `Task`."""
        digest = hashlib.blake2b(digest_size=16)
        for text in (*classes, target):
            digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))
        for split, by_modality in samples.items():
            for modality, drawn in by_modality.items():
                digest.update(f"{split}/{modality} {len(drawn)}:".encode() + self._of(drawn))
        return digest.hexdigest()

    def _of(self, samples: Iterable[Sample]) -> bytes:
        """Of samples in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for sample in samples:
            line = self._lines.get(id(sample))
            if line is None:
                name = _digest_name(sample)
                line = f"{sample.label} {len(name)}:{name}".encode("utf-8", "surrogatepass")
                self._lines[id(sample)] = line
            digest.update(line)
        return digest.digest()


def _digest_name(sample: Sample) -> str:
    """The same on every machine: the last three parts of a path, a text itself, the content of all else."""
    if isinstance(sample.item, File):
        return "/".join(Path(os.path.abspath(sample.item.as_posix())).parts[-3:])  # noqa: PTH100 - see identity
    return sample.item if isinstance(sample.item, str) else content_key(sample.item)
