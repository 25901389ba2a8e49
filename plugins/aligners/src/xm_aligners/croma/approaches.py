"""CroMA and what it is compared with: each makes a start for few-shot learning from the same data and budget.

Every approach takes `config.steps` gradient steps on each of two losses, or twice as many on its only one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from xm import Batch, PairObjective, Plan, Stream, fit
from xm.learning import cross_entropy
from xm_aligners.croma.episodes import classify_episode, reconstruct_episode, target_episode
from xm_aligners.croma.few_shot import Start
from xm_aligners.croma.meta import meta_align
from xm_aligners.croma.model import (
    AlignLoss,
    Autoencoder,
    MetaModel,
    encoder,
    fresh,
    plan,
    reconstruct_loss,
    unit,
)
from xm_aligners.croma.reptile import number, reptile
from xm_aligners.croma.settings import ApproachConfig, MetaConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, MetaData

Approach: TypeAlias = Callable[[MetaData, PairObjective, ApproachConfig, int], Start]
"""Data, a fresh objective, settings and a seed to a start."""


def pre_training(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> Start:
    """An autoencoder of the target's unlabelled items, trained plainly."""
    model = _autoencoder(data, config, seed)
    steps = plan(TARGET, config.batch, 2 * config.steps, config.align_lr, seed)
    fit(model, reconstruct_loss, {TARGET: data.unlabelled}, steps)
    return _new_head(model.target, config)


def unsupervised_meta(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> Start:
    """Reptile over reconstruction tasks of the target's unlabelled items."""
    model = _autoencoder(data, config, seed)
    episodes = {"reconstruct": reconstruct_episode(data, config)}
    reptile(model, episodes, config.iterations, config.epsilon, anneal=config.anneal, seed=seed)
    return _new_head(model.target, config)


def align_classify(data: MetaData, objective: PairObjective, config: ApproachConfig, seed: int) -> Start:
    """Both losses at once, trained plainly on all pairs and all source classes; new classes get new rows."""
    model = Shared(fresh(data, objective, config, seed), len(data.source_groups.rows), data.crosswise)
    labels = torch.unique(data.source.labels, return_inverse=True)[1]
    streams = {"pairs": data.pairs, SOURCE: Stream(data.source.modality, data.source.x, labels)}
    both = Plan(
        {"pairs": 0.5, SOURCE: 0.5},
        steps=config.steps,
        batch_size=2 * config.batch,
        lr=config.align_lr,
        weight_decay=0.0,
        warmup=0,
        eval_every=config.steps + 1,
        seed=seed,
    )
    fit(model, _shared_loss, streams, both)
    return _start(_with_rows(model.meta, data, config, seed))


def _with_rows(model: MetaModel, data: MetaData, config: ApproachConfig, seed: int) -> MetaModel:
    """The model, its classifier of N ways made as `config.rows` says; it was zeros so far."""
    if config.rows == "random":
        generator = torch.Generator().manual_seed(number(seed, "rows"))
        drawn = 2 * torch.rand(model.head.shape, generator=generator) - 1
        with torch.no_grad():
            model.head.copy_(drawn * config.dim**-0.5)
    if config.rows == "tasks":
        reptile(model, {"classify": classify_episode(data, config)}, config.iterations, 1.0, seed=seed)
    return model


def align_meta_classify(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> Start:
    """Plain alignment on all pairs, then Reptile over source tasks for the classifier."""
    model = fresh(data, objective, config, seed)
    steps = plan("pairs", config.batch, config.steps, config.align_lr, seed)
    fit(model, AlignLoss(data.crosswise), {"pairs": data.pairs}, steps)
    episodes = {"classify": classify_episode(data, config)}
    reptile(model, episodes, config.iterations, config.epsilon, anneal=config.anneal, seed=seed)
    return _start(model)


def croma(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> Start:
    """Algorithm 1."""
    return _start(meta_align(data, objective, config, seed=seed))


def oracle(data: MetaData, objective: PairObjective, config: MetaConfig, seed: int) -> Start:
    """Within the modality: Reptile over labelled tasks of the target, which nobody else has."""
    model = fresh(data, objective, config, seed)
    episodes = {"classify": target_episode(data, config)}
    reptile(model, episodes, config.iterations, config.epsilon, anneal=config.anneal, seed=seed)
    return _start(model)


APPROACHES: Mapping[str, Approach] = {
    "pre-training": pre_training,
    "unsupervised-meta": unsupervised_meta,
    "align-classify": align_classify,
    "align-meta-classify": align_meta_classify,
    "croma": croma,
    "oracle": oracle,
}
"""By name, in the order of the paper's table."""


class Shared(nn.Module):
    """A meta model and one classifier over all the source's classes, trained together.

    Args:
        meta: its own classifier stays unused.
        classes: how many the source has.
        crosswise: whether pairs of one class belong together crosswise.
    """

    def __init__(self, meta: MetaModel, classes: int, crosswise: bool) -> None:
        super().__init__()
        self.meta = meta
        self.rows = nn.Parameter(torch.zeros(classes, meta.head.shape[1], device=meta.head.device))
        self.align = AlignLoss(crosswise)


def _shared_loss(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    assert isinstance(model, Shared)
    embedding = unit(model.meta.source, batch[SOURCE].x[FEATURES])
    classify = cross_entropy(model.meta.scale * embedding @ model.rows.T, batch[SOURCE].labels)
    return {**model.align(model.meta, batch), "classify": classify}


def _autoencoder(data: MetaData, config: MetaConfig, seed: int) -> Autoencoder:
    generator = torch.Generator().manual_seed(number(seed, "autoencoder"))
    dim = data.unlabelled.x[FEATURES].shape[1]
    target = encoder(dim, config, generator)
    back = type(target).fresh("linear", config.dim, dim, generator)
    return Autoencoder(target, back).to(data.unlabelled.x[FEATURES].device)


def _start(model: MetaModel) -> Start:
    return Start(model.target, model.head, model.scale)


def _new_head(target: nn.Module, config: MetaConfig) -> Start:
    """The encoder, and a classifier that has seen nothing yet."""
    device = next(target.parameters()).device
    return Start(target, torch.zeros(config.ways, config.dim, device=device), config.scale)
