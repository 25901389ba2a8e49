"""A fitted model and what it said of test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from xm.evaluation.report import Result
from xm.evaluation.significance import Hits
from xm.foundation.errors import RunError
from xm.foundation.files import read_tensors
from xm.foundation.layout import TESTED
from xm.foundation.reading import inside
from xm.learning.predictor import NONE

DECIDED = ("label", "predicted", "item")
"""What is kept of each decision."""

RESTRICTED = "restricted"
"""Of the decisions on test: those among the seen classes, or among the unseen ones, whichever an item is of."""

SEEN, UNSEEN, HARMONIC = "test:seen", "test:unseen", "test:harmonic"
"""Splits: items of seen classes, decided among these; of unseen ones, among these; the two figures' harmonic mean."""


@dataclass(frozen=True)
class Tested:
    """A fitted model and what it said of test.

    Attributes:
        model: itself.
        results: its figures, those of all of test first, then those of its parts, then those of its views.
        decisions: of test, (n,) each: ``label``, what the model ``predicted``, and ``item``, its number in the dataset;
            where classes are unseen also ``restricted``, what it predicted among those of an item's own kind; and of
            its views, behind the split's name: ``test:noise/label``.
        rule: what the decision rule knows of the classes.
        centres: what embeddings were freed of, by modality.
        rows: of test and its parts, by the split's name, which of the decisions its result counts.
    """

    model: nn.Module
    results: tuple[Result, ...]
    decisions: Mapping[str, Tensor]
    rule: Mapping[str, Tensor]
    centres: Mapping[str, Tensor]
    rows: Mapping[str, Tensor]

    @property
    def result(self) -> Result:
        """The figures of all of test."""
        return self.results[0]

    @property
    def hits(self) -> dict[str, Hits]:
        """What it had right, by what each result says was `scored`."""
        return hits_of(self.results, self.decisions, self.rows)


def hits_of(results: Sequence[Result], decisions: Mapping[str, Tensor], rows: Mapping[str, Tensor]) -> dict[str, Hits]:
    """What a model had right, by what each result says was `scored`; see `Tested`. A mean of others has none."""
    whole, found = Hits.of(decisions), {}
    own = Hits.of({**decisions, "predicted": decisions.get(RESTRICTED, decisions["predicted"])})
    for result in results:
        split = result.split
        if split in rows:
            found[result.scored] = (own if split in (SEEN, UNSEEN) else whole)[rows[split].numpy()]
        elif f"{split}/label" in decisions:
            found[result.scored] = Hits.of({key: decisions[f"{split}/{key}"] for key in DECIDED})
    return found


def kept_decisions(run: Path, result: Result, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a model of a run decided on test: labels, decisions, and the items' numbers in the dataset; (n,) each.

    Args:
        run: the folder.
        result: of the model.
        classes: their number.

    Raises:
        RunError: if the run does not keep them, or they are of another form.
    """
    path = inside(run, result.model, TESTED)
    found = read_tensors(path)
    if "item" not in found:
        raise RunError(f"{path}: an older xm wrote it, and it does not say which items were tested; train again")
    label, predicted, item = (found.get(name, torch.empty(0)) for name in DECIDED)
    whole = not any(part.is_floating_point() or part.shape != item.shape[:1] for part in (label, predicted, item))
    if not whole or not len(label) or not bool(((label >= 0) & (label < classes) & (predicted < classes)).all()):
        raise RunError(f"{path}: damaged (its decisions are not those on the run's {classes} classes)")
    return label, predicted.clamp_min(NONE), item
