"""Plans, learning rates, and groups of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, SequentialLR

from xm import Plan, Stream, UsageError, fit
from xm.learning.schedule import ParameterGroup, learning_rate, parameter_groups
from xm.learning.stream import Batch

STEPS, WARMUP, LR = 40, 8, 0.02


def plan(**more: Any) -> Plan:
    given: dict[str, Any] = {"shares": {"image": 1.0}, "steps": STEPS, "lr": LR, "warmup": WARMUP, "batch_size": 16}
    return Plan(**given | more)


def stream() -> Stream:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(1))
    return Stream("image", {"x": x}, x @ torch.tensor([2.0, -1.0, 0.5]))


def model() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def squares(one: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
    [samples] = batch.values()
    return {"loss": (one(samples.x["x"])[:, 0] - samples.labels).square().mean()}


def fitted(given: Plan, **more: Any) -> nn.Sequential:
    made = model()
    fit(made, squares, {"image": stream()}, given, **more)
    return made


def by_hand(groups: Callable[[nn.Sequential], list[dict[str, Any]]], given: Plan, **adamw: Any) -> nn.Sequential:
    """PyTorch's AdamW, each group at its factor of the published schedule, on the same batch at each step."""
    made = model()
    optimiser = torch.optim.AdamW(groups(made), fused=True, **adamw)
    for step in range(given.steps):
        warm = 1e-5 if step == 0 else given.lr * step / given.warmup
        cosine = given.lr * 0.5 * (1 + math.cos(math.pi * (step - given.warmup) / given.steps))
        for group in optimiser.param_groups:
            group["lr"] = group.get("factor", 1.0) * (warm if step < given.warmup else cosine)
        optimiser.zero_grad()
        squares(made, {"image": stream()})["loss"].backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return made


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_the_default_rates_are_those_of_the_first_version() -> None:
    """Bit by bit, as commit c524ada computed them."""
    default = Plan(shares={"image": 1.0})
    found = [learning_rate(default, step).hex() for step in (0, 1, 25, 49, 50, 51, 6450, 12_799)]
    assert found == [
        "0x1.4f8b588e368f1p-17",
        "0x1.4f8b588e368f1p-16",
        "0x1.0624dd2f1a9fcp-11",
        "0x1.00e6afcce1c58p-10",
        "0x1.0624dd2f1a9fcp-10",
        "0x1.0624dcecdec5dp-10",
        "0x1.0624dd2f1a9fcp-11",
        "0x1.5077eca29db23p-25",
    ]


def test_the_default_weights_are_those_of_a_plain_loop() -> None:
    expected = by_hand(lambda made: [{"params": list(made.parameters())}], plan(), weight_decay=0.01)
    assert_equal(fitted(plan()), expected)


@pytest.mark.parametrize("betas", ((0.9, 0.98), (0.0, 0.99), (0.5, 0.9)))
def test_betas_are_adamw_s(betas: tuple[float, float]) -> None:
    given = plan(betas=betas)
    groups = lambda made: [{"params": list(made.parameters())}]  # noqa: E731
    assert_equal(fitted(given), by_hand(groups, given, weight_decay=0.01, betas=betas))


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], LRScheduler]] = {
    "cosine": lambda optimiser: CosineAnnealingLR(optimiser, STEPS),
    "constant": lambda optimiser: ConstantLR(optimiser, factor=1.0),
    "linear": lambda optimiser: LinearLR(optimiser, 1.0, 0.0, total_iters=STEPS),
}


@pytest.mark.parametrize("warmup", (0, WARMUP))
@pytest.mark.parametrize("schedule", SCHEDULERS)
def test_schedules_are_torch_s(schedule: Any, warmup: int) -> None:
    """A ramp, and then PyTorch's own scheduler; at the end of the line and of the cosine is zero."""
    given = plan(schedule=schedule, warmup=warmup)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = SCHEDULERS[schedule](optimiser)
    if warmup:
        ramp = LambdaLR(optimiser, lambda step: step / warmup if step else given.warmup_lr / LR)
        scheduler = SequentialLR(optimiser, [ramp, scheduler], [warmup])
    for step in range(warmup + STEPS + 1):
        assert learning_rate(given, step) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6, abs=1e-9), step
        optimiser.step()
        scheduler.step()
    assert learning_rate(given, warmup + STEPS) == pytest.approx(LR if schedule == "constant" else 0, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "cosin"}, "schedule='cosin': it is one of cosine, constant, linear"),
        ({"keep": "first"}, "keep='first': it is one of best, last"),
        ({"betas": (0.9, 1.0)}, r"betas=(0.9, 1.0): two numbers from 0 to below 1, such as (0.9, 0.999)"),
        ({"betas": (0.9,)}, r"betas=(0.9,): two numbers from 0 to below 1, such as (0.9, 0.999)"),
    ],
)
def test_a_wrong_plan_is_refused_in_a_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(**given)
    assert str(caught.value) == said


def test_groups_have_their_own_rate_and_decay() -> None:
    """Those of the first layer at a tenth of the rate, its bias without decay; what is in no group has the plan's."""

    def groups(made: nn.Sequential) -> list[ParameterGroup]:
        return [ParameterGroup([made[0].weight], lr_scale=0.1), ParameterGroup([made[0].bias], 0.1, weight_decay=0.0)]

    def expected(made: nn.Sequential) -> list[dict[str, Any]]:
        return [
            {"params": [made[0].weight], "factor": 0.1, "weight_decay": 0.3},
            {"params": [made[0].bias], "factor": 0.1, "weight_decay": 0.0},
            {"params": list(made[2].parameters()), "weight_decay": 0.3},
        ]

    given, made = plan(weight_decay=0.3), model()
    fit(made, squares, {"image": stream()}, given, groups=groups(made))
    assert_equal(made, by_hand(expected, given))


def test_groups_that_say_nothing_new_change_nothing() -> None:
    made = model()
    fit(made, squares, {"image": stream()}, plan(), groups=[ParameterGroup([p]) for p in made.parameters()])
    assert_equal(made, fitted(plan()))
    assert_equal(fitted(plan(), groups=[]), fitted(plan()))


def test_a_rate_of_zero_leaves_parameters_as_they_are() -> None:
    made, before = model(), model()
    fit(made, squares, {"image": stream()}, plan(), groups=[ParameterGroup(list(made[0].parameters()), 0.0)])
    assert_equal(made[0], before[0])
    assert not torch.equal(made[2].weight, before[2].weight)


def test_wrong_groups_are_told_in_a_line() -> None:
    made = model()
    made[2].bias.requires_grad_(False)
    twice = [ParameterGroup([made[0].weight]), ParameterGroup([made[0].weight])]
    for groups, said in (
        (twice, "parameter 0.weight is in the groups twice"),
        ([ParameterGroup([made[2].bias])], "parameter 2.bias is frozen"),
        ([ParameterGroup([nn.Parameter(torch.zeros(2))])], r"parameter of shape (2,) is none of the model"),
    ):
        with pytest.raises(ValueError) as caught:
            fit(made, squares, {"image": stream()}, plan(), groups=groups)
        assert str(caught.value) == said


def test_groups_of_what_is_all_named_leave_no_rest() -> None:
    made = model()
    found = parameter_groups(made, plan(), [ParameterGroup(list(made.parameters()), 2.0), ParameterGroup([])])
    assert [(len(group["params"]), group["lr_scale"], group["weight_decay"]) for group in found] == [(4, 2.0, 0.01)]
