"""Views: an item of train, seen in several ways, is several samples of its label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from xm.data.types import Sample, View
from xm.encoders.encoder import Encoder
from xm.foundation.errors import UsageError


class Views:
    """Makes the views of samples, the same object for the same sample each time.

    Args:
        names: of views, such as "flip" or "crop2".
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._made: dict[tuple[int, str], tuple[Sample, Sample]] = {}

    def check(self, encoder: Encoder) -> None:
        """Raise a UsageError if the encoder does not know one of the views."""
        for name in self.names:
            if View(None, name).kind not in encoder.views:
                known = ", ".join(encoder.views) or "none"
                raise UsageError(f"the {encoder.modality} encoder has no view {name!r} (it has: {known})")

    def of(self, samples: Iterable[Sample]) -> tuple[Sample, ...]:
        """Each sample, followed by its views."""
        return tuple(seen for sample in samples for seen in (sample, *(self._view(sample, v) for v in self.names)))

    def _view(self, sample: Sample, name: str) -> Sample:
        key = (id(sample), name)
        if key not in self._made:  # the sample is kept too, so that its id stays its own
            self._made[key] = (sample, replace(sample, item=View(sample.item, name)))
        return self._made[key][1]
