"""The strategies `tip-adapter` and `tip-adapter-f`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.functional import normalize

from xm import Context, Predictor, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt, own_tensors
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_adapters.tip_adapter.model import OWN_KEY, CacheModel
from xm_adapters.tip_adapter.search import Blend, Grid, published_axis, search, without_own_keys
from xm_adapters.tip_adapter.strategy import TipAdapter
from xm_adapters.tip_adapter.training import TipAdapterF

CLASSES = ("a", "b", "c")


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("tip-adapter")


class TestConformanceOfTraining(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("tip-adapter-f")


class TestConformanceAsPublished(TestConformanceOfTraining):
    settings: ClassVar[Mapping[str, Any]] = {
        "start": "init",
        "own_key": True,
        "search_scale": [7, 3],
        "search_step": [10, 5],
    }


def stream(modality: str, per_class: int, seed: int, noise: float = 0.4) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(8)[y] + noise * torch.randn(len(y), 8, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(aux: tuple[str, ...] = (), **more: Any) -> Context:
    train = {"image": stream("image", 4, 2), **{name: stream(name, 2, len(name)) for name in aux}}
    text = stream("text", 2, 1)
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: text, "train": train} | more
    towers = Towers({name: Tower(Tail()) for name in ("image", "text", "audio")})
    return Context(classes=CLASSES, target="image", dim=8, named=frozenset({"text"} & set(aux)), towers=towers, **given)


def small(**more: Any) -> CacheModel:
    """In the plane: a key on each axis, of classes 0 and 1, and names that say nothing."""
    given: dict[str, Any] = {"alpha": 2.0, "beta": 3.0, "scale": 100.0} | more
    towers = Towers({"image": Tower(Tail())})
    return CacheModel(towers, torch.eye(2), torch.tensor([0, 1]), torch.ones(2), torch.zeros(2, 2), **given)


def test_the_cache_by_hand() -> None:
    """On the first key: exp(-3 * 0) for its class, exp(-3 * 1) for the other's, twice each."""
    logits = small()(Stream("image", {EMBEDDING: torch.tensor([[1.0, 0.0]])}))
    torch.testing.assert_close(logits, torch.tensor([[2.0, 2 * math.exp(-3)]]))


def test_an_own_key_is_left_out() -> None:
    x = {EMBEDDING: torch.tensor([[1.0, 0.0]]), OWN_KEY: torch.tensor([0])}
    torch.testing.assert_close(small()(Stream("image", x)), torch.tensor([[0.0, 2 * math.exp(-3)]]))


def test_a_sample_of_weight_2_counts_as_two_keys() -> None:
    image = stream("image", 1, 5)
    weighted = replace(image, weight=torch.tensor([2.0, 1.0, 1.0]))
    doubled = image[torch.tensor([0, 0, 1, 2])]
    inputs = stream("image", 3, 6)
    one, other = (adapt(TipAdapter(), context(train={"image": s}, val=None))(inputs) for s in (weighted, doubled))
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("aux", ((), ("text",), ("text", "audio")), ids=len)
def test_every_sample_of_every_modality_is_a_key(aux: tuple[str, ...]) -> None:
    here = context(aux)
    model = adapt(TipAdapter(), here)
    assert isinstance(model, CacheModel)
    assert torch.equal(model.keys, torch.cat([s.x[EMBEDDING] for s in here.train.values()]))
    assert len(model.keys) == 12 + 6 * len(aux)
    rows = [s.x[OWN_KEY] for s in without_own_keys(here.train).values()]
    assert torch.equal(torch.cat(rows), torch.arange(len(model.keys)))


def test_runs_do_not_keep_the_one_hot_values() -> None:
    kept = own_tensors(adapt(TipAdapter(), context()))
    assert set(kept) == {"keys", "labels", "weights", "zero_shot", "alpha", "beta", "scale"}


def test_the_search_finds_the_best_of_all_pairs() -> None:
    """By brute force, with a model for every pair; accuracy first, then likelihood, then the first."""
    here = context(("text",), val=stream("image", 20, 3, noise=1.0))
    model = TipAdapter().build(here)
    assert isinstance(model, CacheModel)
    grid = Grid((0.5, 2.0, 8.0), (0.3, 3.0, 30.0, 300.0))
    found = {}
    for beta in grid.betas:
        for alpha in grid.alphas:
            model.beta.fill_(beta)
            model.alpha.fill_(alpha)
            found[beta, alpha] = here.evaluate(model)
    best = max(found, key=lambda pair: (round(found[pair][0], 6), round(found[pair][1], 5)))
    assert search(model, here, grid) == best
    assert len({round(value[1], 4) for value in found.values()}) > 6, "the pairs differ"


