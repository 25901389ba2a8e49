"""New classes for the fitted models of a run, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from xm.data.naming import unique
from xm.encoders.store import FeatureStore
from xm.evaluation.report import Result
from xm.experiment.restored import Restored
from xm.foundation.errors import RunError, UsageError, unknown
from xm.foundation.layout import INDEX
from xm.learning.context import Context
from xm.learning.model import Towers
from xm.learning.predictor import Predictor
from xm.learning.strategy import make_strategy
from xm.learning.stream import Inputs, Stream


def with_new(classes: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """The classes, and behind them new ones.

    Raises:
        UsageError: if a new one has no name, or is there already.
    """
    added = tuple(dict.fromkeys(name.strip() for name in new))
    for name in added:
        if not name:
            raise UsageError("--add-class: a class needs a name")
        if name in classes:
            raise UsageError(f"--add-class {name}: is a class of the run already")
    return (*classes, *added)


def labels_of(classes: Sequence[str], only: Sequence[str]) -> list[int]:
    """The labels of some classes by their names, as predictions give them, ascending; of all if none are named.

    Raises:
        UsageError: for a name that is no class.
    """
    known = {name: label for label, name in enumerate(unique(classes))}
    for name in only:
        if name not in known:
            raise unknown("class", name, known)
    return sorted({known[name] for name in only} or known.values())


def take_in(run: Restored, result: Result, model: nn.Module, rule: Predictor, classes: Sequence[str]) -> nn.Module:
    """A model of a run with new classes; what the rule knows of classes is found anew.

    Args:
        run: that keeps how class names were read.
        result: of the model.
        model: of the run's classes.
        rule: of the model; it gets other `tensors`, if it has any.
        classes: those of the run, and the new ones behind them.

    Raises:
        UsageError: if the model's strategy can't take in classes; it says which can.
        RunError: if the run does not keep what is needed.
    """
    if not run.plugins.strategies.find(result.strategy).reclasses:
        able = ", ".join(sorted(spec.name for spec in run.plugins.strategies.values() if spec.reclasses))
        raise UsageError(
            f"strategy {result.strategy!r} can't take new classes into a fitted model; train with one that can: "
            f"{able or 'none is installed'}"
        )
    context = _context(run, result, model, tuple(classes))
    found = run.strategy(result).reclass(model, context).to(run.device).eval()
    if rule.tensors:
        rule.tensors = {name: value.to(run.device) for name, value in rule.prepare(classes, context.read_names).items()}
    return found


def _context(run: Restored, result: Result, model: nn.Module, classes: tuple[str, ...]) -> Context:
    """What a strategy is told of old and new classes; no samples."""
    names: Mapping[str, Any] | None = run.index.get("names")
    if not names:
        raise RunError(
            f"{run.folder}: its {INDEX} does not say how class names were read, so none can be added: it was trained "
            "by an older xm, or without an encoder that reads names; train again"
        )
    namer, depths = str(names["modality"]), run.depths(result)
    encoder = run.encoder(namer)

    def features(texts: Sequence[str], depth: int) -> Inputs:
        read = FeatureStore(None).features(encoder, texts, depth=depth)
        if read.failed:
            raise next(iter(read.failed.values()))
        return read.x

    def read_names() -> Stream:
        said = [(label, text.format(name)) for label, name in enumerate(classes) for text in names["templates"]]
        y = torch.tensor([label for label, _ in said])
        towers = Towers({namer: run.tower(result, namer, encoder)}).to(run.device)
        return towers.embed(Stream(namer, features([text for _, text in said], 0), y).to(run.device))

    own = getattr(model, "towers", None)
    return Context(
        classes=classes,
        target=run.target,
        dim=int(names["dim"]),
        train={},
        val=None,
        named=frozenset(),
        towers=own if isinstance(own, Towers) else Towers(),
        device=run.device,
        read_names=read_names,
        read_texts=lambda texts: Stream(namer, features(texts, depths.get(namer, 0))),
        seed=result.seed,
        namer=namer,
        depths=depths,
        make=lambda name, given: make_strategy(name, given, run.plugins),
    )
