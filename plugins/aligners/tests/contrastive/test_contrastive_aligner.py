"""The aligner `contrastive`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import AlignContext, AlignerSpec, Encoder, PairBatch, UsageError
from xm.alignment import Pairs, Sides, ridge
from xm.encoders import Tail
from xm.evaluation import mean_reciprocal_rank
from xm.foundation import Event, read_tensors, write_tensors
from xm.learning import Behind, Checkpoint, InfoNce, Inputs
from xm.plugins import manager
from xm.testing import AlignerConformance
from xm_aligners.contrastive.aligner import ALPHAS, Contrastive
from xm_aligners.contrastive.held_out import MOST, split
from xm_aligners.contrastive.model import PAIRS, PairModel, loss, stream_of

KNOWN, HELD_OUT = 120, 40
QUICK: Mapping[str, Any] = {"steps": 12, "val": 0.25, "eval_every": 1, "batch_size": 8, "lr": 1e-2}


class TestConformance(AlignerConformance):
    @pytest.fixture
    def spec(self) -> AlignerSpec:
        return manager().aligners.find("contrastive")

    @pytest.mark.parametrize("settings", [{}, {"dim": 8}, {"map": "mlp", "lr": 1e-2}, {"map": "adapter", "dim": 20}])
    def test_both_sides_meet(
        self, spec: AlignerSpec, context: AlignContext, settings: Mapping[str, Any], tmp_path: Path
    ) -> None:
        """Held-out things find each other in the new space; the maps' tensors give the maps again."""
        both = {"sides": "both", **settings}
        sides = spec.load()(both).sides(context)
        things = range(KNOWN, KNOWN + HELD_OUT)
        assert sides.target is not None
        found = []
        for map, encoder in ((sides.source, context.source), (sides.target, context.target)):
            assert not any(p.requires_grad for p in map.parameters())
            found.append(map(encoder.trunk(things)))
            write_tensors(tmp_path / "map.safetensors", dict(map.state_dict()))
            again = spec.load()(both).restore(read_tensors(tmp_path / "map.safetensors"))
            assert torch.equal(again(encoder.trunk(things)), found[-1])
        assert found[0].shape == found[1].shape == (HELD_OUT, settings.get("dim", context.target.dim))
        cosines = normalize(found[0], dim=1) @ normalize(found[1], dim=1).T
        assert float((cosines.argmax(dim=1) == torch.arange(HELD_OUT)).float().mean()) > 0.6
        assert float(cosines.diagonal().mean()) > float(cosines.mean()) + 0.3


class Numbers(Encoder):
    """Stands for an encoder; only its modality is looked at."""

    def __init__(self, modality: str) -> None:
        self.modality = self.space = modality

    def fingerprint(self) -> str:
        return self.space

    def trunk(self, items: Any) -> Inputs:
        raise AssertionError("contrastive needs the pairs alone")


def pairs_context(n: int = 40, group: Tensor | None = None) -> AlignContext:
    """n pairs of 6 and 4 numbers that share three hidden ones."""
    generator = torch.Generator().manual_seed(n)
    hidden, left, right, x, y = (
        torch.randn(*shape, generator=generator) for shape in ((n, 3), (3, 6), (3, 4), (n, 6), (n, 4))
    )
    pairs = Pairs({"features": hidden @ left + 0.3 * x}, {"features": hidden @ right + 0.3 * y, "scores": y}, group)
    return AlignContext(Numbers("audio"), Numbers("image"), None, pairs, lambda encoder, items: encoder.trunk(items))


def pairs_of(context: AlignContext) -> Pairs:
    assert context.pairs is not None
    return context.pairs


def tensors(sides: Sides) -> dict[str, Tensor]:
    parts = {"source": sides.source, **({"target": sides.target} if sides.target is not None else {})}
    return {f"{name}.{key}": value for name, map in parts.items() for key, value in map.state_dict().items()}


def nce(source: nn.Module, target: nn.Module, pairs: Pairs) -> float:
    """InfoNCE at CLIP's temperature, in plain steps."""
    x, y = (normalize(map(side), dim=1) for map, side in ((source, pairs.source), (target, pairs.target)))
    logits = x @ y.T / 0.07
    own = logits.diagonal()
    return float(((logits.logsumexp(dim=1) - own).mean() + (logits.logsumexp(dim=0) - own).mean()).detach() / 2)


def test_no_step_is_ridge_regression() -> None:
    context = pairs_context()
    pairs = pairs_of(context)
    map = Contrastive({"steps": 0}).fit(context)
    expected = ridge(Tail()(pairs.source), Tail()(pairs.target), ALPHAS)
    torch.testing.assert_close(map(pairs.source), expected(Tail()(pairs.source)))


def test_ridge_starts_from_the_target_where_it_begins() -> None:
    """With both sides and another dim, the source's map starts as regression onto the target's projection."""
    context = pairs_context()
    pairs = pairs_of(context)
    sides = Contrastive({"steps": 0, "sides": "both", "dim": 3}).sides(context)
    assert sides.target is not None
    expected = ridge(Tail()(pairs.source), sides.target(pairs.target), ALPHAS)
    torch.testing.assert_close(sides.source(pairs.source), expected(Tail()(pairs.source)))


