"""An index, opened to be asked.

It is a folder: ``index.json`` (what it is of, and by which encoder), ``vectors.safetensors`` (``vectors``, (n, dim),
float32, unit length) and ``index.faiss``. Files are kept by their paths relative to it, so index and files can be moved
together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Dataset, Encoder, PluginError, RunError, UsageError
from xm.alignment import AlignmentMaker
from xm.data import modality_of
from xm.encoders import Aligned, EncoderChoice, FeatureStore
from xm.foundation import Event, Listener, cache_dir, described, formed, inside, read_json, read_weights
from xm.plugins import PluginManager
from xm_search.items import restored
from xm_search.nearest import Effort, Nearest

FORMAT = 1
"""Of ``index.json``; an index of another format is refused."""

KIND = "index"
INDEX = "index.json"
VECTORS = "vectors.safetensors"
FAISS = "index.faiss"
KEYS = ("modality", "encoder", "fingerprint", "space", "dim", "near", "far", "items")

NO_DATA = Dataset("", (), ())
"""Where encoders are chosen without data."""


@dataclass(frozen=True)
class Hit:
    """An item that was found.

    Attributes:
        rank: from 1.
        score: cosine of query and item.
        item: a file's path; of a text, itself; else a name that says dataset, number and class.
    """

    rank: int
    score: float
    item: Path | str


class Index:
    """An index, to be asked.

    Attributes:
        about: what ``index.json`` says.
        modality: of its items.
        items: as `Hit.item` gives them.
    """

    def __init__(
        self,
        folder: Path,
        encoders: Mapping[str, str],
        plugins: PluginManager,
        device: torch.device,
        listener: Listener,
        cache: Path | None = None,
    ) -> None:
        self.folder = folder
        self.listener = listener
        self._plugins = plugins
        self._named = encoders
        self._device = device
        self._cache = cache or cache_dir()
        self._brought: dict[str, Encoder] = {}
        self.about = _about(folder)
        self.modality = str(self.about["modality"])
        try:
            efforts = [Effort(**self.about[name]) for name in ("near", "far")]
            self.items = [restored(entry, folder) for entry in self.about["items"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{folder / INDEX}: damaged ({described(error)})") from None
        self._nearest = Nearest.read(inside(folder, FAISS), *efforts)
        if (len(self._nearest), self._nearest.dim) != (len(self.items), self.about["dim"]):
            raise RunError(
                f"{folder}: damaged ({FAISS} holds {len(self._nearest)} vectors of {self._nearest.dim} dimensions, "
                f"{INDEX} says {len(self.items)} of {self.about['dim']})"
            )

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def vectors(self) -> Tensor:
        """Of the items, (n, dim), unit length.

        Raises:
            RunError: if the file is missing or damaged.
        """
        found = read_weights(inside(self.folder, VECTORS)).get("vectors")
        if found is None or found.shape != (len(self), self.about["dim"]):
            raise RunError(f"{self.folder / VECTORS}: damaged (vectors are missing)")
        return found

    def find(self, queries: Sequence[Any], *, k: int = 5, modality: str | None = None) -> list[list[Hit]]:
        """The k nearest items of each query, or all if there are fewer.

        Args:
            queries: a `Path` is a file, a string is words, an array an item of the index's modality.
            k: how many, 1 at least.
            modality: of the queries; None: a file's is told by its suffix, and words are for an encoder that reads
                them, if there is one in the index's space.

        Raises:
            UsageError: if the query's encoder is of another space and no aligner brings it here without pairs (it says
                how to align the two), or no encoder reads words.
            RunError: if the index's encoder is not the one at building time.
            ItemError: if a query can't be read.
        """
        if k < 1:
            raise UsageError(f"k must be 1 at least, not {k}")
        modalities = [modality or self._modality_of(query) for query in queries]
        found: dict[int, list[Hit]] = {}
        for name in dict.fromkeys(modalities):
            mine = [i for i, of in enumerate(modalities) if of == name]
            vectors = normalize(self._comparable(name).encode([queries[i] for i in mine]).float().cpu(), dim=1)
            scores, rows = self._nearest.search(vectors.numpy(), k, far=name != self.modality)
            found |= {i: self._hits(*pair) for i, *pair in zip(mine, scores, rows, strict=True)}
        self._warn_of_moved(found.values())
        return [found[i] for i in range(len(queries))]

    def _hits(self, scores: Iterable[float], rows: Iterable[int]) -> list[Hit]:
        pairs = zip(scores, rows, strict=True)
        return [Hit(rank, float(score), self.items[row]) for rank, (score, row) in enumerate(pairs, start=1)]

    @cached_property
    def _choice(self) -> EncoderChoice:
        """The encoders of queries; that of the index is checked.

        Raises:
            RunError: if it can't be made again, or is not the one at building time.
        """
        reference, flag = self.about["encoder"], f"--{self.modality}-encoder"
        EncoderChoice(self._plugins, NO_DATA, self._device, self._named)  # what is wrong with these is told as it is
        try:
            choice = EncoderChoice(self._plugins, NO_DATA, self._device, {self.modality: reference, **self._named})
            encoder = choice[self.modality].encoder
        except UsageError as error:
            if self.modality in self._named:
                raise
            hint = f"name it with {flag} if it is elsewhere now"
            raise RunError(f"{self.folder}: its encoder {reference!r} can't be made again: {error}; {hint}") from error
        if encoder.fingerprint() != self.about["fingerprint"]:
            given = self._named.get(self.modality)
            hint = f"leave out {flag}" if given not in (None, reference) else "build the index again"
            raise RunError(
                f"{self.folder}: encoder {given or reference!r} is not the one it was built with: its weights or "
                f"preprocessing differ; {hint}"
            )
        return choice

    def _comparable(self, modality: str) -> Encoder:
        """The encoder of a query, in the index's space: as it is, or brought there by an aligner, without pairs."""
        if modality not in self._brought:
            self._brought[modality] = self._bring(modality)
        return self._brought[modality]

    def _bring(self, modality: str) -> Encoder:
        chosen, mine = self._choice[modality], self.modality
        if chosen.encoder.space == self.about["space"]:
            return chosen.encoder
        store = FeatureStore(self._cache / "features", listener=self.listener)
        maker = AlignmentMaker(self._plugins, self._choice, store, device=self._device, listener=self.listener)
        try:
            made = maker.make(chosen.encoder, self._choice[mine].encoder, None)
        except UsageError:
            raise UsageError(
                f"{modality} encoder {chosen.reference!r} is of the space {chosen.encoder.space!r}, the index of "
                f"{self.about['space']!r}: align them (xm align --anchor {mine} --new {modality} --pairs FILE "
                f"--out runs/align), then search with --{modality}-encoder runs/align, in an index built with "
                f"--{mine}-encoder runs/align if the alignment moves {mine} too"
            ) from None
        text = (
            f"{modality}: encoder {chosen.reference} is of another space than the index ({self.about['space']}); the "
            f"aligner {made.aligner} brings it there, without pairs"
        )
        self.listener(Event("note", {"message": text}))
        return Aligned(chosen.encoder, made.map.to(self._device), self.about["space"], self.about["dim"], made.depth)

    def _modality_of(self, query: Any) -> str:
        if isinstance(query, str):
            return self._reads_words
        if not isinstance(query, Path):
            return self.modality
        suffixes = suffixes_of(self._plugins, self._choice[self.modality].encoder)
        found = modality_of(query, suffixes)
        if found is None:
            known = ", ".join(sorted(suffixes))
            raise UsageError(f"{query}: its suffix says no modality; name it with --modality (suffixes: {known})")
        return found

    @cached_property
    def _reads_words(self) -> str:
        """The modality of an encoder that reads words: one the user named, else one of the index's space, else any."""
        others = []
        for modality in dict.fromkeys((*self._named, self.modality, *self._choice.modalities())):
            try:
                encoder = self._choice[modality].encoder
            except PluginError:
                continue
            if encoder.accepts_names:
                if modality in self._named or encoder.space == self.about["space"]:
                    return modality
                others.append(modality)
        if not others:
            raise UsageError("no encoder here reads words: ask with a file")
        return others[0]

    def _warn_of_moved(self, found: Iterable[Sequence[Hit]]) -> None:
        for hit in (hit for hits in found for hit in hits):
            if isinstance(hit.item, Path) and not os.path.exists(hit.item):  # noqa: PTH110 - a name may be too long
                message = f"{hit.item}: no such file any more; move index and files together, or build the index again"
                self.listener(Event("warning", {"message": message}))
                return


