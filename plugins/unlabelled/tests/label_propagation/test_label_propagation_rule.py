"""The predictor and the strategy `label-propagation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import xm
import xm_unlabelled.label_propagation
from xm import Encoder, EncoderSpec, PredictorSpec, Strategy, StrategySpec, Stream, UsageError, fingerprint_of, hookimpl
from xm.encoders import Tail, read_text
from xm.learning import EMBEDDING, Argmax, LinearClassifier, Tower, Towers, class_means, make_strategy
from xm.plugins import PluginManager, manager
from xm.testing import PredictorConformance, StrategyConformance, installed
from xm_unlabelled.label_propagation import graph
from xm_unlabelled.label_propagation.predictor import LabelPropagation

CPU = torch.device("cpu")


class TestConformance(PredictorConformance):
    @pytest.fixture
    def spec(self) -> PredictorSpec:
        return manager().predictors.find("label-propagation")


class TestConformanceOfFewNeighbours(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"k": 2, "alpha": 0.9}


class TestStrategyConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("label-propagation")

    def make(self, spec: StrategySpec) -> Strategy:
        installed("zero-shot")
        return make_strategy(spec, self.settings, manager())


def moons(n: int = 100) -> tuple[Tensor, Tensor]:
    """Items of two classes on two arcs of a sphere, and which arc: the far end of each is nearer to the other's row."""
    along = torch.linspace(0, 1.6, n)
    one = torch.stack([along.cos(), along.sin(), torch.full((n,), 0.25)], dim=1)
    back = along.flip(0)
    other = torch.stack([back.cos(), back.sin(), torch.full((n,), -0.25)], dim=1)
    return normalize(torch.cat([one, other]), dim=1), torch.arange(2).repeat_interleave(n)


def classifier(rows: Tensor) -> LinearClassifier:
    return LinearClassifier(Towers({"image": Tower(Tail())}), rows).eval()


def test_labels_go_along_the_arcs() -> None:
    x, y = moons()
    model = classifier(torch.stack([x[0], x[100]]))
    inputs = Stream("image", {EMBEDDING: x})
    plain = Argmax().predict(model, inputs).argmax(dim=1)
    spread = LabelPropagation({"k": 5, "alpha": 0.99}).predict(model, inputs).argmax(dim=1)
    assert float((plain == y).float().mean()) < 0.7 and torch.equal(spread, y)


def test_few_items_are_decided_by_the_model_alone() -> None:
    x, _ = moons()
    model = classifier(torch.stack([x[0], x[100]]))
    for n in (1, 2):
        inputs = Stream("image", {EMBEDDING: x[50 : 50 + n]})
        assert torch.equal(LabelPropagation().predict(model, inputs), Argmax().predict(model, inputs))


def test_neighbours_are_at_most_a_third_of_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watched(items: Any, rows: Any, k: int) -> Any:
        asked.append(k)
        return graph.affinity(items, rows, k)

    monkeypatch.setattr("xm_unlabelled.label_propagation.predictor.affinity", watched)
    x, _ = moons()
    for n in (3, 10, 100):
        LabelPropagation().predict(classifier(x[:2]), Stream("image", {EMBEDDING: x[:n]}))
    assert asked == [1, 3, 10]


def test_what_nothing_reaches_keeps_the_models_answer() -> None:
    """Two heaps, one of which no class's row is near to."""
    generator = torch.Generator().manual_seed(1)
    heaps = torch.eye(3)[[0] * 10 + [1] * 10] + 0.05 * torch.randn(20, 3, generator=generator)
    model = classifier(normalize(torch.tensor([[1.0, 0.0, 0.1], [1.0, 0.2, -0.1]]), dim=1))
    inputs = Stream("image", {EMBEDDING: normalize(heaps, dim=1)})
    plain, spread = Argmax().predict(model, inputs), LabelPropagation({"k": 3}).predict(model, inputs)
    assert torch.equal(spread[10:], plain[10:]) and not torch.equal(spread[:10], plain[:10])


def test_copies_of_one_item_are_told_apart_by_nothing() -> None:
    """The median distance is zero then."""
    inputs = Stream("image", {EMBEDDING: torch.eye(3)[[0] * 30]})
    found = LabelPropagation().predict(classifier(torch.eye(3)[:2]), inputs)
    assert bool(found.isfinite().all()) and found.argmax(dim=1).sum() == 0


