"""The tasks of meta-training, each learned by a few steps of the core loop."""

from __future__ import annotations

import torch
from torch import nn

from xm import Stream, fit
from xm_aligners.croma.model import AlignLoss, ClassifyLoss, MetaModel, embedded_loss, plan, reconstruct_loss, unit
from xm_aligners.croma.reptile import Episode
from xm_aligners.croma.settings import MetaConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET, Groups, MetaData


def align_episode(data: MetaData, config: MetaConfig) -> Episode:
    """An alignment task: pairs of some classes; both encoders learn."""
    loss = AlignLoss(data.crosswise)

    def run(inner: nn.Module, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        groups = data.pair_groups
        if groups is None:
            rows = torch.randperm(len(data.pairs), generator=generator)[: config.batch]
        else:
            rows, _ = groups.task(config.align_ways, config.shots, generator)
        steps = plan("pairs", len(rows), config.inner_steps, config.align_lr, seed)
        fit(inner, loss, {"pairs": data.pairs[rows]}, steps)

    return run


def classify_episode(data: MetaData, config: MetaConfig) -> Episode:
    """A source task: samples of some classes; the classifier learns, and the encoder if the settings open it."""

    def run(inner: nn.Module, seed: int) -> None:
        assert isinstance(inner, MetaModel)
        stream = _labelled(data.source, data.source_groups, config, seed)
        if not config.open_encoder:
            with torch.no_grad():
                stream = Stream(stream.modality, {FEATURES: unit(inner.source, stream.x[FEATURES])}, stream.y)
        steps = plan("source", len(stream), config.inner_steps, config.classify_lr, seed)
        fit(inner, ClassifyLoss(SOURCE) if config.open_encoder else embedded_loss, {"source": stream}, steps)

    return run


def target_episode(data: MetaData, config: MetaConfig) -> Episode:
    """A task of the oracle: labelled samples of the target; encoder and classifier learn."""
    target = data.unlabelled

    def run(inner: nn.Module, seed: int) -> None:
        labelled = Stream(target.modality, target.x, data.target_groups.y)
        stream = _labelled(labelled, data.target_groups, config, seed)
        steps = plan(TARGET, len(stream), 2 * config.inner_steps, config.classify_lr, seed)
        fit(inner, ClassifyLoss(TARGET), {TARGET: stream}, steps)

    return run


def reconstruct_episode(data: MetaData, config: MetaConfig) -> Episode:
    """Items of the target, drawn without labels, to be reconstructed."""
    target = data.unlabelled

    def run(inner: nn.Module, seed: int) -> None:
        rows = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))[: config.batch]
        steps = plan("target", len(rows), 2 * config.inner_steps, config.align_lr, seed)
        fit(inner, reconstruct_loss, {"target": target[rows]}, steps)

    return run


def _labelled(stream: Stream, groups: Groups, config: MetaConfig, seed: int) -> Stream:
    """A few-shot task of a labelled stream, its classes numbered from 0."""
    rows, labels = groups.task(config.ways, config.shots, torch.Generator().manual_seed(seed))
    found = stream[rows]
    return Stream(stream.modality, found.x, labels.to(rows.device))
