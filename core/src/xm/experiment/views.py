"""Views: an item of train, seen in several ways, is several samples of its label; of test, a row of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from xm.data.types import Sample, View
from xm.data.views import check_view
from xm.encoders.encoder import Encoder, known_views


class Views:
    """Makes the views of samples, the same object for the same sample each time.

    Args:
        names: of views, as a user types them: "flip", "crop2", "noise:0.2".
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._made: dict[tuple[int, str], tuple[Sample, Sample]] = {}

    def check(self, encoder: Encoder) -> None:
        """Raise a UsageError if the encoder does not know one of the views, or it has no such strength."""
        for name in self.names:
            check_view(name, encoder.modality, known_views(encoder))

    def each(self, samples: Iterable[Sample]) -> dict[str, tuple[Sample, ...]]:
        """The samples in each view, by the view as it was typed."""
        return {name: tuple(self._view(sample, name) for sample in samples) for name in self.names}

    def of(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """Each sample, followed by its views."""
        return tuple(seen for sample in samples for seen in (sample, *(self._view(sample, v) for v in self.names)))

    def _view(self, sample: Sample, name: str) -> Sample:
        key = (id(sample), name)
        if key not in self._made:  # the sample is kept too, so that its id stays its own
            self._made[key] = (sample, replace(sample, item=View.of(sample.item, name)))
        return self._made[key][1]


def plain(item: Any) -> Any:
    """The item that views are of."""
    return plain(item.item) if isinstance(item, View) else item
