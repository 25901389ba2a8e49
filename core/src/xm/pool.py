"""All samples of an experiment, embedded once, in the home space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from xm.data.types import Sample
from xm.encoder import Encoder
from xm.errors import DataError
from xm.model import EMBEDDING, Towers
from xm.store import FeatureStore
from xm.stream import Stream


class Pool:
    """Embeddings of samples by modality. A sample is known by its identity, so keep it while the pool is in use.

    Args:
        store: for trunk outputs.
        towers: into the home space, by modality.
        device: where streams are.
    """

    def __init__(self, store: FeatureStore, towers: Towers, device: torch.device) -> None:
        self.store = store
        self.towers = towers
        self.device = device
        self._embedded: dict[str, torch.Tensor] = {}
        self._rows: dict[str, dict[int, int]] = {}

    def add(self, modality: str, encoder: Encoder, samples: Iterable[Sample]) -> None:
        """Embed all samples of a modality. To be called once a modality.

        Raises:
            DataError: if none of them can be read.
        """
        unique = list({id(sample): sample for sample in samples}.values())
        features = self.store.features(encoder, [sample.item for sample in unique])
        if unique and not len(features.kept):
            raise DataError(
                f"none of the {len(unique)} {modality} items can be read: {next(iter(features.failed.values()))}"
            )
        if unique:
            stream = Stream(modality, features.x).to(self.device)
            self._embedded[modality] = self.towers.embed(stream).x[EMBEDDING]
        self._rows[modality] = {id(unique[i]): row for row, i in enumerate(features.kept.tolist())}

    def stream(self, modality: str, samples: Sequence[Sample]) -> Stream | None:
        """The samples as a stream, without those that could not be read; None if nothing is left."""
        rows = self._rows[modality]
        readable = [sample for sample in samples if id(sample) in rows]
        if not readable:
            return None
        index = torch.tensor([rows[id(sample)] for sample in readable], device=self.device)
        labels = [-1 if sample.label is None else sample.label for sample in readable]
        y = torch.tensor(labels, device=self.device)
        return Stream(modality, {EMBEDDING: self._embedded[modality][index]}, y)
