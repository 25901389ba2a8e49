"""The strategy `partial`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch

from xm import Context, StrategySpec
from xm.learning import EMBEDDING, LinearClassifier, adapt, class_means, own_tensors
from xm.plugins import manager
from xm.testing import StrategyConformance, synthetic
from xm_probes.partial.strategy import Partial

QUICK: dict[str, Any] = {"steps": 41, "lr": [1e-2], "weight_decay": [0.01], "eval_every": 20}


class TestConformance(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("partial")


class TestConformanceOfFullFinetuning(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK | {"depth": -1, "aux_depth": -1}


class TestConformanceWithRatesOfTheirOwn(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = QUICK | {"encoder_lr": 0.1}


def adapted(
    aux: tuple[str, ...] = synthetic.AUXILIARY, val: bool = True, **settings: Any
) -> tuple[LinearClassifier, Context]:
    strategy = Partial(QUICK | settings)
    depths = strategy.depths(synthetic.TARGET, aux, synthetic.NAMES)
    here = synthetic.context(aux, depths=depths, val=val)
    model = adapt(strategy, here)
    assert isinstance(model, LinearClassifier)
    return model, here


@pytest.mark.parametrize(
    ("settings", "depths"),
    [
        ({}, {"image": 1}),
        ({"depth": -1}, {"image": -1}),
        ({"aux_depth": 2}, {"image": 1, "text": 2, "audio": 2}),
        ({"depth": 0}, {}),
    ],
)
def test_what_is_opened(settings: dict[str, int], depths: dict[str, int]) -> None:
    assert Partial(settings).depths("image", ("text", "audio"), "text") == depths


def test_the_defaults_are_the_published_ones() -> None:
    config = Partial().config
    assert (config.lr, config.weight_decay, config.batch_size) == ((1e-5, 1e-6, 1e-7), (0, 1e-3, 1e-5), (8,))
    assert (config.steps, config.warmup, config.eval_every) == (12_800, 50, 100)
    assert config.scale == pytest.approx(54.598150)


@pytest.mark.parametrize("aux_depth", (0, 1))
def test_a_run_keeps_the_head_and_what_was_trained(aux_depth: int) -> None:
    model, _ = adapted(val=False, aux_depth=aux_depth)
    trained = {"seen": "map.layer.weight"}
    if aux_depth:
        trained |= {"named": "map.tail.layer.weight", "heard": "map.tail.layer.weight"}
    buffers = {name for name, _ in model.named_buffers()}
    assert own_tensors(model).keys() - buffers == {"weight", *(f"towers.{m}.{name}" for m, name in trained.items())}
    identity = torch.eye(synthetic.DIM)
    for modality, name in trained.items():
        assert not torch.allclose(model.towers[modality].get_parameter(name), identity, atol=1e-3)


def test_the_head_starts_at_what_the_opened_tower_makes_of_the_names() -> None:
    strategy = Partial({"aux_depth": 1})
    names = synthetic.NAMES
    here = synthetic.context((names,), depths={synthetic.TARGET: 1, names: 1})
    frozen = class_means(synthetic.context((names,)).train[names], len(here.classes))
    assert EMBEDDING not in here.train[names].x
    torch.testing.assert_close(strategy.start(here), frozen, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        here.towers[names].tail.layer.weight.mul_(torch.linspace(0.1, 1, synthetic.DIM))  # type: ignore[operator]
    assert not torch.allclose(strategy.start(here), frozen, atol=1e-2)


def test_every_combination_starts_anew_and_val_picks() -> None:
    _, here = adapted(("named",), lr=[1e-9, 1e-2], init="random", weight_decay=[0.0])
    assert (here.record["lr"], here.record["batch_size"]) == (1e-2, 8)
    again, _ = adapted(("named",), lr=[1e-2], init="random", weight_decay=[0.0])
    both, _ = adapted(("named",), lr=[1e-9, 1e-2], init="random", weight_decay=[0.0])
    torch.testing.assert_close(both.weight, again.weight)


def test_steps_0_is_the_start() -> None:
    model, here = adapted(("named",), steps=0)
    torch.testing.assert_close(model.weight.detach(), Partial().start(here))


def test_another_model_is_refused() -> None:
    with pytest.raises(TypeError, match="can't train a Linear"):
        list(Partial().solve(torch.nn.Linear(2, 2), synthetic.context(())))


def test_encoders_may_have_a_rate_of_their_own() -> None:
    """At 0 they stay; the head is then trained behind encoders that are as they were."""
    still, _ = adapted(val=False, encoder_lr=0.0)
    slow, _ = adapted(val=False, encoder_lr=0.1)
    plain, _ = adapted(val=False)
    start = torch.eye(synthetic.DIM)
    moved = [float((own_tensors(m)["towers.seen.map.layer.weight"] - start).abs().mean()) for m in (still, slow, plain)]
    assert moved[0] == 0 and 0 < moved[1] < moved[2] / 2
    assert not torch.equal(still.weight, plain.weight)


def test_by_default_there_are_no_groups_and_a_head_alone_is_swept() -> None:
    here = synthetic.context(())
    assert Partial(QUICK).groups(Partial(QUICK).build(here)) is None