@pytest.mark.parametrize("sides", ["source", "both"])
@pytest.mark.parametrize("start", ["ridge", "orthogonal"])
def test_steps_lower_the_objective(sides: str, start: str) -> None:
    context = pairs_context()
    given = {"sides": sides, "start": start, "lr": 1e-2}
    before, after = (Contrastive({**given, "steps": steps}).sides(context) for steps in (0, 60))
    values = [nce(found.source, found.target or Tail(), pairs_of(context)) for found in (before, after)]
    assert values[1] < values[0] - 0.1


def test_one_step_is_adamw_on_the_objective() -> None:
    """All pairs in one batch; the temperature moves with the map."""
    context = pairs_context()
    pairs = pairs_of(context)
    model = PairModel(Contrastive({"steps": 0}).fit(context), Tail(), InfoNce())
    model.requires_grad_(True)
    found = loss(model, {PAIRS: stream_of(pairs)})[PAIRS]
    assert float(found.detach()) == pytest.approx(nce(model.source, Tail(), pairs), rel=1e-5)
    found.backward()  # type: ignore[no-untyped-call]
    log_scale = model.get_parameter("objective.log_scale")
    assert log_scale.grad is not None and float(log_scale.grad) != 0
    bias = model.get_parameter("source.1.bias")
    assert bias.grad is not None
    rate, decay = 1e-5, 0.01  # of the loop's first step; AdamW's first step is the gradient's sign
    expected = bias * (1 - rate * decay) - rate * bias.grad.sign()
    trained = Contrastive({"steps": 1}).fit(context).state_dict()["1.bias"]
    torch.testing.assert_close(trained, expected, atol=2e-7, rtol=0)


@pytest.mark.parametrize("more", [{"betas": "0.5,0.9"}, {"schedule": "constant"}, {"schedule": "linear"}])
def test_betas_and_schedule_reach_the_loop(more: Mapping[str, Any]) -> None:
    """Of steps after the warm-up; saying the defaults changes nothing."""
    given = {"steps": 20, "lr": 1e-2}
    plain, same, other = (
        Contrastive({**given, **one}).fit(pairs_context()).state_dict()["1.bias"]
        for one in ({}, {"betas": (0.9, 0.999), "schedule": "cosine"}, more)
    )
    assert torch.equal(plain, same) and not torch.equal(plain, other)


