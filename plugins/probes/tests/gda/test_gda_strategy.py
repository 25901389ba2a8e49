"""The strategy `gda`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt, class_means
from xm.plugins import manager
from xm.testing import StrategyConformance
from xm_probes.gda.gaussian import Samples, discriminant, united
from xm_probes.gda.strategy import GDA, AffineClassifier

CLASSES = ("a", "b", "c")


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("gda")


class TestConformanceAlone(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"zero_shot": False}


def stream(modality: str, per_class: int, seed: int, dim: int = 8) -> Stream:
    y = torch.arange(3).repeat(per_class)
    x = torch.eye(dim)[y] + 0.3 * torch.randn(len(y), dim, generator=torch.Generator().manual_seed(seed))
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(shots: int = 4, aux: tuple[Stream, ...] = (), **more: Any) -> Context:
    train = {"image": stream("image", shots, 2), **{other.modality: other for other in aux}}
    given: dict[str, Any] = {"val": stream("image", 6, 3), "read_names": lambda: stream("text", 1, 1), "train": train}
    towers = Towers({"image": Tower(Tail())})
    return Context(classes=CLASSES, target="image", dim=8, named=frozenset(), towers=towers, **given | more)


def fitted(strategy: GDA, here: Context) -> AffineClassifier:
    model = adapt(strategy, here)
    assert isinstance(model, AffineClassifier)
    return model


def test_two_classes_by_hand() -> None:
    """Scatter diag(2, 2), trace 4 over n - 1 = 3: P = 2 / (2 + 4/3) = 0.6; both means have length 2."""
    x = torch.tensor([[1.0, 0], [3, 0], [0, 1], [0, 3]]).double()
    weight, bias = discriminant(Samples(x, torch.tensor([0, 0, 1, 1]), torch.ones(4).double()), 2)
    torch.testing.assert_close(weight, torch.tensor([[0.6, -0.6], [-0.6, 0.6]]).double())
    torch.testing.assert_close(bias, torch.zeros(2).double())


def test_one_sample_a_class_by_hand() -> None:
    """No scatter within: spherical. Around (1, 1) the scatter is 4 in all, the variance 4, P = 2/4."""
    x = torch.tensor([[2.0, 0], [0, 2]]).double()
    weight, bias = discriminant(Samples(x, torch.tensor([0, 1]), torch.ones(2).double()), 2)
    torch.testing.assert_close(weight, torch.tensor([[0.5, -0.5], [-0.5, 0.5]]).double())
    assert not bias.any()


def test_at_one_shot_alone_the_nearest_mean_decides() -> None:
    here = context(shots=1, read_names=lambda: None)
    assert here.val is not None
    x = here.val.x[EMBEDDING]
    nearest = torch.cdist(x, here.train["image"].x[EMBEDDING]).argmin(dim=1)
    assert torch.equal(fitted(GDA(), here)(here.val).argmax(dim=1), nearest)


def test_a_sample_of_weight_2_counts_as_two() -> None:
    x, y = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double(), torch.tensor([0, 0, 1, 1, 2, 2])
    weight = torch.tensor([2.0, 1, 1, 1, 1, 1]).double()
    again = torch.tensor([0, 0, 1, 2, 3, 4, 5])
    one = discriminant(Samples(x, y, weight), 3)
    other = discriminant(Samples(x[again], y[again], torch.ones(7).double()), 3)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("per_class", "weight"), [(1, 1.0), (4, 1.0), (8, 0.5), (16, 0.25)])
def test_auxiliary_samples_count_once_up_to_their_share(per_class: int, weight: float) -> None:
    here = context(shots=4, aux=(stream("text", per_class, 5),))
    samples = united(here.train, here.shares(0.5), "image", 3)
    assert samples.weight[:12].eq(1).all()
    torch.testing.assert_close(samples.weight[12:], torch.full((3 * per_class,), weight).double())


def test_two_auxiliary_modalities_divide_the_share() -> None:
    here = context(shots=4, aux=(stream("text", 4, 5), stream("audio", 1, 6)))
    samples = united(here.train, here.shares(0.5), "image", 3)
    torch.testing.assert_close(samples.weight.double().split([12, 12, 3])[1], torch.full((12,), 0.5).double())
    assert samples.weight[-3:].eq(1).all()


def test_the_gap_between_modalities_does_not_matter() -> None:
    """Auxiliary samples that are all moved by one vector give the same classifier."""
    text = stream("text", 2, 5)
    moved = Stream("text", {EMBEDDING: text.x[EMBEDDING] + torch.linspace(-3, 3, 8)}, text.y)
    one, other = (fitted(GDA({"alphas": [0.1]}), context(aux=(aux,))) for aux in (text, moved))
    torch.testing.assert_close(one.weight, other.weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(one.bias, other.bias, atol=1e-4, rtol=1e-4)


def test_auxiliary_samples_of_some_classes_only() -> None:
    """The offset is that of the classes that both have; the class without them keeps its own mean."""
    own, text = stream("image", 4, 2), stream("text", 2, 5)
    assert text.y is not None
    some = text[text.y < 2]
    samples = united({"image": own, "text": some}, {"image": 0.5, "text": 0.5}, "image", 3)
    means, alone = samples.means(3)[0], united({"image": own}, {"image": 1.0}, "image", 3).means(3)[0]
    torch.testing.assert_close(means[2], alone[2])
    # both modalities have the same grand mean over those two classes after the offset
    other = Samples(samples.x[12:], samples.y[12:], samples.weight[12:]).means(3)[0]
    torch.testing.assert_close(other[:2].mean(dim=0), alone[:2].mean(dim=0))


def test_auxiliary_samples_change_the_classifier() -> None:
    alone, helped = (fitted(GDA({"zero_shot": False}), context(aux=aux)) for aux in ((), (stream("text", 2, 5),)))
    assert not torch.allclose(alone.weight, helped.weight)


def test_few_samples_of_many_dimensions_are_well_conditioned() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(3).repeat(2)
    x = normalize(torch.randn(6, 500, generator=generator).double(), dim=1)
    weight, bias = discriminant(Samples(x, y, torch.ones(6).double()), 3)
    assert torch.equal((x @ weight.T + bias).argmax(dim=1), y)


def test_val_picks_alpha_and_it_is_recorded() -> None:
    here = context()
    model = fitted(GDA(), here)
    path = {alpha: here.evaluate(fitted(GDA({"alphas": [alpha]}), context())) for alpha in GDA().config.alphas}
    assert here.record == {"alpha": max(path, key=lambda alpha: path[alpha])}
    assert here.evaluate(model) == max(path.values())


def test_without_val_the_default_is_taken() -> None:
    here = context(val=None)
    model = fitted(GDA({"default_alpha": 0.5}), here)
    assert here.record == {"alpha": 0.5}
    torch.testing.assert_close(model.weight, fitted(GDA({"alphas": [0.5]}), context()).weight)


def test_a_tiny_alpha_is_zero_shot() -> None:
    model = fitted(GDA({"alphas": [1e-9]}), context())
    torch.testing.assert_close(model.weight, 100 * class_means(stream("text", 1, 1), 3), atol=1e-3, rtol=0)
    assert GDA().init_name(context()) == "text"


def test_alpha_0_is_the_names_alone_and_needs_them() -> None:
    here = context()
    model = fitted(GDA({"alphas": [0]}), here)
    torch.testing.assert_close(model.weight, 100 * class_means(here.names, 3))
    assert not model.bias.any()
    with pytest.raises(UsageError, match=r"no encoder reads them: --set alphas=1"):
        adapt(GDA({"alphas": [0]}), context(read_names=lambda: None))


def test_without_names_the_discriminant_stands_alone() -> None:
    without, asked = context(read_names=lambda: None), context()
    one, other = fitted(GDA({"alphas": [0.1]}), without), fitted(GDA({"alphas": [0.1], "zero_shot": False}), asked)
    torch.testing.assert_close(one.weight, other.weight)
    assert not torch.allclose(one.weight, fitted(GDA({"alphas": [0.1]}), context()).weight)
    assert GDA().init_name(without) == GDA({"zero_shot": False}).init_name(asked) == "none"


def test_labels_are_needed() -> None:
    here = context()
    unlabelled = replace(here.train["image"], y=None)
    with pytest.raises(ValueError, match="the image stream has no labels"):
        adapt(GDA(), replace(here, train={"image": unlabelled}))


@pytest.mark.parametrize("given", ({"alphas": []}, {"alphas": [-1]}, {"default_alpha": -1}, {"share": 1}, {"alpha": 1}))
def test_wrong_settings_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="GDA: "):
        GDA(given)
