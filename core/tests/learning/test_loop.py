"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xm import Plan, Stream, UsageError, fit
from xm.foundation.events import Event
from xm.learning.loop import add_up, learning_rate
from xm.learning.stream import Batch

ONE = {"image": 1.0}


def stream(n: int = 16, modality: str = "image") -> Stream:
    """Numbers x and labels y = 2x."""
    x = torch.linspace(-1, 1, n)[:, None]
    return Stream(modality, {"features": x}, (2 * x[:, 0]))


def squares(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    """A loss for each stream."""
    return {name: (model(s.x["features"])[:, 0] - s.y).square().mean() for name, s in batch.items() if s.y is not None}


def line() -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


def weight_of(model: nn.Linear) -> float:
    return model.weight.item()


def plan(**more: Any) -> Plan:
    given: dict[str, Any] = {
        "shares": ONE,
        "steps": 300,
        "lr": 0.05,
        "weight_decay": 0.0,
        "warmup": 5,
        "eval_every": 10,
    }
    return Plan(**given | more)


def test_it_learns() -> None:
    model = line()
    result = fit(model, squares, {"image": stream()}, plan())
    assert result.steps == 300
    assert weight_of(model) == pytest.approx(2, abs=0.05)
    assert not model.training


def test_without_a_score_the_last_parameters_stay() -> None:
    result = fit(line(), squares, {"image": stream()}, plan(steps=20))
    assert (result.best_step, result.history) == (-1, []) and math.isnan(result.best_score)


def test_the_schedule_has_its_end_points() -> None:
    published = Plan(shares=ONE, lr=1e-3)
    assert learning_rate(published, 0) == 1e-5
    assert learning_rate(published, 25) == pytest.approx(0.5e-3)
    assert learning_rate(published, 50) == 1e-3
    assert learning_rate(published, 50 + 6_400) == pytest.approx(0.5e-3)
    assert learning_rate(published, 50 + 12_800) == pytest.approx(0, abs=1e-18)
    rates = [learning_rate(published, step) for step in range(50, 12_800)]
    assert rates == sorted(rates, reverse=True) and rates[-1] > 0


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert learning_rate(plan(warmup=0), 0) == 0.05


@pytest.mark.parametrize("frozen", (True, False), ids=("nothing to train", "no steps"))
def test_training_free(frozen: bool) -> None:
    """No step, no batch, no event; the loss is never asked."""

    def never(*_: object) -> Any:
        raise AssertionError("there is nothing to learn")

    model = line().requires_grad_(not frozen)
    result = fit(model, never, {}, plan(steps=300 if frozen else 0), backward=never, score=never, on_event=never)
    assert result.steps == 0 and weight_of(model) == 0


def scripted(scores: list[float], model: nn.Linear, seen: list[float]) -> Any:
    """A score that follows a script and notes the weight at each look."""

    def score() -> float:
        assert not model.training, "scored in training mode"
        seen.append(weight_of(model))
        return scores[len(seen) - 1]

    return score


def test_the_first_of_the_best_parameters_are_restored() -> None:
    model, seen = line(), list[float]()
    result = fit(
        model, squares, {"image": stream()}, plan(steps=50), score=scripted([0.1, 0.9, 0.5, 0.9, 0.3], model, seen)
    )
    assert [step for step, _ in result.history] == [0, 10, 20, 30, 40]
    assert (result.best_step, result.best_score, result.steps) == (10, 0.9, 50)
    assert weight_of(model) == seen[1] and len(set(seen)) == 5


@pytest.mark.parametrize(("patience", "steps"), ((1, 21), (2, 31), (None, 60)))
def test_early_stopping(patience: int | None, steps: int) -> None:
    """The best comes at the second look; from there on patience counts looks."""
    model, seen = line(), list[float]()
    score = scripted([0.5, 0.6, 0.6, 0.1, 0.2, 0.3], model, seen)
    result = fit(model, squares, {"image": stream()}, plan(steps=60, patience=patience), score=score)
    assert result.steps == steps
    assert result.best_step == 10 and weight_of(model) == seen[1]


def test_events() -> None:
    events: list[Event] = []
    fit(line(), squares, {"image": stream()}, plan(steps=25), score=lambda: 0.5, on_event=events.append)
    assert [(e.kind, e.data["step"]) for e in events] == [
        (kind, step) for step in (0, 10, 20) for kind in ("step", "eval")
    ]
    assert events[0].data["steps"] == 25 and events[1].data["score"] == 0.5


def test_without_val_there_are_steps_but_no_looks() -> None:
    events: list[Event] = []
    fit(line(), squares, {"image": stream()}, plan(steps=25), on_event=events.append)
    assert {e.kind for e in events} == {"step"}


def test_batches_have_their_shares() -> None:
    sizes = []

    def noting(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        sizes.append({name: len(s) for name, s in batch.items()})
        return squares(model, batch)

    streams = {name: stream(modality=name) for name in ("image", "text", "audio")}
    fit(line(), noting, streams, plan(steps=3, shares={"image": 0.5, "text": 0.25, "audio": 0.25}))
    assert sizes == [{"image": 4, "text": 2, "audio": 2}] * 3


def test_one_s_own_backward_writes_the_gradients() -> None:
    """Terms arrive by name; only the gradient of one of them is used, the wrong way round."""
    calls = []

    def backward(model: nn.Module, losses: Mapping[str, Tensor]) -> None:
        calls.append(sorted(losses))
        (-losses["text"]).backward()

    streams = {name: stream(modality=name) for name in ("image", "text")}
    model = line()
    fit(model, squares, streams, plan(steps=30, shares={"image": 0.5, "text": 0.5}), backward=backward)
    assert calls == [["image", "text"]] * 30
    assert weight_of(model) < 0


def test_the_default_backward_sums_terms() -> None:
    weight = torch.ones(2, requires_grad=True)
    add_up(nn.Identity(), {"a": weight.sum(), "b": 3 * weight[0]})
    assert weight.grad is not None and weight.grad.tolist() == [4, 1]


def test_the_seed_decides_and_the_process_s_random_state_does_not() -> None:
    found = []
    for state, seed in ((1, 1), (2, 1), (1, 2)):
        torch.manual_seed(state)
        model = line()
        fit(model, squares, {"image": stream()}, plan(steps=12, seed=seed))
        found.append(weight_of(model))
    assert found[0] == found[1] != found[2]


def test_frozen_parameters_stay() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    fit(model, squares, {"image": stream()}, plan(steps=5))
    same = [torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_bfloat16_computes_in_half_precision_and_keeps_parameters() -> None:
    types = set()

    def noting(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        types.add(model(batch["image"].x["features"]).dtype)
        return squares(model, batch)

    model = line()
    fit(model, noting, {"image": stream()}, plan(precision="bfloat16"))
    assert types == {torch.bfloat16} and model.weight.dtype == torch.float32
    assert weight_of(model) == pytest.approx(2, abs=0.1)


def test_an_unknown_precision_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'bfloat16'"):
        fit(line(), squares, {"image": stream()}, plan(precision="bfloat"))


def test_fit_within_a_loss_disturbs_nothing() -> None:
    """An inner fit (meta-learning, a tuned temperature) changes neither batches nor result of the outer one."""
    inner_results = []

    def with_inner(model: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        inner = line()
        inner_results.append(fit(inner, squares, batch, plan(steps=3)).steps)
        assert model.training, "the outer model left training mode"
        return squares(model, batch)

    plain, nested = line(), line()
    fit(plain, squares, {"image": stream()}, plan(steps=20), score=lambda: weight_of(plain))
    fit(nested, with_inner, {"image": stream()}, plan(steps=20), score=lambda: weight_of(nested))
    assert inner_results == [3] * 20
    assert torch.equal(plain.weight, nested.weight)


def test_dropout_draws_by_the_plan_and_leaves_the_process_alone() -> None:
    found = []
    for state in (1, 2):
        model = nn.Sequential(nn.Dropout(0.5), line())
        torch.manual_seed(state)
        before = torch.get_rng_state()
        fit(model, squares, {"image": stream()}, plan(steps=20))
        found.append(model[1].weight.item())
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] != 0


def test_the_last_parameters_are_kept_if_asked() -> None:
    """Scores are noted, and the best of them is told, as ever."""
    model, best, seen = line(), line(), list[float]()
    scores = [0.1, 0.9, 0.5, 0.9, 0.3]
    result = fit(model, squares, {"image": stream()}, plan(steps=50, keep="last"), score=scripted(scores, model, seen))
    fit(best, squares, {"image": stream()}, plan(steps=50))
    assert (result.best_step, result.best_score, result.steps) == (10, 0.9, 50)
    assert [score for _, score in result.history] == scores
    assert weight_of(model) == weight_of(best) and weight_of(model) not in seen


def test_the_last_parameters_of_an_early_stop_are_those_of_its_step() -> None:
    model, seen = line(), list[float]()
    score = scripted([0.5, 0.6, 0.6, 0.1], model, seen)
    result = fit(model, squares, {"image": stream()}, plan(steps=60, patience=2, keep="last"), score=score)
    assert (result.steps, result.best_step) == (31, 10)
    assert weight_of(model) == seen[3] != seen[1]


class Averaged(nn.Module):
    """A line, and the mean of its weights after all steps, in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.line = line()
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.line(x)
        return found


def average(model: nn.Module, step: int) -> None:
    assert isinstance(model, Averaged) and not torch.is_grad_enabled()
    model.mean += (model.line.weight[0] - model.mean) / (step + 1)


def test_after_each_step_something_may_be_averaged() -> None:
    model, weights, steps = Averaged(), list[float](), list[int]()

    def stepped(one: nn.Module, step: int) -> None:
        average(one, step)
        weights.append(weight_of(model.line))
        steps.append(step)

    fit(model, squares, {"image": stream()}, plan(steps=25), stepped=stepped)
    assert steps == list(range(25))
    assert len(set(weights)) == 25 and weights[-1] == weight_of(model.line)
    assert model.mean.item() == pytest.approx(sum(weights) / 25)


def test_what_is_averaged_is_scored_and_restored() -> None:
    """A look sees the mean after its step, and the best step's mean comes back with its parameters."""
    model, seen = Averaged(), list[tuple[float, float]]()
    scores = iter([0.1, 0.2, 0.9, 0.3, 0.4])

    def score() -> float:
        seen.append((weight_of(model.line), model.mean.item()))
        return next(scores)

    fit(model, squares, {"image": stream()}, plan(steps=50), score=score, stepped=average)
    assert seen[0][1] == seen[0][0] != 0
    assert (weight_of(model.line), model.mean.item()) == seen[2]


def test_two_players_take_turns() -> None:
    """A player without a gradient stays as it is: its moments and its weights, though AdamW decays."""
    model = nn.ModuleDict({"even": line(), "odd": line()})
    nn.init.ones_(model["even"].weight)
    nn.init.ones_(model["odd"].weight)
    found: list[list[float]] = []

    def losses(one: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        return {name: squares(player, batch)["image"] for name, player in model.items()}

    def backward(one: nn.Module, terms: Mapping[str, Tensor]) -> None:
        terms["odd" if len(found) % 2 else "even"].backward()

    def stepped(one: nn.Module, step: int) -> None:
        found.append([player.weight.item() for player in model.values()])

    fit(model, losses, {"image": stream()}, plan(steps=6, weight_decay=0.5), backward=backward, stepped=stepped)
    before = [1.0, 1.0]
    for step, after in enumerate(found):
        moved = [one != other for one, other in zip(before, after, strict=True)]
        assert moved == ([False, True] if step % 2 else [True, False])
        before = after