def test_the_objective_sees_unit_vectors_groups_and_the_frozen_target() -> None:
    context = pairs_context(group=torch.arange(40) // 2)
    pairs = pairs_of(context)
    sides = Contrastive({"steps": 0, "sides": "both", "dim": 3}).sides(context)
    assert sides.target is not None
    batch: PairBatch = PairModel(sides.source, sides.target, InfoNce())(stream_of(pairs))
    torch.testing.assert_close(batch.source, normalize(sides.source(pairs.source), dim=1))
    torch.testing.assert_close(batch.target, normalize(sides.target(pairs.target), dim=1))
    torch.testing.assert_close(batch.frozen, normalize(pairs.target["features"], dim=1))
    assert batch.group is not None and torch.equal(batch.group, torch.arange(40) // 2)


@pytest.mark.parametrize("settings", [{"map": "adapter"}, {"sides": "both", "dim": 3}])
@pytest.mark.parametrize("stop", [3, 7, 11])
def test_an_interrupted_fit_ends_as_an_uninterrupted_one(
    settings: Mapping[str, Any], stop: int, tmp_path: Path
) -> None:
    """Bit-equal."""
    aligner = Contrastive({**QUICK, **settings})
    checkpoint = Checkpoint(tmp_path / "fit.safetensors", every=2)
    context = replace(pairs_context(), checkpoint=checkpoint)

    def listen(event: Event) -> None:
        if event.kind == "step" and event.data["step"] == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aligner.sides(replace(context, listener=listen))
    assert checkpoint.path.exists()
    steps: list[int] = []
    resumed = aligner.sides(replace(context, listener=lambda e: steps.append(e.data["step"])))
    assert min(steps) == stop // 2 * 2
    whole = tensors(aligner.sides(replace(context, checkpoint=None)))
    assert whole.keys() == tensors(resumed).keys()
    assert all(torch.equal(value, whole[name]) for name, value in tensors(resumed).items())
    assert not checkpoint.path.exists()


def test_the_best_step_on_kept_pairs_counts() -> None:
    """A learning rate that breaks the map leaves it at its start, which was fitted without the kept pairs."""
    context = pairs_context()
    pairs, kept = pairs_of(context), {"val": 0.25, "eval_every": 1, "lr": 50.0, "patience": 3}
    scores: list[float] = []
    listen = replace(context, listener=lambda e: scores.append(e.data["score"]) if e.kind == "eval" else None)
    map = Contrastive({**kept, "steps": 50}).fit(listen)
    assert 4 <= len(scores) < 50, "patience stops it"
    rows, out = split(pairs, 0.25, context.seed)
    assert len(out) == 10
    x, y = (
        normalize(side, dim=1)
        for side in (map({"features": pairs.source["features"][out]}), pairs.target["features"][out])
    )
    assert mean_reciprocal_rank(x, y) == pytest.approx(max(scores))
    first = Contrastive({**kept, "steps": 0}).fit(context)
    expected = ridge(*(normalize(side["features"][rows], dim=1) for side in (pairs.source, pairs.target)), ALPHAS)
    torch.testing.assert_close(first(pairs.source), expected(Tail()(pairs.source)))


def test_kept_pairs_are_whole_groups() -> None:
    group = torch.tensor([5, 5, 5, 1, 1, 2, 2, 3, 3, 4, 4, 6])
    pairs = replace(pairs_of(pairs_context(12)), group=group)
    for seed in range(5):
        rows, kept = split(pairs, 0.4, seed)
        assert sorted([*rows.tolist(), *kept.tolist()]) == list(range(12))
        assert not set(group[rows].tolist()) & set(group[kept].tolist())
        assert 2 <= len(group[kept].unique()) <= 4 and len(kept) <= 5
    assert len(split(pairs_of(pairs_context(3 * MOST)), 0.5, 1)[1]) == MOST
    without = replace(pairs, group=None)
    assert len(split(without, 0.25, 1)[1]) == 3
    assert not torch.equal(split(without, 0.25, 1)[1], split(without, 0.25, 2)[1])


@pytest.mark.parametrize(("share", "group"), [(0.0, None), (0.1, None), (0.95, None), (0.5, torch.arange(12) // 5)])
def test_nothing_is_kept_where_either_side_would_have_no_wrong_partners(share: float, group: Tensor | None) -> None:
    rows, kept = split(replace(pairs_of(pairs_context(12)), group=group), share, seed=1)
    assert rows.tolist() == list(range(12)) and not len(kept)


def test_the_seed_draws() -> None:
    context = pairs_context()
    one, same, other = (Contrastive(QUICK).fit(replace(context, seed=seed)).state_dict() for seed in (1, 1, 2))
    assert torch.equal(one["1.skip"], same["1.skip"])
    assert not torch.equal(one["1.skip"], other["1.skip"])


def test_the_objectives_settings_reach_it() -> None:
    context = pairs_context()
    given = {"steps": 20, "lr": 1e-2}
    one, other = (
        Contrastive({**given, "objective_set": {"temperature": value}}).fit(context).state_dict()
        for value in (0.07, 1.0)
    )
    assert not torch.equal(one["1.skip"], other["1.skip"])
    assert not any("log_scale" in name for name in one)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": "infonse"}, "unknown objective 'infonse': did you mean 'infonce'"),
        ({"objective": "cross-entropy"}, "is for logits and labels"),
        ({"objective_set": {"temprature": 1}}, "did you mean 'temperature'"),
    ],
)
def test_a_wrong_objective_is_the_registrys_error(settings: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Contrastive(settings).fit(pairs_context())


def test_says_what_is_missing() -> None:
    context = pairs_context(2)
    assert Contrastive().why_not(context) is None
    assert Contrastive().why_not(replace(context, pairs=None)) == "there are no pairs of audio and image items"
    assert Contrastive().why_not(pairs_context(1)) == "at least 2 pairs of audio and image items are needed, not 1"


def test_the_source_alone_can_be_mapped_whatever_sides_says() -> None:
    assert Contrastive({"sides": "both"}).moves_target and not Contrastive().moves_target
    both, alone = (Contrastive({"sides": sides}).fit(pairs_context()).state_dict() for sides in ("both", "source"))
    assert all(torch.equal(value, alone[name]) for name, value in both.items())


class OpenTail(nn.Module):
    """One layer, which starts as the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.layer.weight)

    def forward(self, x: Inputs) -> Tensor:
        return normalize(self.layer(x["features"]), dim=1)


def test_an_opened_tail_is_trained_with_the_map() -> None:
    context = pairs_context(40)
    dim = pairs_of(context).source["features"].shape[1]
    tail = OpenTail(dim)
    aligner = Contrastive({"depth": 1, "steps": 20, "lr": 1e-2})
    assert aligner.depth == 1 and Contrastive().depth == 0
    found = aligner.fit(replace(context, tail=tail))
    assert isinstance(found, Behind) and not any(p.requires_grad for p in found.parameters())
    assert float((tail.layer.weight - torch.eye(dim)).abs().max()) > 0.01
    inner = {name.removeprefix("map."): v for name, v in found.state_dict().items() if name.startswith("map.")}
    x = pairs_of(context).source
    torch.testing.assert_close(aligner.restore(inner)({"features": tail(x)}), found(x))
    unmoved = Contrastive({"depth": 1, "steps": 0}).fit(replace(context, tail=OpenTail(dim)))
    torch.testing.assert_close(unmoved(x), Contrastive({"steps": 0}).fit(context)(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sides": "target"},
        {"start": "zero"},
        {"batch_size": 1},
        {"val": 1.0},
        {"map": "x"},
        {"betas": (0.9, 1.0)},
        {"schedule": "step"},
    ],
)
def test_wrong_settings(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"Contrastive: {next(iter(wrong))}"):
        Contrastive(wrong)