def test_of_equal_pairs_the_first_is_taken() -> None:
    """A query that is as far from one key as from the other: no beta and no alpha changes anything."""
    val = Stream("image", {EMBEDDING: normalize(torch.ones(2, 2), dim=1)}, torch.tensor([0, 1]))
    assert search(small(), context(val=val), Grid((2.0, 4.0), (1.0, 5.0))) == (2.0, 1.0)


@pytest.mark.parametrize(("wrong", "alpha"), [(1, 0.0), (2, 90.0)])
def test_the_names_stay_unless_the_cache_is_clearly_better(wrong: int, alpha: float) -> None:
    """The names are wrong by little on one or two of six items, and the cache mends these; one is no evidence."""
    towers = Towers({"image": Tower(Tail())})
    labels = torch.tensor([1, 0])  # keys say the opposite of names
    model = CacheModel(towers, torch.eye(2), labels, torch.ones(2), torch.eye(2), alpha=1.0, beta=3.0, scale=100.0)
    x = torch.tensor([[0.99, 1.01]] * wrong + [[1.0, 0.0]] * (6 - wrong))
    val = Stream("image", {EMBEDDING: normalize(x, dim=1)}, torch.zeros(6, dtype=torch.long))
    here = context(val=val)
    for value, right in ((0.0, 6 - wrong), (90.0, 6)):
        model.alpha.fill_(value)
        assert float(here.judged(model)[0].sum()) == right
    assert search(model, here, Grid((3.0,), (0.0, 90.0)))[1] == alpha
    assert search(model, here, Grid((3.0,), (1e-6, 90.0)))[1] == 90.0, "the published grids have no zero"


def test_train_decides_too_but_for_own_keys() -> None:
    """By brute force, with a model for each alpha, on val and on train without own keys."""
    here = context()
    image = here.train["image"]
    model = TipAdapter().build(here)
    assert isinstance(model, CacheModel)
    grid = Grid((2.0,), (0.5, 50.0, 5000.0))
    own = without_own_keys(here.train)["image"]
    both = {}
    for alpha in grid.alphas:
        model.beta.fill_(2.0)
        model.alpha.fill_(alpha)
        judged = [here.judged(model), replace(here, val=own).judged(model)]
        right, likelihood = (torch.cat(values) for values in zip(*judged, strict=True))
        both[alpha] = (float(right.mean()), float(likelihood.mean()))
    assert len(own) == len(image)
    assert search(model, here, grid, train=True) == (2.0, max(both, key=lambda alpha: both[alpha]))
    one = context(train={"image": stream("image", 1, 2)})
    model = TipAdapter().build(one)
    assert isinstance(model, CacheModel)
    assert search(model, one, grid, train=True) == search(model, one, grid), "a single image has no other key"


def test_the_search_asks_the_predictor() -> None:
    class Backwards(Predictor):
        """The least probable class."""

        def predict(self, model: torch.nn.Module, inputs: Stream) -> torch.Tensor:
            with torch.inference_mode():
                flipped: torch.Tensor = (-model(inputs)).softmax(dim=1)
            return flipped

    swapped = Stream("text", {EMBEDDING: torch.eye(8)[[1, 2, 0]]}, torch.arange(3))
    grid = {"alphas": [0.01, 1e4], "betas": [5.0]}
    for predictor, alpha in ((None, 1e4), (Backwards(), 0.01)):
        more = {} if predictor is None else {"predictor": predictor}
        here = context(read_names=lambda: swapped, **more)
        adapt(TipAdapter(grid), here)
        assert here.record["alpha"] == alpha, "wrong names are outvoted, unless wrong is what is asked for"


def test_what_val_chose_is_recorded() -> None:
    here = context()
    model = adapt(TipAdapter({"search_scale": [7, 3], "search_step": [20, 10]}), here)
    assert here.record["searched"] == {
        "beta": {"first": 0.1, "last": pytest.approx(0.1 + 19 * 6.9 / 20), "values": 20},
        "alpha": {"first": 0.1, "last": pytest.approx(0.1 + 9 * 2.9 / 10), "values": 10},
    }
    assert here.record["alpha"] == pytest.approx(float(model.state_dict()["alpha"]))
    assert here.record["beta"] == pytest.approx(float(model.state_dict()["beta"]))


