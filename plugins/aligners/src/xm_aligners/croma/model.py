"""What is meta-trained, and its losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from xm import Batch, PairBatch, PairObjective, Plan, Stream
from xm.alignment import Projection
from xm.learning import cross_entropy
from xm_aligners.croma.settings import MetaConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, MetaData

NEVER = 1 << 60


class MetaModel(nn.Module):
    """Two encoders into one space, and a classifier there.

    Attributes:
        source: the encoder of the labelled modality, over its features.
        target: the encoder of the new modality.
        objective: of the alignment; its temperature is meta-trained with the encoders.
        head: (ways, dim), the classifier's rows.
        scale: of logits.
    """

    def __init__(self, source: Projection, target: Projection, objective: PairObjective, config: MetaConfig) -> None:
        super().__init__()
        self.source, self.target, self.objective = source, target, objective
        self.head = nn.Parameter(torch.zeros(config.ways, config.dim))
        self.scale = config.scale


def fresh(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> MetaModel:
    """A model to be meta-trained; encoders start as random orthogonal maps, the classifier at zero."""
    generator = torch.Generator().manual_seed(seed)
    source, target = (encoder(data.pairs.x[side].shape[1], config, generator) for side in (SOURCE, TARGET))
    return MetaModel(source, target, objective, config).to(data.pairs.x[SOURCE].device)


def encoder(dim_in: int, config: MetaConfig, generator: torch.Generator) -> Projection:
    """A new encoder over features (n, dim in)."""
    return Projection.fresh(config.map, dim_in, config.dim, generator, config.hidden)


def unit(encoder: nn.Module, x: Tensor) -> Tensor:
    """Unit vectors (n, dim)."""
    return normalize(encoder(x), dim=1)


def pair_batch(model: MetaModel, pairs: Stream, crosswise: bool) -> PairBatch:
    """Pairs in the shared space. In the objectives' words, the side that is brought home is the source."""
    x = pairs.x
    return PairBatch(
        source=unit(model.target, x[TARGET]),
        target=unit(model.source, x[SOURCE]),
        frozen=normalize(x[SOURCE], dim=1),
        group=pairs.y if crosswise else None,
    )


class AlignLoss:
    """The objective on the pairs of a batch (equation 2).

    Args:
        crosswise: whether pairs of one class belong together crosswise.
    """

    def __init__(self, crosswise: bool) -> None:
        self.crosswise = crosswise

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        assert isinstance(model, MetaModel)
        return {"align": model.objective(pair_batch(model, batch["pairs"], self.crosswise))}


class ClassifyLoss:
    """Cross-entropy of one side's samples, through its encoder and the classifier.

    Args:
        side: "source" or "target": the stream's name, and whose encoder.
    """

    def __init__(self, side: str) -> None:
        self.side = side

    def __call__(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        assert isinstance(model, MetaModel)
        stream = batch[self.side]
        return {"classify": head_loss(unit(getattr(model, self.side), stream.x[FEATURES]), model, stream.labels)}


def embedded_loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """The same on samples that were encoded: the classifier alone learns."""
    assert isinstance(model, MetaModel)
    return {"classify": head_loss(batch["source"].x[FEATURES], model, batch["source"].labels)}


def head_loss(embedding: Tensor, model: MetaModel, labels: Tensor) -> Tensor:
    """Cross-entropy of unit vectors."""
    return cross_entropy(model.scale * embedding @ model.head.T, labels)


class Autoencoder(nn.Module):
    """An encoder of the target and a linear way back."""

    def __init__(self, target: Projection, back: Projection) -> None:
        super().__init__()
        self.target, self.back = target, back


def reconstruct_loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """Mean squared error of features after the way there and back."""
    assert isinstance(model, Autoencoder)
    x = batch["target"].x[FEATURES]
    return {"reconstruct": mse_loss(model.back(unit(model.target, x)), x) * x.shape[1]}


def plan(stream: str, size: int, steps: int, lr: float, seed: int) -> Plan:
    """A short fit without warm-up or decay of weights, on one stream; `size` samples a step."""
    return Plan(
        {stream: 1.0}, steps=steps, batch_size=size, lr=lr, weight_decay=0.0, warmup=0, eval_every=NEVER, seed=seed
    )
