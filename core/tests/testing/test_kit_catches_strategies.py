"""A broken strategy does not get through the kit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Context, Plan, Reading, Strategy, StrategySpec, Stream, UsageError
from xm.learning import ParameterGroup
from xm.learning.model import EMBEDDING, LinearClassifier, Towers, class_means
from xm.testing import StrategyConformance


class Sound(Strategy):
    """Class means of the target; nothing is wrong with it."""

    def build(self, context: Context) -> nn.Module:
        weight = class_means(context.train[context.target], len(context.classes))
        return LinearClassifier(context.towers, self.weight(weight, context), 10.0, trainable=False)

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight


class Random(Sound):
    """Draws from the process's random state."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight + 0.1 * torch.randn_like(weight)


class Seeding(Sound):
    """Sets the process's random state."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        torch.manual_seed(context.seed)
        return weight


class Threads(Sound):
    def weight(self, weight: Tensor, context: Context) -> Tensor:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return weight


class Mirrored(Sound):
    """Class means of the target and its mirror image; nothing is wrong with it."""

    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
        return {"mirror": Reading(view="flip"), "other": Reading(encoder="other"), "deep": Reading(depth=1)}

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        mirror = context.train[context.target].reading("mirror")
        assert context.reader("other").dim == context.train[context.target].also["other"][EMBEDDING].shape[1]
        return normalize(weight + class_means(mirror, len(context.classes)), dim=1)


class Worded(Mirrored):
    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Any]:
        return {"mirror": "flip"}


class Erasing(Mirrored):
    """Overwrites a reading."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        found = super().weight(weight, context)
        context.train[context.target].also["mirror"][EMBEDDING].zero_()
        return found


class Ignorant(Sound):
    """Learns nothing."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return torch.zeros_like(weight)


class Infinite(Sound):
    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight / 0


class InPlace(Sound):
    """Centres the samples where they are."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        x = context.train[context.target].x[EMBEDDING]
        x -= x.mean(dim=0)
        return weight


class OnVal(Sound):
    """Fits labels of val, which it makes up as it goes."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        if context.val is not None and context.val.y is not None:
            context.val.y.zero_()
        return weight


class Batchwise(nn.Module):
    """Centres the items of a batch together."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, stream: Stream) -> Tensor:
        logits: Tensor = self.inner(stream)
        return logits - logits.mean(dim=0)


class Transductive(Sound):
    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        return Batchwise(model)

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        own = {name.removeprefix("inner."): value for name, value in tensors.items()}
        return Batchwise(super().restore(towers, own))


class Forgetful(Sound):
    """Restores other weights."""

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return LinearClassifier(towers, normalize(tensors["weight"].round(decimals=1), dim=1), tensors["scale"])


class Training(Sound):
    """Leaves the model in training mode."""

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        class Stubborn(LinearClassifier):
            def eval(self) -> Any:
                return self.train()

        yield Stubborn(context.towers, model.weight, model.scale)


class Recording(Sound):
    """Records a tensor."""

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        context.record["ratios"] = (0.1, 0.2)
        return model


class Learner(Sound):
    """Class means of the names and of the unlabelled samples that are most like them."""

    def build(self, context: Context) -> nn.Module:
        names = class_means(context.names, len(context.classes))
        x = context.unlabelled[context.target].x[EMBEDDING]
        near = (x @ names.T).topk(5, dim=0).indices
        return LinearClassifier(context.towers, normalize(x[near].mean(dim=0), dim=1), 10.0, trainable=False)


class Ordered(Sound):
    """Takes unlabelled samples for sorted by class."""

    def build(self, context: Context) -> nn.Module:
        x = context.unlabelled[context.target].x[EMBEDDING]
        means = torch.stack([part.mean(dim=0) for part in x.chunk(len(context.classes))])
        return LinearClassifier(context.towers, normalize(means, dim=1), 10.0, trainable=False)


class Centring(Learner):
    """Centres the unlabelled samples where they are."""

    def build(self, context: Context) -> nn.Module:
        x = context.unlabelled[context.target].x[EMBEDDING]
        x -= x.mean(dim=0)
        return super().build(context)


class Ruled(Sound):
    predictor = "no such rule"


class Counting(Sound):
    """Takes the class names for equally many of each class."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        names = context.names.x[EMBEDDING]
        return weight + 0.1 * names.view(len(context.classes), -1, context.dim).mean(dim=1)


class Refusing(Sound):
    """Says that it needs equally many."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        if len(set(context.names.labels.bincount().tolist())) > 1:
            raise UsageError("as many texts of each class are needed")
        return weight