def test_many_nodes_take_the_median_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(300, 8, generator=torch.Generator().manual_seed(1)).double().numpy()
    whole = graph.affinity(x, x[:3], 5)
    monkeypatch.setattr(graph, "MANY", 100)
    some = graph.affinity(x, x[:3], 5)
    assert (whole != some).nnz and abs(whole - some).max() < 0.05


def test_a_model_without_rows_is_told() -> None:
    with pytest.raises(UsageError, match=r"label-propagation spreads labels from .* and Linear has none: choose"):
        LabelPropagation().predict(nn.Linear(2, 2), Stream("image", {EMBEDDING: torch.eye(2)}))


@pytest.mark.parametrize("given", ({"k": 0}, {"alpha": 1}, {"alpha": 0}))
def test_wrong_settings_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"LabelPropagation: {next(iter(given))}"):
        LabelPropagation(given)


NAMES = ("cat", "cow", "dog", "hen")


class Words(Encoder):
    """A name's direction; and much noise, if there is a number behind it."""

    space, dim = "words", 12

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("words", 1)

    def trunk(self, items: Sequence[Any]) -> dict[str, Tensor]:
        return {"features": torch.stack([self.vector(read_text(item).split()) for item in items])}

    def vector(self, words: list[str]) -> Tensor:
        vector = torch.eye(self.dim)[NAMES.index(words[0])]
        if len(words) == 1:
            return vector
        return vector + 0.4 * torch.from_numpy(np.random.default_rng(int(words[1])).standard_normal(self.dim)).float()


class Pictures(Words):
    modality, suffixes = "image", (".pic",)


class Texts(Words):
    modality, suffixes, accepts_names = "text", (".txt",), True


class Names(Strategy):
    def build(self, context: xm.Context) -> LinearClassifier:
        return LinearClassifier(context.towers, class_means(context.train["text"], len(NAMES)), trainable=False)


class Toy:
    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        return [
            EncoderSpec(
                name="pictures", target=f"{__name__}:Pictures", modality="image", suffixes=(".pic",), priority=1
            ),
            EncoderSpec(name="texts", target=f"{__name__}:Texts", modality="text", suffixes=(".txt",), priority=1),
        ]

    @hookimpl
    def strategies(self) -> list[StrategySpec]:
        return [StrategySpec(name="zero-shot", target=f"{__name__}:Names", needs_target=False, baseline=True)]


@pytest.fixture
def plugins() -> PluginManager:
    found = PluginManager(installed=False)
    found.register(Toy(), "toy")
    found.register(xm_unlabelled.label_propagation, "label-propagation")
    return found


@pytest.fixture
def train(plugins: PluginManager, tmp_path: Path) -> Callable[..., xm.Report]:
    for split, each in (("train", 1), ("test", 30)):
        for k, name in enumerate(NAMES):
            for n in range(each):
                path = tmp_path / "pictures" / split / name / f"{n}.pic"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} {1000 * k + n}{'' if split == 'test' else 9}")

    def call(**settings: Any) -> xm.Report:
        given = {"data": str(tmp_path / "pictures"), "aux": ("text",), "shots": (1,), "seeds": (1,), "val_shots": 0}
        given |= {"out": tmp_path / "run", "cache": tmp_path / "cache", "device": "cpu"}
        return xm.train("image", plugins=plugins, **{**given, **settings})

    return call


def test_a_run_decides_by_it_and_its_baseline_does_not(
    train: Callable[..., xm.Report], plugins: PluginManager, tmp_path: Path
) -> None:
    report = train(strategy="label-propagation", predictor_set={"k": 8})
    spread, plain = (
        next(r for r in report.results if r.strategy == name) for name in ("label-propagation", "zero-shot")
    )
    assert (spread.predictor, spread.transductive) == ("label-propagation", True)
    assert (plain.predictor, plain.transductive) == ("argmax", False)
    assert spread.value != plain.value
    run = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "cache")
    items = sorted((tmp_path / "pictures").glob("test/*/*.pic"))
    for result in (spread, plain):
        assert run.evaluate(pick=result.model).value == result.value
        predictions = run.predict(items, pick=result.model)
        assert np.mean([p.label == p.item.parent.name for p in predictions]) == pytest.approx(result.value)
    alone = [[run.predict([item], pick=r.model)[0].probabilities for item in items[:5]] for r in (spread, plain)]
    assert alone[0] == alone[1], "one file alone is decided by the model alone"
    some = run.predict(items[:40], pick=spread.model)
    assert [p.probabilities for p in some] != [p.probabilities for p in run.predict(items, pick=spread.model)[:40]]
