"""The published figures: table 1 of Lin et al., *Multimodality Helps Unimodality*, CVPR 2023.

Mean accuracy in % over CoOp's eleven datasets, by shots, with CLIP's RN50. They were copied from the authors' slides of
the conference (THU-AM-271), which show that table, and one of gains ("Cross-modal adaptation consistently improves
prior art"). The slides have no figures of single datasets and no standard deviations. Tip-Adapter's row is left out, as
they do not say which of its two variants it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from xm_datasets.coop.records import RECORDS

DATASETS = tuple(name for name, record in RECORDS.items() if not record.templates)
"""The eleven: all that have templates of their own. The others are versions of ImageNet."""

TEXT = ("text",)

Row = tuple[str, tuple[str, ...]]
"""A strategy, and the auxiliary modalities that it learned from."""


class Published(NamedTuple):
    """A row of the table.

    Attributes:
        name: the paper's for the method.
        means: accuracy in % by shots.
    """

    name: str
    means: Mapping[int, float]


def _by_shots(*means: float) -> dict[int, float]:
    return dict(zip((1, 2, 4, 8, 16), means, strict=True))


TABLE: Mapping[Row, Published] = {
    ("zero-shot", TEXT): Published("Zero-Shot CLIP", {0: 58.8}),
    ("linear", ()): Published("Linear Probing", _by_shots(36.7, 47.6, 57.2, 65.0, 71.1)),
    ("linear", TEXT): Published("Cross-Modal Linear Probing", _by_shots(64.1, 67.0, 70.3, 73.0, 76.0)),
    ("wise-ft", ()): Published("WiSE-FT", _by_shots(59.1, 61.8, 65.3, 68.4, 71.6)),
    ("wise-ft", TEXT): Published("Cross-Modal WiSE-FT", _by_shots(63.8, 66.4, 69.0, 71.7, 74.1)),
    ("coop", ()): Published("CoOp", _by_shots(59.6, 62.3, 66.8, 69.9, 73.4)),
    ("coop", TEXT): Published("Cross-Modal Prompting", _by_shots(62.0, 64.9, 68.6, 71.4, 74.0)),
    ("prograd", ()): Published("ProGrad", _by_shots(62.6, 64.9, 68.5, 71.4, 74.0)),
    ("partial", TEXT): Published("Cross-Modal Partial Finetuning", _by_shots(64.7, 67.2, 70.5, 73.6, 77.1)),
}


def published(row: Row, shots: int) -> float | None:
    """The published mean, in 0..1; None if there is none."""
    found = TABLE.get(row)
    mean = found.means.get(shots) if found else None
    return None if mean is None else mean / 100


def gained(row: Row, shots: int) -> float | None:
    """What the published row has more than the same strategy without auxiliary modalities, -1..1; None if unknown."""
    mean, alone = published(row, shots), published((row[0], ()), shots)
    return None if mean is None or alone is None else mean - alone
