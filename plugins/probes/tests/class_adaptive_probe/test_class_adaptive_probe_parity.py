"""`class-adaptive-probe` against the formulas of github.com/jusiro/CLAP (trainers/adapters.py), derived anew."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt, learning_rate
from xm_probes.class_adaptive_probe.probe import PinnedProbe, zero_shot_multipliers
from xm_probes.class_adaptive_probe.strategy import ClassAdaptiveProbe

CLASSES, DIM, SCALE = 6, 24, 100.0


def unit(count: int, seed: int) -> Tensor:
    return F.normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed)), dim=1)


NAMES = F.normalize(unit(1, 4) + 0.3 * unit(CLASSES, 1), dim=1)  # names in a cone, as CLIP's
LABELS = torch.arange(CLASSES).repeat(5)
IMAGES = F.normalize(NAMES[LABELS] + 0.8 * unit(len(LABELS), 2), dim=1)


def published_multipliers(logits: Tensor) -> Tensor:
    """The diagonal of softmax transposed times one-hot labels, over the classes' counts."""
    one_hot = torch.zeros(len(LABELS), CLASSES, dtype=logits.dtype)
    one_hot[range(len(LABELS)), LABELS] = 1
    return (logits.softmax(dim=-1).T @ one_hot).diagonal() / one_hot.sum(dim=0)


def published_loss(w: Tensor, names: Tensor, multipliers: Tensor) -> Tensor:
    """The cross-entropy of cosines over the temperature, and the mean over classes of multiplier times distance."""
    logits = SCALE * IMAGES.to(w) @ (w / w.norm(dim=1, keepdim=True)).T
    distance = ((w - names) ** 2).sum(dim=1)
    return F.cross_entropy(logits, LABELS) + (multipliers * distance).sum() / CLASSES


def context(precise: bool = False) -> Context:
    dtype = torch.float64 if precise else torch.float32
    names = Stream("text", {EMBEDDING: NAMES.to(dtype)}, torch.arange(CLASSES))
    return Context(
        classes=tuple("abcdef"),
        target="image",
        dim=DIM,
        train={"image": Stream("image", {EMBEDDING: IMAGES.to(dtype)}, LABELS)},
        val=None,
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        read_names=lambda: names,
    )


def test_multipliers() -> None:
    ours = zero_shot_multipliers(NAMES, Stream("image", {EMBEDDING: IMAGES}, LABELS), SCALE)
    theirs = published_multipliers(SCALE * IMAGES @ NAMES.T)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert 0.05 < float(theirs.min()) < float(theirs.max()) < 1 and float(theirs.std()) > 0.01, "a telling case"


def test_loss_and_gradient() -> None:
    """At weights away from the start; the two terms sum to the published loss."""
    here = context()
    strategy = ClassAdaptiveProbe({"scale": SCALE})
    model = strategy.build(here)
    assert isinstance(model, PinnedProbe)
    with torch.no_grad():
        model.weight.add_(0.5 * unit(CLASSES, 3))
    ours = torch.stack(list(strategy.loss(model, here.train).values())).sum()
    theirs_at = model.weight.detach().clone().requires_grad_()
    theirs = published_loss(theirs_at, NAMES, published_multipliers(SCALE * IMAGES @ NAMES.T))
    (ours_gradient,) = torch.autograd.grad(ours, model.weight)
    (theirs_gradient,) = torch.autograd.grad(theirs, theirs_at)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours_gradient, theirs_gradient, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ("class", "mean", "one", "none"))
def test_weights_after_training(kind: str) -> None:
    """All samples are one batch, so that the steps are the same; the published loss by torch's AdamW."""
    settings: dict[str, Any] = {"scale": SCALE, "multipliers": kind, "solver": "adamw", "epochs": 50}
    model = adapt(ClassAdaptiveProbe(settings), context())
    assert isinstance(model, LinearClassifier)
    own = published_multipliers(SCALE * IMAGES @ NAMES.T)
    multipliers = {"class": own, "mean": own.mean() * torch.ones(CLASSES), "one": torch.ones(CLASSES)}
    plan = ClassAdaptiveProbe(settings).plan(context())
    w = NAMES.clone().requires_grad_()
    optimiser = torch.optim.AdamW([w], weight_decay=0.0)
    for step in range(50):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(plan, step)
        loss = published_loss(w, NAMES, multipliers.get(kind, torch.zeros(CLASSES)))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    torch.testing.assert_close(model.weight.detach(), F.normalize(w.detach(), dim=1), atol=1e-4, rtol=1e-4)
    assert float((w.detach() - NAMES).norm()) > 0.1, "nothing was learned"


def test_minimum() -> None:
    """L-BFGS to the end, in double precision, against SciPy's on the published loss."""
    here = context(precise=True)
    model = adapt(ClassAdaptiveProbe({"scale": SCALE, "tolerance": 1e-9, "max_iter": 5000}), here)
    assert isinstance(model, LinearClassifier)
    names = NAMES.double()
    multipliers = published_multipliers(SCALE * IMAGES.double() @ names.T)

    def function(flat: Any) -> tuple[float, Any]:
        w = torch.from_numpy(flat).view_as(names).requires_grad_()
        loss = published_loss(w, names, multipliers)
        loss.backward()  # type: ignore[no-untyped-call]
        assert w.grad is not None
        return loss.item(), w.grad.numpy().ravel()

    options = {"maxiter": 5000, "maxfun": 9000, "gtol": 1e-9, "ftol": 0}
    found = minimize(function, names.numpy().ravel(), jac=True, method="L-BFGS-B", options=options)
    theirs = F.normalize(torch.from_numpy(found.x).view_as(names), dim=1)
    torch.testing.assert_close(model.weight.detach(), theirs, atol=1e-4, rtol=1e-4)
    assert float((theirs - names).norm()) > 0.1, "nothing was learned"


def test_schedule_is_the_published_one_but_for_where_the_cosine_starts() -> None:
    """Published: the first epoch at 1e-5, then a cosine over all 300 epochs, here relative to the peak."""
    plan = ClassAdaptiveProbe().plan(context())
    assert plan.steps == 300 and learning_rate(plan, 0) == 1e-5
    for epoch in range(1, 300):
        published = 0.5 * (1 + math.cos(math.pi * epoch / 300))
        assert learning_rate(plan, epoch) / plan.lr == pytest.approx(published, abs=0.006)


def test_prototypes_of_another_length_are_a_matter_of_the_penalty() -> None:
    """Published prototypes have the text encoder's length r: the same loss at unit length with penalty r squared."""
    r, w = 9.0, NAMES + 0.5 * unit(CLASSES, 3)
    multipliers = published_multipliers(SCALE * IMAGES @ NAMES.T)
    here, strategy = context(), ClassAdaptiveProbe({"scale": SCALE, "penalty": r**2})
    model = strategy.build(here)
    assert isinstance(model, PinnedProbe)
    with torch.no_grad():
        model.weight.copy_(w)
    ours = torch.stack(list(strategy.loss(model, here.train).values())).sum()
    torch.testing.assert_close(ours, published_loss(r * w, r * NAMES, multipliers), atol=1e-4, rtol=1e-4)
