"""`lp++` against the published code's steps (FewShot-CLIP-Strong-Baseline, methods/linear_probe_p2.py), written anew.

As there, by autograd and torch's SGD with momentum. Left out are the bias, which the paper's equation does not have,
and that the gradient of the multipliers is never cleared.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt
from xm_probes.lp_plus_plus.descent import Problem, descend
from xm_probes.lp_plus_plus.strategy import LPPlusPlus

CLASSES, DIM = 5, 24


def features(per_class: int, seed: int, noise: float = 0.35) -> tuple[Tensor, Tensor]:
    y = torch.arange(CLASSES).repeat(per_class)
    x = torch.eye(DIM)[y] + noise * torch.randn(len(y), DIM, generator=torch.Generator().manual_seed(seed))
    return normalize(x, dim=1).double(), y


def published(x: Tensor, y: Tensor, names: Tensor, epochs: int, *, clear: bool = True) -> tuple[Tensor, Tensor]:
    """Class weights and multipliers after `epochs`. `names` (dim, classes) as there."""
    shots, n = len(x) // CLASSES, len(x)
    one_hot = torch.eye(CLASSES).to(x)[y]
    head = nn.Linear(DIM, CLASSES, bias=False).double()
    head.weight.data = one_hot.T @ x
    mean_similarity = (one_hot * (x @ names)).sum(dim=0) / shots
    alpha = (250 * mean_similarity.mean() * torch.ones(1, CLASSES).to(x)).requires_grad_()
    lr_w = float(4 * n / torch.linalg.eigvalsh(x.T @ x).max())
    lr_alpha = float(n / (4 * (x @ names).square().sum(dim=0).max()))
    optimiser = torch.optim.SGD(head.parameters(), lr_w, momentum=0.9)
    for epoch in range(epochs):
        loss = cross_entropy(head(x) + alpha * (x @ names), y)
        optimiser.zero_grad()
        if clear:
            alpha.grad = None
        loss.backward()
        optimiser.step()
        if (epoch + 1) % 10 == 0:
            assert alpha.grad is not None
            alpha.data -= lr_alpha * alpha.grad
    return head.weight.detach(), alpha.detach()[0]


@pytest.mark.parametrize("shots", (1, 4, 16))
@pytest.mark.parametrize("epochs", (1, 10, 57, 300))
def test_weights_and_multipliers_are_those_of_the_published_steps(shots: int, epochs: int) -> None:
    """In double precision, to 1e-6: samples fewer than dimensions, and more."""
    (x, y), (names, _) = features(shots, 1), features(1, 2)
    w, alpha = published(x, y, names.T, epochs)
    given = Problem(x, y, x.new_full((len(x),), 1 / len(x)), names, size=len(x))
    start = 250 * float((x * names[y]).sum(dim=1).mean())
    *_, (our_w, our_alpha) = descend(given, start, iterations=epochs, alpha_every=10, momentum=0.9)
    torch.testing.assert_close(our_w, w, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(our_alpha, alpha, atol=1e-6, rtol=1e-6)


def test_the_strategy_is_that_procedure() -> None:
    """Uni-modal, the published beta, single precision: the class weights to 1e-4 of the largest."""
    (x, y), (names, _) = features(4, 1), features(1, 2)
    here = Context(
        classes=tuple("abcde"),
        target="image",
        dim=DIM,
        train={"image": Stream("image", {EMBEDDING: x.float()}, y)},
        val=None,
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        read_names=lambda: Stream("text", {EMBEDDING: names.float()}, torch.arange(CLASSES)),
    )
    model = adapt(LPPlusPlus({"betas": [250]}), here)
    assert isinstance(model, LinearClassifier) and float(model.scale) == 1
    w, alpha = published(x, y, names.T, 300)
    expected = w + alpha[:, None] * names
    torch.testing.assert_close(model.weight.double(), expected, atol=1e-4 * float(expected.abs().max()), rtol=0)


def test_what_never_clearing_the_gradient_does() -> None:
    """The published multipliers move much farther than one gradient's step would move them."""
    (x, y), (names, _) = features(4, 1), features(1, 2, noise=1.0)
    moved = [published(x, y, names.T, 300, clear=clear)[1].std() for clear in (True, False)]
    assert moved[1] > 10 * moved[0]
