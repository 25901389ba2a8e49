"""A strategy inside another, rules of strategies, and what judges items together without saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import xm
from xm import Context, Predictor, PredictorSpec, StrategySpec, Stream, UsageError, Wrapping
from xm.evaluation.report import Report
from xm.foundation.layout import RULE
from xm.learning import EMBEDDING, Towers, adapt, make_strategy
from xm.plugins.plugin_manager import PluginManager
from xm.testing import synthetic

Train = Callable[..., Report]


class Means(synthetic.ClassMeans):
    """Says how many samples it learned from."""

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        context.record["learned from"] = len(context.train[context.target])
        return weight


class Opening(Means):
    def depths(self, target: str, aux: Any, namer: str | None) -> Mapping[str, int]:
        return {target: 1}


class Doubled(Wrapping):
    """The strategy inside, on every sample of the target twice."""

    def build(self, context: Context) -> nn.Module:
        stream = context.train[context.target]
        twice = stream[torch.arange(len(stream)).repeat(2)]
        return context.adapt(self.inner, train={**context.train, context.target: twice})


class Half(Predictor):
    """Argmax, of which it is half as sure; knows the classes' names."""

    def prepare(self, classes: Any, read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        names = read_names()
        assert names is not None
        return {"names": names.x[EMBEDDING].clone(), "known": torch.tensor(len(self.read_prototypes()))}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            p: Tensor = model(inputs).softmax(dim=1)
        return (p + 1 / p.shape[1]) / 2


class Particular(Means):
    predictor = "half"


class OfTheBatch(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, stream: Stream) -> Tensor:
        logits: Tensor = self.inner(stream)
        return logits - logits.mean(dim=0)


class Batchwise(Means):
    """Its model frees logits of their mean over the batch, of which it says nothing."""

    def finish(self, model: nn.Module, context: Context) -> nn.Module:
        return OfTheBatch(model)

    def restore(self, towers: Towers, tensors: Mapping[str, Tensor]) -> nn.Module:
        return OfTheBatch(super().restore(towers, {k.removeprefix("inner."): v for k, v in tensors.items()}))


@pytest.fixture
def more(plugins: PluginManager, toy: Any) -> PluginManager:
    for kind in (Means, Opening, Doubled, Particular, Batchwise):
        name = kind.__name__
        setattr(toy, name, kind)
        plugins.strategies[name.lower()] = StrategySpec(name=name.lower(), target=f"xm_toy:{name}")
    toy.Half = Half
    plugins.predictors["half"] = PredictorSpec(name="half", target="xm_toy:Half")
    return plugins


def context(plugins: PluginManager, **more: Any) -> Context:
    return replace(synthetic.context(("named",), **more), make=lambda name, given: make_strategy(name, given, plugins))


def test_the_strategy_inside_learns_from_other_samples(more: PluginManager) -> None:
    here = context(more)
    model = adapt(make_strategy("doubled", {"inner": "means"}, more), here)
    assert here.record == {"inner": {"learned from": 40}}
    alone = adapt(Means(), context(more))
    inputs = synthetic.held_out()
    torch.testing.assert_close(model(inputs), alone(inputs))


def test_a_strategy_by_its_name(more: PluginManager) -> None:
    here = context(more)
    model = here.adapt("linear", {"init": "zero"}, val=None)
    assert model(synthetic.held_out()).shape == (200, 5)
    with pytest.raises(UsageError, match="unknown strategy 'liner': did you mean 'linear'"):
        here.adapt("liner")


def test_strategies_inside_strategies_inside_strategies(more: PluginManager) -> None:
    nested = make_strategy("doubled", {"inner": "doubled2", "inner_set": {"inner": "means"}}, _twice(more))
    here = context(more)
    adapt(nested, here)
    assert here.record == {"inner": {"inner": {"learned from": 80}}}


def _twice(plugins: PluginManager) -> PluginManager:
    plugins.strategies["doubled2"] = replace(plugins.strategies["doubled"], name="doubled2")
    return plugins


def test_one_that_opens_encoders_which_the_outer_one_does_not(more: PluginManager) -> None:
    with pytest.raises(UsageError, match=r"Opening opens encoders at depths {'seen': 1}.*can't be used inside"):
        context(more).adapt("opening")
    wrapped = make_strategy("doubled", {"inner": "opening"}, more)
    assert wrapped.depths("seen", (), None) == {"seen": 1}, "a wrapping strategy opens what is opened inside"


def test_what_is_wrong_with_the_inner_one_is_said(more: PluginManager) -> None:
    with pytest.raises(UsageError, match="'doubled' can't be inside itself"):
        make_strategy("doubled", {"inner": "doubled"}, more)
    with pytest.raises(UsageError, match="unknown setting 'lr2'"):
        make_strategy("doubled", {"inner": "linear", "inner_set": {"lr2": 1}}, more)


def test_a_run_of_a_wrapping_strategy_loads(run: Train, table: Path, more: PluginManager, tmp_path: Path) -> None:
    report = run(data=str(table), strategy="doubled", set={"inner": "means"}, baselines=False)
    loaded = xm.load(report.run, plugins=more, device="cpu", cache=tmp_path / "other")
    assert loaded.evaluate().value == report.results[0].value
    assert report.results[0].record == {"inner": {"learned from": 10}}


def rules(report: Report) -> dict[str, str]:
    return {result.strategy: result.predictor for result in report.results}


def test_a_strategy_has_its_own_rule_and_a_baseline_keeps_its(
    run: Train, table: Path, more: PluginManager, tmp_path: Path
) -> None:
    report = run(data=str(table), aux=("text",), strategy="particular")
    assert rules(report) == {"particular": "half", "zero-shot": "argmax"}
    for result in report.results:
        assert (Path(report.run) / result.model / RULE).exists() == (result.strategy == "particular")
    loaded = xm.load(report.run, plugins=more, device="cpu", cache=tmp_path / "other")
    assert type(loaded.predictor) is Half
    prediction = loaded.predict([str(table.parent / "images" / "cat" / "9.toy")])[0]
    assert max(prediction.probabilities.values()) <= 0.6, "half sure at most"
    baseline = next(r for r in report.results if r.strategy == "zero-shot")
    assert type(loaded.rule(baseline)).__name__ == "Argmax"


def test_the_users_rule_goes_first(run: Train, table: Path, more: PluginManager) -> None:
    asked = run(data=str(table), aux=("text",), strategy="particular", predictor="argmax")
    assert rules(asked) == {"particular": "argmax", "zero-shot": "argmax"}
    all_half = run(data=str(table), aux=("text",), strategy="means", predictor="half")
    assert rules(all_half) == {"means": "half", "zero-shot": "half"}
    assert (Path(all_half.run) / RULE).exists(), "one rule for all is kept once"


def test_a_wrapping_strategy_has_the_rule_of_the_inner_one(more: PluginManager) -> None:
    assert make_strategy("doubled", {"inner": "particular"}, more).predictor == "half"
    assert make_strategy("doubled", {"inner": "means"}, more).predictor == ""


def test_answers_that_depend_on_their_neighbours_are_found(
    run: Train, table: Path, more: PluginManager, warnings: Callable[[], list[str]]
) -> None:
    report = run(data=str(table), aux=("text",), strategy="batchwise", seeds=(1, 2))
    assert {r.strategy: r.transductive for r in report.results} == {"batchwise": True, "zero-shot": False}
    said = [text for text in warnings() if "depend on the other test items" in text]
    assert len(said) == 1 and "batchwise" in said[0]


class Sequence(Predictor):
    """Moves towards what it has seen."""

    scope: ClassVar[Any] = "sequence"

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            p: Tensor = model(inputs).softmax(dim=1)
        mean = p.cumsum(dim=0) / torch.arange(1, len(p) + 1)[:, None]
        return (p + mean) / 2


def test_a_rule_that_sees_a_sequence_is_marked(run: Train, table: Path, more: PluginManager, toy: Any) -> None:
    toy.Sequence = Sequence
    more.predictors["sequence"] = PredictorSpec(name="sequence", target="xm_toy:Sequence")
    report = run(data=str(table), strategy="means", predictor="sequence")
    assert all(result.transductive for result in report.results)


def test_prototypes_are_in_sight() -> None:
    here = synthetic.context(("named",))
    assert set(here.prototypes) == {"seen"}
    prototypes = here.prototypes["seen"]
    assert len(prototypes.names) == len(prototypes.weight)
    logits = here.train["seen"].x[EMBEDDING] @ prototypes.weight.T
    own = here.train["seen"].labels < len(prototypes.names)
    assert torch.equal(logits[own].argmax(dim=1), here.train["seen"].labels[own])


def test_solving_yields_the_model_of_the_inner_one(more: PluginManager) -> None:
    strategy = make_strategy("doubled", {"inner": "means"}, more)
    model = nn.Identity()
    found: Iterator[nn.Module] = strategy.solve(model, context(more))
    assert list(found) == [model]
