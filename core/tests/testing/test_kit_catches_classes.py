"""A strategy that breaks on unseen or new classes, or on their texts, does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from xm import Context, Strategy, StrategySpec, Stream, UsageError
from xm.learning import EMBEDDING, LinearClassifier, class_means
from xm.testing import StrategyConformance
from xm.testing.synthetic import ClassMeans


class Counting(ClassMeans):
    """Takes the class names for equally many of each class."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        names = context.names.x[EMBEDDING]
        return weight + 0.1 * names.view(len(context.classes), -1, context.dim).mean(dim=1)


class Refusing(ClassMeans):
    """Says that it needs equally many."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        if len(set(context.names.labels.bincount().tolist())) > 1:
            raise UsageError("as many texts of each class are needed")
        return weight


class Averaging(ClassMeans):
    """Divides by how many samples a class has."""

    def build(self, context: Context) -> nn.Module:
        stream = context.train[context.target]
        x, y = stream.x[EMBEDDING], stream.labels
        means = torch.stack([x[y == label].mean(dim=0) for label in range(len(context.classes))])
        return LinearClassifier(context.towers, means, 10.0, trainable=False)


class Narrow(ClassMeans):
    """Has no logits of unseen classes."""

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        if context.seen is None or not isinstance(model, LinearClassifier):
            return model
        return LinearClassifier(context.towers, model.weight[context.seen], model.scale)


class Confused(ClassMeans):
    """Learns of nothing but the first class, where some are unseen."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight if context.seen is None else weight * (torch.arange(len(weight)) == 0)[:, None]


class Open(ClassMeans):
    """Takes in new classes by their names; nothing is wrong with it."""

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        assert isinstance(model, LinearClassifier)
        return model.extended(self.rows(context)[len(model.weight) :])

    def rows(self, context: Context) -> Tensor:
        return class_means(context.names, len(context.classes))


class Secret(Open):
    """Does not say so in its spec."""


class Blind(Open):
    """New classes are none's."""

    def rows(self, context: Context) -> Tensor:
        return -super().rows(context)


class Empty(Open):
    def rows(self, context: Context) -> Tensor:
        return super().rows(context) / 0


class Anew(Open):
    """Makes the old rows of names too."""

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        return LinearClassifier(context.towers, self.rows(context), 10.0, trainable=False)


class Unchanged(Open):
    """Leaves the model as it is."""

    def reclass(self, model: nn.Module, context: Context) -> nn.Module:
        return model


SUITE = StrategyConformance()
Check = Callable[[StrategySpec], None]


def spec(strategy: type[Strategy]) -> StrategySpec:
    name, reclasses = strategy.__name__, issubclass(strategy, Open) and strategy is not Secret
    return StrategySpec(name=name.lower(), target=f"{__name__}:{name}", reclasses=reclasses)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (Averaging, "with unseen classes logits are not finite"),
        (Narrow, "logits have shape"),
        (Confused, "are right among these classes"),
    ],
)
def test_one_that_breaks_on_unseen_classes_is_caught(strategy: type[Strategy], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        SUITE.test_unseen_classes(spec(strategy), ())


def test_a_sound_one_is_not() -> None:
    SUITE.test_unseen_classes(spec(ClassMeans), ())


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (Secret, "its spec is to say reclasses=True"),
        (Blind, "of the new class's samples are right"),
        (Empty, "logits of the new class are not finite"),
        (Anew, "what is said of old classes is not what it was"),
        (Unchanged, "logits of 4 classes and a new one have shape"),
    ],
)
def test_a_broken_way_of_taking_in_classes_is_caught(strategy: type[Strategy], said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        SUITE.test_new_classes(spec(strategy), tmp_path)


@pytest.mark.parametrize("strategy", (ClassMeans, Open))
def test_a_sound_way_is_not_and_neither_is_a_refusal(strategy: type[Strategy], tmp_path: Path) -> None:
    SUITE.test_new_classes(spec(strategy), tmp_path)


def test_one_that_needs_equally_many_texts_is_caught() -> None:
    SUITE.test_classes_may_have_unequally_many_texts(spec(ClassMeans))
    SUITE.test_classes_may_have_unequally_many_texts(spec(Refusing))
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        SUITE.test_classes_may_have_unequally_many_texts(spec(Counting))


class Knowing(StrategyConformance):
    semantics: ClassVar = {"colours": "matrix", "descriptions": "texts", "kinds": "triples"}


def test_what_is_asked_of_classes_is_there() -> None:
    context = Knowing().context(spec(ClassMeans))
    colours, texts = context.semantics("colours"), context.semantics("descriptions")
    assert isinstance(colours, Tensor) and len(colours) == len(context.classes)
    assert isinstance(texts, Stream) and texts.labels.bincount().tolist() == [1, 2, 3, 4, 5]
    assert context.semantics("kinds") == tuple((name, "is a", "animal") for name in context.classes)
    with pytest.raises(UsageError, match=r"unknown semantics 'kind': did you mean 'kinds'\? .*--semantics kind=FILE"):
        context.semantics("kind")
