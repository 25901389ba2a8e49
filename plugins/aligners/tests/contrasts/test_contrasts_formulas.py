"""Each objective against its paper's or its official code's formula: plain loops in double precision, and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import PairBatch, PairObjective, UsageError
from xm.learning import make_pair_objective
from xm.plugins import manager

N, DIM = 7, 5
GROUP = [0, 1, 0, 2, 1, 3, 0]
Array = Any


@pytest.fixture
def batch() -> PairBatch:
    return pairs()


def pairs(group: list[int] | None = None) -> PairBatch:
    """Seven pairs in five dimensions, their cosines between -0.9 and 0.9."""
    drawn = torch.randn(3, N, DIM, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    source, target, frozen = normalize(drawn, dim=2)
    return PairBatch(source, target, frozen, None if group is None else torch.tensor(group))


def make(name: str, **settings: Any) -> PairObjective:
    """In double precision, so that the temperature is what was asked for."""
    objective = make_pair_objective(name, settings, manager())
    with torch.no_grad():
        objective.double()
        if "temperature" in settings:
            objective.get_parameter("log_scale").fill_(-math.log(settings["temperature"]))
    return objective


def value(objective: PairObjective, batch: PairBatch) -> float:
    return float(objective(batch).detach())


def plane(*degrees: float) -> Tensor:
    """Unit vectors of the plane at these angles."""
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack((angles.cos(), angles.sin()), dim=1)


def flat(source: Tensor, target: Tensor, group: list[int] | None = None) -> PairBatch:
    return PairBatch(source, target, target, None if group is None else torch.tensor(group))


def log_sum_exp(values: list[float]) -> float:
    return math.log(sum(math.exp(v) for v in values))


def close(found: float, wanted: float) -> None:
    assert found == pytest.approx(wanted, abs=1e-6, rel=1e-6)


# --- nce


@pytest.mark.parametrize("group", (None, GROUP))
def test_nce_is_the_mean_over_pairs_of_noise_contrastive_estimation(group: list[int] | None) -> None:
    batch, tau = pairs(group), 0.2
    labels = group or list(range(N))
    s = (batch.target @ batch.source.T).numpy() / tau
    terms = []
    for a in range(N):
        negatives = [math.exp(s[a, k]) for k in range(N) if labels[k] != labels[a]]
        terms += [
            -math.log(math.exp(s[a, p]) / (math.exp(s[a, p]) + sum(negatives)))
            for p in range(N)
            if labels[p] == labels[a]
        ]
    close(value(make("nce", temperature=tau), batch), float(np.mean(terms)))


def test_nce_by_hand() -> None:
    """Two pairs at right angles: the own cosine is 1, the other 0; at temperature 1 that is log(1 + e^-1)."""
    batch = flat(plane(0, 90), plane(0, 90))
    close(value(make("nce", temperature=1.0), batch), math.log(1 + math.exp(-1)))


def test_nce_contrasts_the_new_side_only_unless_told() -> None:
    """Target 0 sees sources at cosines 1 and 1/2, source 0 sees targets at 1 and 0: the directions differ."""
    batch = flat(plane(0, 60), plane(0, 90))
    home = np.mean([math.log(1 + math.exp(0.5 - 1)), math.log(1 + math.exp(0 - math.cos(math.pi / 6)))])
    new = np.mean([math.log(1 + math.exp(0 - 1)), math.log(1 + math.exp(0.5 - math.cos(math.pi / 6)))])
    close(value(make("nce", temperature=1.0), batch), float(home))
    close(value(make("nce", temperature=1.0, symmetric=True), batch), float(home + new) / 2)


def test_nce_draws_its_negatives_among_the_unpaired() -> None:
    batch = pairs(GROUP)
    together = batch.group[:, None] == batch.group[None, :]  # type: ignore[index]
    objective: Any = make("nce", negatives=2)
    torch.manual_seed(1)
    seen = torch.zeros_like(together)
    for _ in range(100):
        drawn = objective._drawn(together)
        assert drawn.sum(dim=1).tolist() == [2] * N
        assert not bool((drawn & together).any())
        seen |= drawn
    assert bool((seen | together).all()), "some unpaired vector is never drawn"


@pytest.mark.parametrize("group", (list(range(N)), GROUP))
def test_nce_margin_is_the_published_code_without_its_constant(group: list[int]) -> None:
    """That code lets a group violate itself, by the margin exactly."""
    batch, margin = pairs(group), 0.3
    source, target = batch.source.numpy(), batch.target.numpy()
    classes = list(dict.fromkeys(group))
    rows = [[i for i in range(N) if group[i] == c] for c in classes]
    means = [[side[own].mean(axis=0) for own in rows] for side in (source, target)]
    published = sum(
        max(0.0, margin + float(means[0][i] @ means[1][j]) - float(means[0][j] @ means[1][j]))
        for i in range(len(classes))
        for j in range(len(classes))
    )
    constant = margin * len(classes)
    close(value(make("nce", form="margin", margin=margin), batch), (published - constant) / N)


# --- triplet


@pytest.mark.parametrize("group", (None, GROUP))
@pytest.mark.parametrize("negatives", ("hardest", "all"))
def test_triplet_is_the_published_sum_over_n(negatives: str, group: list[int] | None) -> None:
    batch, margin = pairs(group), 0.2
    labels = group or list(range(N))
    s = (batch.source @ batch.target.T).numpy()
    total = 0.0
    for i in range(N):
        of_source = [max(0.0, margin + s[i, j] - s[i, i]) for j in range(N) if labels[j] != labels[i]]
        of_target = [max(0.0, margin + s[j, i] - s[i, i]) for j in range(N) if labels[j] != labels[i]]
        total += max(of_source) + max(of_target) if negatives == "hardest" else sum(of_source) + sum(of_target)
    close(value(make("triplet", negatives=negatives), batch), total / N)


def test_triplet_by_hand() -> None:
    """Source 1 at 60 degrees violates nothing: at most 0.2 + 0.5 - 1 < 0; at 30 degrees two triplets are violated."""
    close(value(make("triplet"), flat(plane(0, 60), plane(0, 90))), 0.0)
    batch = flat(plane(0, 30), plane(0, 90))  # cosines (1, 0), (0.866, 0.5)
    of_source, of_target = [0.0, 0.2 + math.sqrt(3) / 2 - 0.5], [0.2 + math.sqrt(3) / 2 - 1, 0.0]
    close(value(make("triplet"), batch), (sum(of_source) + sum(of_target)) / 2)


# --- infoloob


def cloob(x: Array, y: Array, beta: float, inverse: float) -> float:
    """The official computation, in NumPy."""

    def retrieve(state: Array, stored: Array) -> Array:
        weights = np.exp(beta * state @ stored.T)
        found = (weights / weights.sum(axis=1, keepdims=True)) @ stored
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def loob(a: Array, b: Array) -> float:
        k = inverse * a @ b.T
        rows = [-k[i, i] + log_sum_exp([k[i, j] for j in range(len(k)) if j != i]) for i in range(len(k))]
        return float(np.mean(rows)) / inverse

    return loob(retrieve(x, x), retrieve(y, x)) + loob(retrieve(y, y), retrieve(x, y))


@pytest.mark.parametrize(("beta", "temperature"), ((8.0, 1 / 30), (14.3, 1 / 14.3)))
def test_infoloob_is_cloobs(batch: PairBatch, beta: float, temperature: float) -> None:
    found = value(make("infoloob", beta=beta, temperature=temperature), batch)
    close(found, cloob(batch.source.numpy(), batch.target.numpy(), beta, 1 / temperature))


def test_infoloob_by_hand() -> None:
    """Without retrieval, two pairs: the other cosine minus the own, at any temperature; mean, and both directions."""
    batch = flat(plane(0, 60), plane(0, 90))
    rows, columns = [0 - 1, 0.5 - math.sqrt(3) / 2], [0.5 - 1, 0 - math.sqrt(3) / 2]
    close(value(make("infoloob", beta=0, temperature=0.3), batch), (sum(rows) + sum(columns)) / 2)


def test_infoloob_averages_a_groups_positives() -> None:
    """Pairs 0 and 1 are a group: source 0 has positives at 1 and 0, one negative at -1."""
    batch = flat(plane(0, 90, 180), plane(0, 90, 180), [5, 5, 9])
    row_0, row_1, row_2 = -1 - 0.5, 0 - 0.5, log_sum_exp([-1, 0]) - 1
    close(value(make("infoloob", beta=0, temperature=1.0), batch), 2 * (row_0 + row_1 + row_2) / 3)


# --- cwcl


@pytest.mark.parametrize("group", (None, GROUP))
def test_cwcl_is_the_weighted_contrast_plus_clips(group: list[int] | None) -> None:
    batch, tau = pairs(group), 0.15
    labels = group or list(range(N))
    frozen, s = batch.frozen.numpy(), (batch.target @ batch.source.T).numpy() / tau
    weighted, plain = 0.0, 0.0
    for i in range(N):
        w = [float(frozen[i] @ frozen[j]) / 2 + 0.5 for j in range(N)]
        if group:
            w = [1.0 if labels[j] == labels[i] else w[j] for j in range(N)]
        weighted -= sum(w[j] * (s[i, j] - log_sum_exp(list(s[i]))) for j in range(N)) / sum(w)
        own = [j for j in range(N) if labels[j] == labels[i]]
        plain -= sum(s[j, i] - log_sum_exp(list(s[:, i])) for j in own) / len(own)
    close(value(make("cwcl", temperature=tau), batch), (weighted + plain) / N)


def test_cwcl_by_hand() -> None:
    """Targets at right angles in the frozen space weigh 1 and 1/2, so 2/3 and 1/3; cosines 1 and 0, temperature 1."""
    batch = flat(plane(0, 90), plane(0, 90))
    total = math.log(math.e + 1)
    close(value(make("cwcl", temperature=1.0), batch), (total - 2 / 3) + (total - 1))


# --- geodesic-mixup


def slerp(a: Array, b: Array, part: float) -> Array:
    angle = math.acos(float(a @ b))
    return (math.sin(part * angle) * a + math.sin((1 - part) * angle) * b) / math.sin(angle)


def soft(logits: Array, wanted: Array) -> float:
    """The mean over rows of the cross-entropy to soft targets."""
    n = range(len(logits))
    return -float(np.mean([sum(wanted[i, j] * (logits[i, j] - log_sum_exp(list(logits[i]))) for j in n) for i in n]))


def clip(logits: Array, wanted: Array) -> float:
    return (soft(logits, wanted) + soft(logits.T, wanted.T)) / 2


def mixup(x: Array, y: Array, term: str, part: float, scale: float, scale2: float) -> float:
    """One term of the official code, in NumPy, for an even number of pairs."""
    n, eye = len(x), np.eye(len(x))
    back = eye[::-1]
    mixed_x = np.array([slerp(x[i], x[n - 1 - i], part) for i in range(n)])
    mixed_y = np.array([slerp(y[i], y[n - 1 - i], part) for i in range(n)])
    if term == "v":
        return clip(scale * mixed_x @ y.T, part * eye + (1 - part) * back)
    if term == "l":
        return clip(scale * x @ mixed_y.T, part * eye + (1 - part) * back)
    if term == "vl":
        return clip(scale * mixed_x @ mixed_y.T, eye + back)
    between = np.array([slerp(x[i], y[i], part) for i in range(n)])
    of_x, of_y = (scale2 * np.where(eye > 0, x @ y.T, side @ between.T) for side in (x, y))
    return soft(of_x, eye) + soft(of_y, eye)


@pytest.mark.parametrize("term", ("m2", "v", "l", "vl"))
def test_mixup_is_the_published_codes(term: str) -> None:
    whole = pairs()
    batch = PairBatch(whole.source[:6], whole.target[:6], whole.frozen[:6])
    x, y = batch.source.numpy(), batch.target.numpy()
    objective = make("geodesic-mixup", **{"temperature": 0.2, "m2": 0.0, term: 0.3, "m2_temperature": 0.5})
    torch.manual_seed(6)
    found = value(objective, batch)
    torch.manual_seed(6)
    part = float(torch.distributions.Beta(torch.tensor(0.5), torch.tensor(0.5)).sample())
    assert 0.01 < part < 0.99
    close(found, clip(5 * x @ y.T, np.eye(6)) + 0.3 * mixup(x, y, term, part, 5.0, 2.0))


def test_mixup_of_nothing_is_clips(batch: PairBatch) -> None:
    core = make("infonce", temperature=0.1)
    close(value(make("geodesic-mixup", m2=0.0, temperature=0.1), batch), value(core, batch))


def test_the_geodesic_by_hand() -> None:
    """Halfway from 0 to 90 degrees is 45; at 2/3 towards the first of 0 and 60 it is 20; its length is always 1."""
    from xm_aligners.contrasts.mixup import geodesic

    torch.testing.assert_close(geodesic(plane(0), plane(90), 0.5), plane(45))
    torch.testing.assert_close(geodesic(plane(0), plane(60), 2 / 3), plane(20))
    torch.testing.assert_close(geodesic(plane(30), plane(30), 0.3), plane(30), atol=1e-6, rtol=0)


def test_mixup_draws_one_part_a_batch(batch: PairBatch) -> None:
    """Many draws of Beta(1/2, 1/2): mean 1/2, variance 1/8."""
    from xm_aligners.contrasts.mixup import _beta

    torch.manual_seed(1)
    drawn = np.array([_beta(0.5) for _ in range(4000)])
    assert abs(drawn.mean() - 0.5) < 0.02
    assert abs(drawn.var() - 0.125) < 0.01


def test_mixup_with_an_odd_batch_is_finite(batch: PairBatch) -> None:
    """The middle row is its own partner, at angle 0, where the published formula divides 0 by 0."""
    source = batch.source.clone().requires_grad_()
    loss = make("geodesic-mixup", v=1.0, l=1.0, vl=1.0)(PairBatch(source, batch.target, batch.frozen))
    loss.backward()
    assert source.grad is not None
    assert bool(source.grad.isfinite().all())


# --- supcon


@pytest.mark.parametrize("group", (None, GROUP))
def test_supcon_within_is_the_published_code_on_two_views(group: list[int] | None) -> None:
    batch, tau = pairs(group), 0.1
    labels = [*(group or range(N))] * 2
    z = np.concatenate((batch.source.numpy(), batch.target.numpy()))
    total = 0.0
    for i in range(2 * N):
        others = [a for a in range(2 * N) if a != i]
        denominator = log_sum_exp([float(z[i] @ z[a]) / tau for a in others])
        positives = [p for p in others if labels[p] == labels[i]]
        total -= sum(float(z[i] @ z[p]) / tau - denominator for p in positives) / len(positives)
    close(value(make("supcon", within=True, temperature=tau), batch), total / (2 * N))


def test_supcon_across_by_hand() -> None:
    """A group of two and one alone; the mean over positives is outside the logarithm (L_out)."""
    batch = flat(plane(0, 0, 90), plane(0, 0, 90), [4, 4, 6])
    of_group = math.log(2 * math.e + 1) - 1
    alone = math.log(2 + math.e) - 1
    close(value(make("supcon", temperature=1.0), batch), (2 * of_group + alone) / 3)


def test_supcon_of_single_pairs_is_infonce(batch: PairBatch) -> None:
    close(value(make("supcon", temperature=0.1), batch), value(make("infonce", temperature=0.1), batch))


# --- siglip


@pytest.mark.parametrize("group", (None, GROUP))
def test_siglip_is_the_sum_over_all_combinations(group: list[int] | None) -> None:
    batch = pairs(group)
    labels = group or list(range(N))
    s = (batch.source @ batch.target.T).numpy()
    total = 0.0
    for i in range(N):
        for j in range(N):
            z = 1 if labels[i] == labels[j] else -1
            total -= math.log(1 / (1 + math.exp(z * (-10 * s[i, j] + 10))))
    close(value(make("siglip"), batch), total / N)


def test_siglip_can_ignore_others_of_a_group() -> None:
    """All of one group: only the own pairs are left, each a sigmoid of t + b = 0."""
    batch = flat(plane(0, 90), plane(0, 90), [3, 3])
    close(value(make("siglip", same_group="ignored"), batch), math.log(2))
    close(value(make("siglip"), batch), math.log(2) + math.log(1 + math.exp(10)))


# --- look


@pytest.mark.parametrize("k", (1, 3, 100))
@pytest.mark.parametrize("within", (False, True))
@pytest.mark.parametrize("group", (None, GROUP))
def test_look_is_the_leave_one_out_error_of_a_weighted_knn(group: list[int] | None, within: bool, k: int) -> None:
    batch, tau = pairs(group), 0.2
    labels = [*(group or range(N))] * 2
    z = np.concatenate((batch.source.numpy(), batch.target.numpy()))
    total = 0.0
    for i in range(2 * N):
        others = [j for j in range(2 * N) if j != i and (within or (j < N) != (i < N))]
        others.sort(key=lambda j: -float(z[i] @ z[j]))
        own = [j for j in others if labels[j] == labels[i]]
        voting = {*others[:k], own[0]}
        votes = {j: math.exp(float(z[i] @ z[j]) / tau) for j in voting}
        total -= math.log(sum(votes[j] for j in voting if labels[j] == labels[i]) / sum(votes.values()))
    close(value(make("look", k=k, within=within, temperature=tau), batch), total / (2 * N))


def test_look_by_hand() -> None:
    """The nearest is a stranger at cosine 1; its own, at 0, votes as well: log(1 + e), on both sides."""
    batch = flat(plane(0, 90), plane(90, 0))
    close(value(make("look", k=1, temperature=1.0), batch), math.log(1 + math.e))


def test_look_leaves_far_members_of_a_group_alone() -> None:
    """Two modes of one group: the far one is no neighbour, so nothing pulls; supcon does pull."""
    source, target = plane(0, 5, 120, 125, 240), plane(1, 4, 121, 124, 241)
    batch = flat(source, target, [0, 0, 0, 0, 1])
    grads = {}
    for name, settings in (("look", {"k": 2}), ("supcon", {})):
        x = source.clone().requires_grad_()
        make(name, temperature=0.1, **settings)(PairBatch(x, target, target, batch.group)).backward()
        assert x.grad is not None
        grads[name] = float(x.grad[:4].abs().max())
    assert grads["look"] < 1e-6 < 1e-2 < grads["supcon"]


# --- all


@pytest.mark.parametrize("name", ("nce", "infoloob", "cwcl", "geodesic-mixup", "supcon", "look"))
def test_the_temperature_trains_if_told(name: str, batch: PairBatch) -> None:
    """Its gradient is the slope of the loss in the scale's logarithm."""
    on = make(name, temperature=0.2, learn_temperature=True)
    torch.manual_seed(1)
    on(batch).backward()
    gradient = on.get_parameter("log_scale").grad
    assert gradient is not None
    assert float(gradient.abs()) > 0
    assert not any(p.requires_grad for p in make(name, temperature=0.2, learn_temperature=False).parameters())
    around = []
    for by in (1e-4, -1e-4):
        torch.manual_seed(1)
        around.append(value(make(name, temperature=0.2 * math.exp(-by)), batch))
    close(float(gradient), (around[0] - around[1]) / 2e-4)


def test_scale_and_bias_of_siglip_train(batch: PairBatch) -> None:
    objective = make("siglip")
    objective(batch).backward()
    for parameter in ("log_scale", "bias"):
        gradient = objective.get_parameter(parameter).grad
        assert gradient is not None
        assert float(gradient.abs()) > 0


def test_the_scale_is_capped(batch: PairBatch) -> None:
    objective = make("nce", temperature=0.001)
    capped = make("nce", temperature=0.01)
    close(value(objective, batch), value(capped, batch))


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    (
        ("nce", {"form": "hinge"}, "form"),
        ("nce", {"negatives": -1}, "negatives"),
        ("triplet", {"margin": 0}, "margin"),
        ("triplet", {"negatives": "semi"}, "negatives"),
        ("infoloob", {"beta": -1}, "beta"),
        ("cwcl", {"temperature": 0}, "temperature"),
        ("geodesic-mixup", {"m2_beta": 0}, "m2_beta"),
        ("siglip", {"same_group": "negative"}, "same_group"),
        ("look", {"k": 0}, "k"),
    ),
)
def test_a_wrong_setting_is_named_in_a_line(name: str, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_pair_objective(name, settings, manager())
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