class Trained(Sound):
    """The loop trains the weights; nothing is wrong with it either."""

    def build(self, context: Context) -> nn.Module:
        model = super().build(context)
        model.register_buffer("average", torch.zeros(()))
        return model.requires_grad_()

    def plan(self, context: Context) -> Plan:
        return Plan(shares=context.shares(), steps=10, seed=context.seed)

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters()), lr_scale=0.1)]

    def stepped(self, model: nn.Module, step: int) -> None:
        average = model.get_buffer("average")
        average += (model.get_parameter("weight").mean() - average) / (step + 1)


class Twice(Trained):
    """Names a parameter in two groups."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters())), ParameterGroup([model.get_parameter("weight")])]


class Frozen(Sound):
    """Names a frozen parameter."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup(list(model.parameters()))]


class Foreign(Trained):
    """Names a parameter that the model does not have."""

    def groups(self, model: nn.Module) -> Sequence[ParameterGroup] | None:
        return [ParameterGroup([nn.Parameter(torch.zeros(3))])]


class Noisy(Trained):
    """Draws after each step."""

    def stepped(self, model: nn.Module, step: int) -> None:
        torch.rand(())


class Remembering(Trained):
    """Averages over what it remembers itself, of whichever model it was."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self.steps = 0

    def stepped(self, model: nn.Module, step: int) -> None:
        self.steps += 1
        model.get_buffer("average").add_(self.steps)


class Layered(Sound):
    """Puts a layer behind an opened tower's, and does not say what other trainings would make of it."""

    def depths(self, target: str, aux: Sequence[str], namer: str | None) -> Mapping[str, int]:
        return {target: 1}

    def build(self, context: Context) -> nn.Module:
        return self.made(deepcopy(context.towers), torch.eye(5, context.dim))

    def made(self, towers: Towers, weight: Tensor) -> nn.Module:
        tower = towers["seen"]
        tower.map = nn.Sequential(tower.map, nn.Linear(16, 16, bias=False))
        return LinearClassifier(towers, weight)

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        yield model

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        model = self.made(towers, tensors["weight"])
        model.load_state_dict(dict(tensors), strict=False)
        return model


class Withholding(Layered):
    """Says that it left towers as they were."""

    def tuned(self, towers: Towers, tensors: Mapping[str, Tensor]) -> Mapping[str, Mapping[str, Tensor]]:
        return {}


class Averaging(Sound):
    """Divides by how many samples a class has."""

    def build(self, context: Context) -> nn.Module:
        stream = context.train[context.target]
        x, y = stream.x[EMBEDDING], stream.labels
        means = torch.stack([x[y == label].mean(dim=0) for label in range(len(context.classes))])
        return LinearClassifier(context.towers, means, 10.0, trainable=False)


class Narrow(Sound):
    """Has no logits of unseen classes."""

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        if context.seen is None or not isinstance(model, LinearClassifier):
            return model
        return LinearClassifier(context.towers, model.weight[context.seen], model.scale)


