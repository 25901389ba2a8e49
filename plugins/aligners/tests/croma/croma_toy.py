"""Not a test: a synthetic world of two modalities. Classes share a hidden direction; each modality turns it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Stream
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, MetaData

CLASSES, HIDDEN, DIM = 24, 8, 40


def items(modality: str, labels: Tensor, draw: int) -> Tensor:
    """Unit vectors (n, DIM): 8 of 40 directions tell classes apart, the others are louder noise."""
    generator = torch.Generator().manual_seed(7)
    centres = torch.randn(CLASSES, HIDDEN, generator=generator)
    salt = {SOURCE: 1, TARGET: 2}[modality]
    turn = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(salt))).Q
    noise = torch.randn(len(labels), DIM, generator=torch.Generator().manual_seed(100 * salt + draw))
    noise[:, :HIDDEN] *= 0.4
    noise[:, HIDDEN:] *= 0.9
    noise[:, :HIDDEN] += centres[labels]
    return normalize(noise @ turn, dim=1)


def data(per_class: int = 12) -> MetaData:
    """For meta-training: classes 0 to 18, and labels of the target that only the oracle may see."""
    y = torch.arange(19).repeat_interleave(per_class)
    target = items(TARGET, y, 1)
    pairs = Stream("pairs", {SOURCE: items(SOURCE, y, 2), TARGET: target}, y)
    return MetaData(
        Stream(SOURCE, {FEATURES: items(SOURCE, y, 1)}, y), pairs, True, Stream(TARGET, {FEATURES: target}), y
    )


def task(per_class: int, draw: int) -> Stream:
    """Samples of the target, of classes 19 to 23, labelled 0 to 4."""
    y = torch.arange(5).repeat_interleave(per_class)
    return Stream(TARGET, {FEATURES: items(TARGET, y + 19, draw)}, y)
