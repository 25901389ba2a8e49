"""A network of the user's own as an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Preparing, Prototypes, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.learning import Inputs
from xm.plugins import Weights, of_files
from xm_own.files import digest
from xm_own.onnx import graph as graphs
from xm_own.onnx.graph import Array
from xm_own.onnx.readers import ImageReader, Prepared, Reader, SoundReader, VideoReader
from xm_own.onnx.settings import ImageSettings, Settings, SoundSettings, TextSettings, VideoSettings, read

_RUN = 32
"""Windows a run: bounds memory for long recordings."""


class Onnx(Preparing):
    """An ONNX file, of images, sounds, texts or videos, with its preprocessing in a JSON beside it.

    Files whose JSONs say one `space` share it. ONNX Runtime computes: on CUDA if that is the device and ONNX Runtime
    was installed with it, else on the CPU.

    Args:
        argument: the file; ``model.onnx`` has its settings in ``model.json`` beside it.
        modality: for which it is asked; what the JSON says counts.

    Raises:
        UsageError: for a missing or damaged file, a missing JSON, or one that does not fit.
    """

    views = VIEWS

    def __init__(self, argument: str = "", modality: str | None = None) -> None:
        path = Path(argument).expanduser()
        if path.suffix.lower() != ".onnx":
            raise UsageError(
                f"onnx{argument and ':'}{argument}: expected a file that ends in .onnx, as in onnx:model.onnx"
            )
        self._graph = graphs.look(path)
        self._settings = read(self._graph)
        self._reader = _reader(self._settings, self._graph)
        self._output = self._graph.output(self._settings.output)
        self.modality = self._settings.modality
        self.suffixes = self._reader.suffixes
        self.accepts_names = isinstance(self._settings, TextSettings)
        self.sized = self._reader.sized
        self.space = self._settings.space or f"onnx:{self.fingerprint()[:12]}"

    @cached_property
    def dim(self) -> int:  # type: ignore[override]
        """As the settings or the graph say, else of what it gives of a blank item."""
        fixed = self._output.dims[-1] if len(self._output.dims) in (2, 3) else None
        return self._settings.dim or fixed or self._features([self._reader.blank()])[0].shape[1]

    def fingerprint(self) -> str:
        """Of graph and weights, settings, and the files that these name."""
        files = [digest(self._rows)] if self._rows else []
        files += [digest(self._names)] if self._names else []
        said = self._settings.model_dump_json()
        return fingerprint_of("xm_own.onnx 1", self._graph.identity, said, *self._reader.files(), *files)

    def pretrained(self) -> tuple[Weights, ...]:
        return (of_files(self._graph.path, *self._graph.external),)

    def prepare(self, item: Any) -> Prepared:
        """The item's windows: of an image, text or video one.

        Raises:
            ItemError: if it can't be read.
        """
        return self._reader.prepare(item)

    def size(self, prepared: Prepared) -> int:
        return self._reader.size(prepared)

    def compute(self, prepared: Sequence[Prepared]) -> Inputs:
        """``features`` (n, dim), and with classes ``scores`` (n, classes): means over an item's windows."""
        if not prepared:
            empty = {"features": torch.zeros(0, self.dim)}
            return empty | ({"scores": torch.zeros(0, len(self._classes))} if self._classes else {})
        found = self._vectors([window for windows, _ in prepared for window in windows])
        return {name: _averaged(values, [shares for _, shares in prepared]) for name, values in found.items()}

    def prototypes(self) -> Prototypes | None:
        """The classes that the settings name, with their rows."""
        if not self._classes:
            return None
        return Prototypes(self._classes, torch.from_numpy(self._weight))

    def _vectors(self, windows: Sequence[Any]) -> dict[str, Tensor]:
        """``features``, and with classes ``scores``, a row a window."""
        groups: dict[Any, list[int]] = {}
        for i, window in enumerate(windows):
            groups.setdefault(self._reader.key(window), []).append(i)
        parts, order = [], []
        for alike in groups.values():
            for start in range(0, len(alike), _RUN):
                chosen = alike[start : start + _RUN]
                parts.append(self._run([windows[i] for i in chosen]))
                order += chosen
        back = torch.tensor(order).argsort()
        return {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}

    def _run(self, windows: Sequence[Any]) -> dict[str, Tensor]:
        """As `_vectors`, of windows that the graph takes at once."""
        own, n = self._settings, len(windows)
        features, logits = self._features(windows)
        found = {"features": normalize(features, dim=-1) if own.normalise else features}
        if not self._classes:
            return found
        if logits is None:
            logits = features @ torch.from_numpy(self._weight).T
        if logits.shape != (n, len(self._classes)):
            shape = tuple(logits.shape)
            raise self._error(f"output {own.logits!r} is {shape} for {n} items and {len(self._classes)} classes")
        return found | {"scores": logits.softmax(dim=1) if own.activation == "softmax" else logits.sigmoid()}

    def _features(self, windows: Sequence[Any]) -> tuple[Tensor, Tensor | None]:
        """Vectors (n, dim), pooled, and the output that the settings call logits, if they name one."""
        feed, logits = self._reader.feed(windows), self._settings.logits
        names = [self._output.name, *([self._graph.output(logits).name] if logits else [])]
        first, *others = graphs.run(self._graph, self.device, names, feed)
        features = self._pooled(first, self._reader.mask(feed), len(windows))
        return features, torch.from_numpy(others[0]).float() if others else None

    def _pooled(self, given: Array, mask: Array | None, n: int) -> Tensor:
        """Vectors (n, dim) of an output."""
        x, how = torch.from_numpy(np.ascontiguousarray(given)).float(), self._settings.pool
        if x.ndim == 4 and (how == "mean" or x.shape[2:] == (1, 1)):
            x = x.mean(dim=(2, 3))
        elif x.ndim == 3 and how == "cls":
            x = x[:, 0]
        elif x.ndim == 3 and how == "mean" and mask is not None and mask.shape == x.shape[:2]:
            kept = torch.from_numpy(mask).float().unsqueeze(-1)
            x = (x * kept).sum(dim=1) / kept.sum(dim=1)
        elif x.ndim == 3 and how == "mean":
            x = x.mean(dim=1)
        if x.ndim != 2 or len(x) != n:
            hint = '; add "pool": "mean" or "cls"' if x.ndim == 3 and how == "none" else ""
            hint = hint or '; name another one: "output": "NAME"'
            raise self._error(f"output {self._output.name!r} is {tuple(x.shape)} for {n} items, not (n, dim){hint}")
        return x

    def _error(self, said: str) -> UsageError:
        return UsageError(f"{self._graph.path.with_suffix('.json')}: {said}")

    @property
    def _rows(self) -> Path | None:
        """The file with the classifier's rows, if they are not the graph's."""
        return self._file(self._settings.weights) if self._settings.weights.endswith(".npy") else None

    @property
    def _names(self) -> Path | None:
        """The file with the classes' names, if they are not in the settings."""
        given = self._settings.classes
        return self._file(given[0]) if len(given) == 1 and given[0].endswith(".txt") else None

    def _file(self, name: str) -> Path:
        path = self._graph.path.parent / name
        if not path.is_file():
            raise self._error(f"names {name!r}, which is not beside it")
        return path

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        if self._names is None:
            return self._settings.classes
        lines = (line.strip() for line in self._names.read_text(encoding="utf-8").splitlines())
        return tuple(line for line in lines if line)

    @cached_property
    def _weight(self) -> Array:
        """Rows (classes, dim) of the classifier."""
        if self._rows is None:
            rows = graphs.rows(self._graph, self._settings.weights)
        else:
            try:
                rows = np.load(self._rows, allow_pickle=False)
            except (OSError, ValueError) as error:
                raise self._error(f"{self._rows.name} is no .npy of numbers ({error})") from error
        if rows.shape != (len(self._classes), self.dim):
            raise self._error(
                f"weights {self._settings.weights!r} are {rows.shape}; expected a row of {self.dim} for each of the "
                f"{len(self._classes)} classes"
            )
        return np.array(rows, dtype=np.float32)


def _averaged(rows: Tensor, shares: Sequence[Tensor]) -> Tensor:
    """Means (n, d) of the windows' rows, by what part of the item each holds."""
    parts = torch.split(rows, [len(own) for own in shares])
    return torch.stack([(own[:, None] * part).sum(dim=0) for own, part in zip(shares, parts, strict=True)])


def _reader(settings: Settings, graph: graphs.Graph) -> Reader:
    if isinstance(settings, ImageSettings):
        return ImageReader(settings, graph)
    if isinstance(settings, SoundSettings):
        return SoundReader(settings, graph)
    if isinstance(settings, VideoSettings):
        return VideoReader(settings, graph)
    from xm_own.onnx.texts import TextReader  # tokenizers are for texts alone

    assert isinstance(settings, TextSettings)
    return TextReader(settings, graph)