@pytest.mark.parametrize("given", ({"val": None}, {}), ids=("no val", "not asked to"))
@pytest.mark.parametrize("strategy", (TipAdapter, TipAdapterF))
def test_without_a_search_the_published_values_are_taken(strategy: type[TipAdapter], given: dict[str, Any]) -> None:
    here = context(**given)
    adapt(strategy({} if given else {"search_hp": False}), here)
    assert (here.record["alpha"], here.record["beta"]) == (1.17, 1.0)
    assert "searched" not in here.record


def test_the_keys_are_trained_and_nothing_else() -> None:
    free, trained = adapt(TipAdapter(), context()), adapt(TipAdapterF({"start": "init"}), context())
    assert isinstance(free, CacheModel) and isinstance(trained, CacheModel)
    assert not torch.equal(free.keys, trained.keys)
    assert torch.equal(free.zero_shot, trained.zero_shot) and torch.equal(free.labels, trained.labels)
    assert [name for name, p in trained.named_parameters() if p.requires_grad] == ["keys"]


def test_training_starts_where_val_says_or_as_published() -> None:
    for start, expected in (("init", {1.17}), ("val", set(TipAdapterF().config.alphas))):
        here = context()
        adapt(TipAdapterF({"start": start}), here)
        assert here.record["training_alpha"] in expected
    assert here.record["steps"] == 20 and here.record["step"] in range(20)


def test_meeting_its_own_key_leaves_a_sample_little_to_learn() -> None:
    """Why `own_key` is off: under a large alpha every training sample is already right by itself."""
    moved = []
    for own_key in (True, False):
        settings = {"init_alpha": 300, "init_beta": 8, "start": "init", "own_key": own_key, "weight_decay": 0}
        here = context(val=None)
        model = adapt(TipAdapterF(settings), here)
        moved.append(float((model.state_dict()["keys"] - here.train["image"].x[EMBEDDING]).abs().max()))
    assert moved[0] < 1e-4 < 1e-3 < moved[1]


@pytest.mark.parametrize(
    ("aux", "batch_size", "epoch"), [((), 256, 1), ((), 5, 3), (("text",), 12, 2), (("text", "audio"), 8, 3)]
)
def test_an_epoch_is_a_pass_over_the_target(aux: tuple[str, ...], batch_size: int, epoch: int) -> None:
    """12 images; with auxiliary modalities they have half of a batch."""
    plan = TipAdapterF({"batch_size": batch_size}).plan(context(aux))
    assert (plan.eval_every, plan.steps) == (epoch, 20 * epoch)


@pytest.mark.parametrize("strategy", (TipAdapter, TipAdapterF))
def test_without_names_it_says_what_to_do(strategy: type[TipAdapter]) -> None:
    with pytest.raises(UsageError, match="class names are needed: choose an encoder that reads them") as caught:
        adapt(strategy(), replace(context(), read_names=lambda: None))
    assert "--text-encoder NAME" in str(caught.value) and "\n" not in str(caught.value)


def test_the_initialisation_has_both_its_sources() -> None:
    assert TipAdapter().init_name(context()) == "samples and text"


@pytest.mark.parametrize(
    "given",
    ({"alphas": []}, {"alphas": [-1]}, {"betas": [-1]}, {"search_scale": [0.1, 3]}, {"search_step": [0, 20]}),
)
def test_a_grid_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"TipAdapter: {next(iter(given))}"):
        TipAdapter(given)


def test_a_class_with_more_texts_has_no_more_votes() -> None:
    """Two images a class; of four texts of class 0 each counts a half, one of class 1 and two of class 2 count one."""
    y = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    texts = Stream("text", {EMBEDDING: normalize(torch.randn(7, 8), dim=1)}, y)
    here = context(train={"image": stream("image", 2, 1), "text": texts})
    model = TipAdapter().build(here)
    assert isinstance(model, CacheModel)
    assert model.weights.tolist() == [1.0] * 6 + [0.5] * 4 + [1.0] * 3


def test_names_alone_can_win() -> None:
    here = context()
    assert TipAdapter().config.alphas[0] == 0
    model = adapt(TipAdapter({"alphas": [0]}), here)
    x = stream("image", 3, 9)
    torch.testing.assert_close(model(x), 100 * x.x[EMBEDDING] @ model.zero_shot.T)


def test_the_published_axis_leaves_its_end_out() -> None:
    assert published_axis(3, 20)[0] == 0.1
    assert published_axis(3, 20)[-1] == pytest.approx(3 - 2.9 / 20)


def test_a_blend_by_hand() -> None:
    parts = {"zero_shot": torch.tensor([[1.0, 2.0]]), "cache": torch.tensor([[10.0, 0.0]])}
    assert Blend(0.5)(Stream("image", parts)).tolist() == [[6.0, 2.0]]
