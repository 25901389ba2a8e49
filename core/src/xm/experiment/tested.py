"""A fitted model and what it said of test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from xm.evaluation.report import Result
from xm.evaluation.significance import Hits

DECIDED = ("label", "predicted", "item")
"""What is kept of each decision."""


@dataclass(frozen=True)
class Tested:
    """A fitted model and what it said of test.

    Attributes:
        model: itself.
        results: its figures, those of all of test first, then those of its parts, then those of its views.
        decisions: of test, (n,) each: ``label``, what the model ``predicted``, and ``item``, its number in the dataset;
            and of its views, behind the split's name: ``test:noise/label``.
        rule: what the decision rule knows of the classes.
        centres: what embeddings were freed of, by modality.
        rows: of the results on test and its parts, which of the decisions each counts.
    """

    model: nn.Module
    results: tuple[Result, ...]
    decisions: Mapping[str, Tensor]
    rule: Mapping[str, Tensor]
    centres: Mapping[str, Tensor]
    rows: tuple[Tensor, ...]

    @property
    def result(self) -> Result:
        """The figures of all of test."""
        return self.results[0]

    @property
    def hits(self) -> dict[str, Hits]:
        """What it had right, by what each result says was `scored`."""
        return hits_of(self.results, self.decisions, self.rows)


def hits_of(results: Sequence[Result], decisions: Mapping[str, Tensor], rows: Sequence[Tensor]) -> dict[str, Hits]:
    """What a model had right, by what each result says was `scored`; see `Tested`."""
    whole = Hits.of(decisions)
    found = {result.scored: whole[part.numpy()] for result, part in zip(results, rows, strict=False)}
    for result in results[len(rows) :]:
        found[result.scored] = Hits.of({key: decisions[f"{result.split}/{key}"] for key in DECIDED})
    return found
