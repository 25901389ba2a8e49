"""The strategy `lp++`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt, class_means
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_probes.lp_plus_plus.descent import Problem, descend
from xm_probes.lp_plus_plus.strategy import LPPlusPlus

CLASSES = ("a", "b", "c")


class TestConformance(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"iterations": 60, "eval_every": 5}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("lp++")


def stream(modality: str, per_class: int, seed: int) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(8)[y] + 0.4 * torch.randn(len(y), 8, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


NAMES = stream("text", 2, 1)


def context(aux: tuple[Stream, ...] = (), **more: Any) -> Context:
    train = {"image": stream("image", 4, 2), **{other.modality: other for other in aux}}
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: NAMES, "train": train}
    towers = Towers({"image": Tower(Tail())})
    return Context(classes=CLASSES, target="image", dim=8, named=frozenset(), towers=towers, **given | more)


def fitted(settings: Mapping[str, Any], here: Context) -> LinearClassifier:
    model = adapt(LPPlusPlus(settings), here)
    assert isinstance(model, LinearClassifier)
    return model


def problem(n: int = 12, dim: int = 8) -> Problem:
    generator = torch.Generator().manual_seed(n)
    x = normalize(torch.randn(n, dim, generator=generator).double(), dim=1)
    weights = torch.rand(n, generator=generator).double()
    names = normalize(torch.randn(3, dim, generator=generator).double(), dim=1)
    return Problem(x, torch.arange(n) % 3, weights / weights.sum(), names, size=n)


def loss(given: Problem, w: Tensor, alpha: Tensor) -> float:
    logits = given.x @ (w + alpha[:, None] * given.names).T
    return float(torch.nn.functional.cross_entropy(logits, given.y, reduction="none") @ given.weights)


def test_steps_and_start_by_hand() -> None:
    """Two unit samples on the axes, each half: second moments I/2, so 4/(1/2). Text logits 1 and 0.6 for class 0."""
    half = torch.tensor([0.5, 0.5]).double()
    names = torch.tensor([[1.0, 0.6], [0.0, 1.0]]).double()
    here = Problem(torch.eye(2).double(), torch.tensor([0, 1]), half, names, size=2)
    assert here.step_w() == pytest.approx(8)
    assert here.step_alpha() == pytest.approx(0.25 / (0.5 * 1 + 0.5 * 0.36))
    torch.testing.assert_close(here.class_sums(), torch.eye(2).double())


def test_a_first_step_by_hand() -> None:
    """Logits 1 and 0 of each sample: residuals are 1 - p and p, times the weight 1/2; the step is 8."""
    half = torch.tensor([0.5, 0.5]).double()
    here = Problem(torch.eye(2).double(), torch.tensor([0, 1]), half, 1e-6 * torch.eye(2).double(), size=2)
    start = here.class_sums()
    p = torch.tensor([1.0, 0.0]).double().softmax(dim=0)
    w, _ = next(descend(here, 0, iterations=1, alpha_every=9, momentum=0))
    expected = start + 8 * 0.5 * torch.tensor([[1 - p[0], -p[1]], [-p[1], 1 - p[0]]]).double()
    torch.testing.assert_close(w, expected)


@pytest.mark.parametrize("n", (5, 30))
def test_the_step_is_that_of_the_largest_eigenvalue(n: int) -> None:
    """With fewer samples than dimensions, and with more."""
    here = problem(n)
    moments = (here.x.T * here.weights) @ here.x
    assert here.step_w() == pytest.approx(4 / float(torch.linalg.matrix_norm(moments, ord=2)))


@pytest.mark.parametrize("alpha_every", (1, 10))
@pytest.mark.parametrize("n", (5, 30))
def test_without_momentum_the_objective_never_rises(n: int, alpha_every: int) -> None:
    here = problem(n)
    path = descend(here, 5.0, iterations=200, alpha_every=alpha_every, momentum=0)
    values = [loss(here, w, alpha) for w, alpha in path]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(values))
    assert values[-1] < 0.9 * values[0]


def test_multipliers_move_in_every_tenth_iteration_only() -> None:
    alphas = [alpha for _, alpha in descend(problem(), 3.0, iterations=20, alpha_every=10, momentum=0.9)]
    assert all(bool((alpha == 3).all()) for alpha in alphas[:9])
    assert not bool((alphas[9] == 3).any())
    assert torch.equal(alphas[9], alphas[18]) and not torch.equal(alphas[18], alphas[19])


def test_a_sample_of_weight_2_counts_as_two() -> None:
    image = stream("image", 4, 2)
    twice = image[torch.cat([torch.tensor([0]), torch.arange(12)])]
    weighted = replace(image, weight=torch.tensor([2.0] + [1.0] * 11))
    settings = {"iterations": 20, "betas": [50]}
    one, other = (fitted(settings, context(train={"image": given}, val=None)) for given in (twice, weighted))
    torch.testing.assert_close(one.weight, other.weight, atol=1e-3, rtol=1e-3)


def test_the_share_decides_between_modalities() -> None:
    """Sounds with swapped labels win when they have most of the objective, and lose when they have little of it."""
    here = context()
    image = here.train["image"]
    assert image.y is not None
    sound = Stream("audio", image.x, (image.y + 1) % 3)
    hits = []
    for share in (0.05, 0.95):
        model = fitted({"share": share, "betas": [0], "iterations": 100}, context(aux=(sound,), val=None))
        hits.append(float((model(image).argmax(dim=1) == image.y).float().mean()))
    assert hits[0] > 0.9 and hits[1] < 0.1


def test_the_multipliers_start_at_beta_times_the_mean_cosine_of_the_target() -> None:
    """A modality that sits elsewhere does not change where they start."""
    here = context(aux=(stream("text", 1, 9),))
    image, rows = here.train["image"], class_means(NAMES, 3)
    assert image.y is not None
    cosine = float((image.x[EMBEDDING] * rows[image.y]).sum(dim=1).mean())
    model = fitted({"betas": [100], "iterations": 1, "alpha_every": 5}, replace(here, val=None))
    bare = fitted({"betas": [0], "iterations": 1, "alpha_every": 5}, replace(here, val=None))
    given = LPPlusPlus()._problem(here, rows)
    expected, _ = next(descend(given, 100 * cosine, iterations=1, alpha_every=5, momentum=0.9))
    torch.testing.assert_close(model.weight, expected + 100 * cosine * rows)
    assert not torch.allclose(model.weight, bare.weight)


def test_val_picks_beta_and_iteration_and_they_are_recorded() -> None:
    text = stream("text", 1, 5)
    here = context(read_names=lambda: replace(text, y=(text.labels + 1) % 3))  # wrong names, which samples beat
    strategy = LPPlusPlus({"betas": [250, 10], "iterations": 12, "eval_every": 5})
    candidates = list(strategy._iterates(strategy.build(here).get_parameter("weight"), here))
    chosen = [candidate.chosen for candidate in candidates]
    assert chosen == [{"beta": beta, "iteration": i} for beta in (250.0, 10.0) for i in (5, 10, 12)]
    model = adapt(strategy, here)
    accuracies = [here.accuracy(candidate) for candidate in candidates]
    best = [c.weight for c, accuracy in zip(candidates, accuracies, strict=True) if accuracy == max(accuracies)]
    torch.testing.assert_close(model.get_parameter("weight"), torch.stack(best).mean(dim=0))
    assert here.record.get("heads", 1) == len(best)


def test_names_stay_unless_samples_are_clearly_better() -> None:
    """Two images whose labels are wrong, and names that are right."""
    image = stream("image", 2, 3)
    here = context(train={"image": replace(image, y=(image.labels + 1) % 3)})
    model = adapt(LPPlusPlus({"iterations": 5}), here)
    torch.testing.assert_close(model.get_parameter("weight"), 100 * class_means(here.names, 3))
    assert here.record == {"kept": "names alone"}


def test_without_val_it_is_the_last_iterate_of_the_published_beta() -> None:
    here = context(val=None)
    model = fitted({"iterations": 30}, here)
    assert here.record == {"beta": 250.0, "iteration": 30}
    torch.testing.assert_close(model.weight, fitted({"iterations": 30, "betas": [250]}, context(val=None)).weight)


def test_the_initialisation_is_named() -> None:
    assert LPPlusPlus().init_name(context()) == "image+text"
    assert LPPlusPlus().init_name(context(aux=(stream("text", 1, 5), stream("audio", 1, 6)))) == "image+text+audio"


def test_without_names_it_says_what_to_do() -> None:
    here = context(read_names=lambda: None)
    for act in (lambda: adapt(LPPlusPlus(), here), lambda: LPPlusPlus().init_name(here)):
        with pytest.raises(UsageError, match=r"class names are needed: choose an encoder that reads them"):
            act()


def test_another_objective_is_refused() -> None:
    def flat(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return logits.square().mean()

    with pytest.raises(UsageError, match="lp\\+\\+ minimises cross-entropy"):
        adapt(LPPlusPlus(), context(objective=flat))


@pytest.mark.parametrize(
    "given", ({"betas": []}, {"betas": [-1]}, {"iterations": 0}, {"momentum": 1}, {"share": 0}, {"lr": 0.1})
)
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="LPPlusPlus: "):
        LPPlusPlus(given)