def suffixes_of(plugins: PluginManager, encoder: Encoder) -> dict[str, str]:
    """File suffix to modality, the encoder's own too."""
    return plugins.suffixes() | dict.fromkeys(encoder.suffixes, encoder.modality)


@dataclass(frozen=True)
class _Known:
    """What is looked up in ``index.json``; it holds more."""

    modality: str
    encoder: str
    fingerprint: str
    space: str
    dim: int
    near: Effort
    far: Effort
    items: list[dict[str, str]]


def _about(folder: Path) -> dict[str, Any]:
    path = inside(folder, INDEX)
    try:
        about = read_json(path)
    except RunError as error:
        if path.is_file():
            raise
        raise RunError(f"{folder}: not an index ({INDEX}: {str(error).removeprefix(f'{path}: ')})") from None
    if not isinstance(about, dict) or about.get("kind") != KIND:
        raise RunError(f"{path}: not of an index that xm search build wrote")
    if about.get("format") != FORMAT:
        raise RunError(f"{path}: format {about.get('format')!r}, but this xm reads {FORMAT}; build the index again")
    lacking = [key for key in KEYS if key not in about]
    if lacking:
        raise RunError(f"{path}: damaged (without {', '.join(lacking)})")
    formed(path, _Known, about)
    known: dict[str, Any] = about
    return known