class Confused(Sound):
    """Learns of nothing but the first class, where some are unseen."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        return weight if context.seen is None else weight * (torch.arange(len(weight)) == 0)[:, None]


class Open(Sound):
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
    needy = issubclass(strategy, Learner | Ordered)
    name = strategy.__name__
    reclasses = issubclass(strategy, Open) and strategy is not Secret
    return StrategySpec(name=name.lower(), target=f"{__name__}:{name}", needs_unlabelled=needy, reclasses=reclasses)


def beats_chance(given: StrategySpec) -> None:
    SUITE.test_beats_chance(given, ("named",), True, 4)


CASES: list[tuple[type[Strategy], Check, str]] = [
    (Worded, lambda given: SUITE.test_readings(given, ()), "no readings"),
    (Erasing, SUITE.test_leaves_its_input_alone, "samples of seen in train were changed"),
    (Random, SUITE.test_deterministic_by_seed, "two models"),
    (Random, SUITE.test_leaves_the_process_alone, "torch's random state"),
    (Seeding, SUITE.test_leaves_the_process_alone, "torch's random state"),
    (Threads, SUITE.test_leaves_the_process_alone, "torch's threads"),
    (Ignorant, beats_chance, "accuracy"),
    (Infinite, beats_chance, "not finite"),
    (InPlace, SUITE.test_leaves_its_input_alone, "samples of seen in train were changed"),
    (OnVal, SUITE.test_leaves_its_input_alone, "val was changed"),
    (Transductive, SUITE.test_items_are_judged_alone, "not close"),
    (Training, SUITE.test_items_are_judged_alone, "evaluation mode"),
    (Ordered, SUITE.test_without_labels, "held-out samples are right"),
    (Ordered, SUITE.test_unlabelled_samples_in_any_order, "decisions are others"),
    (Centring, SUITE.test_leaves_its_input_alone, "unlabelled seen were changed"),
    (Recording, lambda given: SUITE.test_record(given, ("named",)), "not plain JSON"),
    (Twice, SUITE.test_groups, "weight is in the groups twice"),
    (Frozen, SUITE.test_groups, "a group has weight, which is frozen"),
    (Foreign, SUITE.test_groups, "of no model"),
    (Noisy, SUITE.test_stepped, "torch's random state"),
    (Remembering, SUITE.test_stepped, "the strategy remembers another one"),
    (Averaging, lambda given: SUITE.test_unseen_classes(given, ()), "with unseen classes logits are not finite"),
    (Narrow, lambda given: SUITE.test_unseen_classes(given, ()), "logits have shape"),
    (Confused, lambda given: SUITE.test_unseen_classes(given, ()), "are right among these classes"),
]


@pytest.mark.parametrize(("strategy", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(strategy: type[Strategy], check: Check, said: str) -> None:
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]), pytest.raises(AssertionError, match=said):
            check(spec(strategy))
    finally:
        torch.set_num_threads(threads)


def test_another_model_after_restoring_is_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not close"):
        SUITE.test_restore(spec(Forgetful), ("named",), tmp_path)


@pytest.mark.parametrize(
    ("strategy", "said"), [(Layered, "does not fit a new tower's tail"), (Withholding, "the seen tower is another")]
)
def test_towers_that_nobody_can_start_from_are_caught(strategy: type[Strategy], said: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=said):
        SUITE.test_goes_on_from_a_run(spec(strategy), tmp_path)


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


@pytest.mark.parametrize("strategy", (Sound, Open, Mirrored))
def test_a_sound_way_is_not_and_neither_is_a_refusal(strategy: type[Strategy], tmp_path: Path) -> None:
    SUITE.test_new_classes(spec(strategy), tmp_path)


@pytest.mark.parametrize("strategy", (Sound, Trained, Mirrored))
@pytest.mark.parametrize("check", [check for kind, check, _ in CASES if not issubclass(kind, Learner | Ordered)])
def test_a_sound_one_is_not(check: Check, strategy: type[Strategy]) -> None:
    check(spec(strategy))


@pytest.mark.parametrize("check", [check for kind, check, _ in CASES if issubclass(kind, Learner | Ordered)])
def test_a_sound_one_without_labels_is_not(check: Check) -> None:
    check(spec(Learner))


def test_a_rule_that_is_not_registered_is_caught() -> None:
    with pytest.raises(UsageError, match="unknown predictor 'no such rule'"):
        SUITE.test_names_a_rule(spec(Ruled))


def test_one_that_needs_equally_many_texts_is_caught() -> None:
    SUITE.test_classes_may_have_unequally_many_texts(spec(Sound))
    SUITE.test_classes_may_have_unequally_many_texts(spec(Refusing))
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        SUITE.test_classes_may_have_unequally_many_texts(spec(Counting))


class Knowing(StrategyConformance):
    semantics: ClassVar = {"colours": "matrix", "descriptions": "texts", "kinds": "triples"}


def test_what_is_asked_of_classes_is_there() -> None:
    context = Knowing().context(spec(Sound))
    colours, texts = context.semantics("colours"), context.semantics("descriptions")
    assert isinstance(colours, Tensor) and len(colours) == len(context.classes)
    assert isinstance(texts, Stream) and texts.labels.bincount().tolist() == [1, 2, 3, 4, 5]
    assert context.semantics("kinds") == tuple((name, "is a", "animal") for name in context.classes)
    with pytest.raises(UsageError, match=r"unknown semantics 'kind': did you mean 'kinds'\? .*--semantics kind=FILE"):
        context.semantics("kind")


def test_a_strategy_that_is_not_registered_is_caught() -> None:
    with pytest.raises(AssertionError, match="unknown strategy 'sound'"):
        SUITE.test_registered_lazily(spec(Sound))
