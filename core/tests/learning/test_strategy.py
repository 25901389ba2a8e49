"""Strategies: the context, the hooks and `adapt`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm import Context, Plan, Strategy, Stream, fit
from xm.alignment.maps import Affine
from xm.encoders.encoder import Tail
from xm.foundation.errors import PluginError
from xm.foundation.events import Event
from xm.learning.context import adapt
from xm.learning.model import EMBEDDING, LinearClassifier, Tower, Towers, class_means, own_tensors
from xm.learning.stream import Batch

EYE = torch.eye(3)


def stream(modality: str = "image", labels: tuple[int, ...] = (0, 1, 2), weight: Tensor | None = None) -> Stream:
    return Stream(modality, {EMBEDDING: EYE[list(labels)]}, torch.tensor(labels), weight)


def towers() -> Towers:
    return Towers({name: Tower(Tail()) for name in ("image", "text", "audio")})


def context(*aux: str, **more: Any) -> Context:
    given: dict[str, Any] = {"val": stream(), "train": {name: stream(name) for name in ("image", *aux)}} | more
    return Context(classes=("a", "b", "c"), target="image", dim=3, named=frozenset(), towers=towers(), **given)


class Trained(Strategy):
    """A classifier from zero, by the loop."""

    def build(self, context: Context) -> nn.Module:
        return LinearClassifier(context.towers, torch.zeros(3, 3), 1.0)

    def plan(self, context: Context) -> Plan:
        return Plan(shares=context.shares(), steps=40, lr=0.1, warmup=0, eval_every=10, precision=context.precision)


def candidate(weight: Tensor) -> LinearClassifier:
    return LinearClassifier(towers(), weight, 1.0)


class Given(Trained):
    """Yields given candidates and counts how many were asked for."""

    def __init__(self, *weights: Tensor) -> None:
        super().__init__()
        self.models = [candidate(weight) for weight in weights]
        self.asked = 0

    def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
        for one in self.models:
            self.asked += 1
            yield one


def test_shares_are_half_and_half() -> None:
    assert context().shares() == {"image": 1.0}
    assert context("text").shares() == {"image": 0.5, "text": 0.5}
    assert context("text", "audio").shares() == {"image": 0.5, "text": 0.25, "audio": 0.25}
    assert context("text", "audio").shares(0.2) == {"image": 0.8, "text": 0.1, "audio": 0.1}


def test_evaluate_by_hand() -> None:
    """Logits (ln 2, 0, 0) for the first class: probability 1/2; the two others are given a wrong sign."""
    weight = torch.diag(torch.tensor([2.0, 0.5, 0.5]).log())
    accuracy, likelihood = context().evaluate(candidate(weight))
    assert accuracy == pytest.approx(1 / 3)
    expected = torch.tensor([1 / 2, 1 / 5, 1 / 5]).log().mean()
    assert likelihood == pytest.approx(float(expected))


def test_evaluate_needs_val() -> None:
    with pytest.raises(ValueError, match="there is no labelled val"):
        context(val=None).accuracy(candidate(EYE))


def test_texts_are_read_once_and_on_demand() -> None:
    reads = []

    def read() -> Stream:
        reads.append(1)
        return stream("text")

    here = context(read_names=read)
    assert not reads
    assert here.texts is here.texts and len(reads) == 1
    assert context().texts is None


def test_the_generator_starts_anew_at_each_call() -> None:
    here = context(seed=7)
    assert torch.equal(torch.rand(3, generator=here.generator), torch.rand(3, generator=here.generator))


def test_the_best_candidate_on_val_is_taken_and_of_equal_ones_the_first() -> None:
    strategy = Given(-EYE, EYE, EYE.clone())
    assert adapt(strategy, context()) is strategy.models[1]
    assert strategy.asked == 3


def test_of_equally_accurate_candidates_the_more_likely_is_taken() -> None:
    strategy = Given(EYE, 5 * EYE, 2 * EYE)
    assert adapt(strategy, context()) is strategy.models[1]


def test_without_val_the_first_candidate_is_taken_and_no_other_made() -> None:
    strategy = Given(-EYE, EYE)
    assert adapt(strategy, context(val=None)) is strategy.models[0]
    assert strategy.asked == 1


def test_a_strategy_without_candidates_is_told_so() -> None:
    with pytest.raises(PluginError, match=r"Given: solve\(\) yields no candidate"):
        adapt(Given(), context())


def test_a_strategy_must_build() -> None:
    with pytest.raises(NotImplementedError, match="Strategy does not build a model"):
        adapt(Strategy(), context())


def test_finish_has_the_last_word() -> None:
    class Finished(Given):
        def finish(self, model: nn.Module, context: Context) -> nn.Module:
            assert model is self.models[1]
            return candidate(7 * EYE).train()

    model = adapt(Finished(-EYE, EYE), context())
    assert isinstance(model, LinearClassifier) and model.weight[0, 0].item() == 7
    assert not model.training


@pytest.mark.parametrize("precision", ("float32", "bfloat16"))
def test_the_default_solver_is_the_loop(precision: str) -> None:
    events: list[Event] = []
    here = context("text", precision=precision, listener=events.append)
    model = adapt(Trained(), here)
    assert here.accuracy(model) == 1
    assert {e.kind for e in events} == {"step", "eval"}


def test_without_val_the_loop_runs_to_its_end() -> None:
    events: list[Event] = []
    model = adapt(Trained(), context(val=None, listener=events.append))
    assert {e.kind for e in events} == {"step"}
    assert model.weight[0, 0].item() > 1


def test_the_loss_is_over_the_union_of_labelled_streams() -> None:
    """Three images and one text count as four samples; an unlabelled stream counts as none."""
    unlabelled = Stream("audio", {EMBEDDING: EYE})
    batch = {"image": stream(), "text": stream("text", (1,)), "audio": unlabelled}
    model = candidate(torch.diag(torch.tensor([1.0, 2.0, 3.0])))
    losses = [-torch.log_softmax(row, dim=0)[i] for i, row in enumerate(model.weight)]
    expected = (losses[0] + 2 * losses[1] + losses[2]) / 4
    torch.testing.assert_close(Trained().loss(model, batch), {"loss": expected})


def test_weighted_samples_beside_unweighted_ones() -> None:
    """Images of weight 0, 3 and 0, and texts that count once."""
    batch = {"image": stream(weight=torch.tensor([0.0, 3.0, 0.0])), "text": stream("text", (0,))}
    model = candidate(torch.diag(torch.tensor([1.0, 2.0, 3.0])))
    losses = [-torch.log_softmax(row, dim=0)[i] for i, row in enumerate(model.weight)]
    torch.testing.assert_close(Trained().loss(model, batch)["loss"], (3 * losses[1] + losses[0]) / 4)


def test_weights_reach_the_parameters() -> None:
    """Samples of weight 0 teach nothing: the third class's labels are wrong, and weightless."""
    wrong = Stream("image", {EMBEDDING: EYE}, torch.tensor([0, 1, 0]), torch.tensor([1.0, 1.0, 0.0]))
    model = adapt(Trained(), context(train={"image": wrong}, val=None))
    assert torch.equal(model.weight[:, 2], torch.zeros(3))


