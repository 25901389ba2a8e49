"""The figures of a model: of all of test, of parts of it, of seen and unseen classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from xm.evaluation.metrics import coverage, measure
from xm.evaluation.report import Result
from xm.experiment.tested import HARMONIC, RESTRICTED, SEEN, UNSEEN
from xm.foundation.errors import DataError
from xm.learning.predictor import Predictor, among, decide, decisions
from xm.learning.stream import Stream

GENERALISED = "generalised-"
"""In the names of splits of seen and unseen classes: their items, decided among all classes."""


UNTOLD = "untold"
"""In the record of a model: unseen classes of which it had neither name nor sample, so that it decides by chance."""


class Logits(Predictor):
    """A model's logits as they are."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = model(inputs)
            return logits.float()


def confined(model: nn.Module, inputs: Stream, scores: Tensor, labels: Collection[int]) -> Tensor:
    """The rule's probabilities (n, classes), all of them given to some classes.

    Where the rule leaves nothing to these, as softmax does to what is far behind, the model's logits decide.

    Args:
        model: itself.
        inputs: n items.
        scores: (n, classes), the rule's probabilities.
        labels: of these classes.
    """
    classes = torch.tensor(sorted(labels), device=scores.device)
    found = among(scores, classes)
    lost = (found.amax(dim=1) <= 0).nonzero()[:, 0]
    if len(lost):
        some = inputs[lost.to(next(iter(inputs.x.values())).device)]
        found[lost] = 0
        found[lost[:, None], classes] = decide(Logits(), model, some, scores.device)[:, classes].softmax(dim=1)
    return found


def restricted(
    rule: Predictor, model: nn.Module, inputs: Stream, scores: Tensor, labels: Tensor, seen: Collection[int]
) -> Tensor:
    """Decisions (n,) among the seen classes for items (n,) of these, and among the unseen ones for the others."""
    found = torch.full_like(labels, -1)
    for side in (set(seen), set(range(scores.shape[1])) - set(seen)):
        rows = torch.isin(labels, torch.tensor(sorted(side), device=labels.device)).nonzero()[:, 0]
        if len(rows):
            some = inputs[rows.to(next(iter(inputs.x.values())).device)]
            own = confined(model, some, scores[rows.to(scores.device)], side)
            found[rows] = decisions(rule, own).to(found.device)
    return found


def by_class(labels: Tensor, classes: int, seen: Collection[int]) -> dict[str, Tensor]:
    """Rows of test (n,) by the splits of seen and unseen classes. Of one unseen class nothing is decided but among all.

    Raises:
        DataError: if test holds no item of a seen class, or none of an unseen one.
    """
    within = torch.isin(labels, torch.tensor(sorted(seen)))
    rows = {SEEN: within.nonzero()[:, 0], UNSEEN: (~within).nonzero()[:, 0]}
    for split, part in rows.items():
        if not len(part):
            raise DataError(f"test holds no item of {'a seen' if split == SEEN else 'an unseen'} class")
    among_all = {generalised(split): part for split, part in rows.items()}
    return {**(rows if classes - len(seen) > 1 else {}), **among_all}


def generalised(split: str) -> str:
    """The split of the same items, decided among all classes."""
    return split.replace(":", f":{GENERALISED}")


def figure(result: Result, split: str, label: Tensor, predicted: Tensor, *, abstains: bool) -> Result:
    """The result of a split.

    Args:
        result: what all splits have in common.
        split: its name.
        label: (n,).
        predicted: (n,).
        abstains: whether the rule may.
    """
    told = coverage(predicted) if abstains else None
    value = measure(result.metric, label, predicted)
    return replace(result, split=split, value=value, n=len(label), coverage=told)


def figures(
    result: Result, decided: Mapping[str, Tensor], rows: Mapping[str, Tensor], *, abstains: bool
) -> Iterator[Result]:
    """The results of all splits of test, in order, and behind those of unseen classes the harmonic mean with the seen.

    Args:
        result: what all have in common.
        decided: ``label`` and ``predicted``, and `RESTRICTED` where classes are unseen; (n,) each.
        rows: by split.
        abstains: whether the rule may.
    """
    label, found = decided["label"], {}
    for split, part in rows.items():
        predicted = decided[RESTRICTED if split in (SEEN, UNSEEN) else "predicted"]
        found[split] = figure(result, split, label[part], predicted[part], abstains=abstains)
        yield found[split]
        for one, other, both in ((SEEN, UNSEEN, HARMONIC), tuple(map(generalised, (SEEN, UNSEEN, HARMONIC)))):
            if split == other:
                value = harmonic(found[one].value, found[other].value)
                yield replace(found[one], split=both, value=value, n=found[one].n + found[other].n, coverage=None)


def harmonic(one: float, other: float) -> float:
    """The harmonic mean of two figures, 0..1; 0 if one is."""
    return 2 * one * other / (one + other) if one + other else 0.0


def unseen_in(classes: Sequence[str], seen: Collection[int] | None, known: Collection[int]) -> dict[str, list[str]]:
    """For the record of a model: its unseen classes, if there are any; and those of which it was told nothing.

    Args:
        classes: in words.
        seen: labels of the seen ones; None: all.
        known: labels of those that something is known of.
    """
    if seen is None:
        return {}
    unseen = [label for label in range(len(classes)) if label not in seen]
    untold = [classes[label] for label in unseen if label not in known]
    return {"unseen": [classes[label] for label in unseen], **({UNTOLD: untold} if untold else {})}