def test_the_context_s_objective_is_minimised() -> None:
    def shrink(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return (logits - 5).square().mean()

    model = adapt(Trained(), context(objective=shrink, val=None))
    assert float(model.weight.detach().diagonal().min()) > 1
    assert float(model.weight.detach().min()) > 1


def test_own_backward_is_called() -> None:
    class Signed(Trained):
        calls = 0

        def backward(self, model: nn.Module, losses: Mapping[str, Tensor]) -> None:
            self.calls += 1
            (-losses["loss"]).backward()

    strategy = Signed()
    model = adapt(strategy, context(val=None))
    assert strategy.calls == 40 and model.weight[0, 0].item() < 0


def test_fit_within_loss_and_solve() -> None:
    """A strategy may fit other models on the way; the outer fit does not notice."""

    class Nested(Trained):
        inner = 0

        def loss(self, model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
            other = candidate(torch.zeros(3, 3))
            plan = Plan(shares=dict.fromkeys(batch, 1 / len(batch)), steps=2)
            self.inner += fit(other, Trained().loss, batch, plan).steps
            return super().loss(model, batch)

        def solve(self, model: nn.Module, context: Context) -> Iterator[nn.Module]:
            context.fit(candidate(torch.zeros(3, 3)), Trained(), self.plan(context))
            yield from super().solve(model, context)

    strategy = Nested()
    nested, plain = adapt(strategy, context("text")), adapt(Trained(), context("text"))
    assert strategy.inner == 80
    assert torch.equal(nested.weight, plain.weight)


def test_what_a_run_keeps_of_a_model() -> None:
    """Maps that are frozen stay out, trained ones come along, and so does all that is not a tower's."""
    mixed = Towers({"image": Tower(nn.Linear(3, 3)), "text": Tower(Affine(EYE, torch.zeros(3)))})
    model = LinearClassifier(mixed, EYE)
    assert set(own_tensors(model)) == {"weight", "scale", "towers.image.map.weight", "towers.image.map.bias"}
    mixed.requires_grad_(False)
    assert set(own_tensors(model)) == {"weight", "scale"}


def test_the_default_restores_a_linear_classifier() -> None:
    model = candidate(2 * EYE)
    restored = Strategy().restore(towers(), own_tensors(model))
    given = Stream("text", {"features": 4 * EYE})
    torch.testing.assert_close(restored(given), model(given))
    torch.testing.assert_close(restored(given), 2 * EYE)
    assert not any(p.requires_grad for p in restored.parameters())


def test_class_means_of_a_class_without_samples_are_zero() -> None:
    means = class_means(stream(labels=(0, 0, 2)), 3)
    assert means.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(ValueError, match="class means need labels"):
        class_means(Stream("image", {EMBEDDING: EYE}), 3)
