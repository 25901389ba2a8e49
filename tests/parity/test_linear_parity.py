"""The strategy `linear` against the published loop, and against scikit-learn.

The published loop (Lin et al., CVPR 2023; github.com/linzhiqiu/cross_modal_adaptation, train.py and engine/) is written
down again here in plain PyTorch: a bias-free linear layer on unit vectors, logits times exp(4.60517), the mean
cross-entropy of a batch that is half image and half text, AdamW, a linear warm-up of 50 steps from 1e-5 to the peak,
then a cosine, a look at val at every 100th step, and the first of the best heads.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from xm import Batch, Context, Plan, Stream
from xm.encoders import Tail
from xm.learning import (
    EMBEDDING,
    LinearClassifier,
    LinearProbe,
    Tower,
    Towers,
    adapt,
    batch_counts,
    batches,
    class_means,
    learning_rate,
    regularisation_path,
)

CLASSES, DIM = 7, 32
LOGIT = 4.60517
"""The published logit scale's logarithm: exp(LOGIT) is 100 to 1.9e-6 of it."""


def samples(modality: str, per_class: int, seed: int, noise: float = 0.35) -> Stream:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat(per_class)
    x = torch.eye(DIM)[y] + noise * torch.randn(len(y), DIM, generator=generator)
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(*modalities: str, val: bool = True) -> Context:
    streams = {"image": samples("image", 4, 1), "text": samples("text", 3, 2, noise=0.7)}
    return Context(
        classes=tuple("abcdefg"),
        target="image",
        dim=DIM,
        train={modality: streams[modality] for modality in modalities},
        val=samples("image", 4, 3) if val else None,
        named=frozenset({"text"} & set(modalities)),
        towers=Towers({modality: Tower(Tail()) for modality in streams}),
        seed=5,
    )


def published_rates(lr: float, steps: int) -> Iterator[float]:
    """The learning rate of each step: PyTorch's own cosine, after a hand-written warm-up."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        if step < 50:
            yield 1e-5 if step == 0 else lr * step / 50
            continue
        yield optimiser.param_groups[0]["lr"]
        optimiser.step()
        cosine.step()


def published(
    start: Tensor, here: Context, *, lr: float, decay: float, batch_size: int, steps: int
) -> tuple[Tensor, float]:
    """The best head on val, with its accuracy, of the published loop on the batches that xm draws; else the last."""
    head = nn.Linear(DIM, CLASSES, bias=False)
    with torch.no_grad():
        head.weight.copy_(start)
    optimiser = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=decay)
    source = batches(here.train, batch_counts(here.shares(), batch_size), torch.Generator().manual_seed(here.seed))
    best, best_accuracy = head.weight.detach().clone(), -1.0
    for step, rate in zip(range(steps), published_rates(lr, steps), strict=True):
        batch = next(source)
        x = torch.cat([stream.x[EMBEDDING] for stream in batch.values()])
        y = torch.cat([stream.y for stream in batch.values() if stream.y is not None])
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        cross_entropy(math.exp(LOGIT) * head(normalize(x, dim=1)), y).backward()
        optimiser.step()
        if here.val is not None and step % 100 == 0:
            predicted = head(here.val.x[EMBEDDING]).argmax(dim=1)
            accuracy = float((predicted == here.val.y).float().mean())
            if accuracy > best_accuracy:
                best, best_accuracy = head.weight.detach().clone(), accuracy
    return (best, best_accuracy) if here.val is not None else (head.weight.detach(), math.nan)


@pytest.mark.parametrize("init", ("text", "random"))
@pytest.mark.parametrize(
    ("modalities", "lr", "decay", "batch_size", "steps"),
    (
        (("image", "text"), 1e-3, 0.01, 8, 101),
        (("image", "text"), 1e-3, 0.0, 32, 101),
        (("image", "text"), 1e-2, 1e-4, 8, 301),
        (("image",), 1e-3, 0.01, 8, 101),
        (("image",), 1e-2, 1e-4, 8, 301),
    ),
)
def test_adamw_is_the_published_loop(
    modalities: tuple[str, ...], init: str, lr: float, decay: float, batch_size: int, steps: int
) -> None:
    here = replace(context(*modalities), read_names=lambda: samples("text", 3, 2, noise=0.7))
    probe = LinearProbe(
        {
            "solver": "adamw",
            "init": init,
            "lr": [lr],
            "weight_decay": [decay],
            "batch_size": [batch_size],
            "steps": steps,
        }
    )
    model = adapt(probe, here)
    assert isinstance(model, LinearClassifier)
    expected, accuracy = published(probe.start(here), here, lr=lr, decay=decay, batch_size=batch_size, steps=steps)
    torch.testing.assert_close(model.weight.detach(), expected, atol=1e-5, rtol=1e-5)
    assert here.accuracy(model) == pytest.approx(accuracy)


@pytest.mark.parametrize("init", ("text", "random"))
def test_after_100_steps_without_val(init: str) -> None:
    """With no val nothing is picked: the last head is kept, and it moved far from its start."""
    here = context("image", "text", val=False)
    given = {"init": init, "lr": [1e-3], "weight_decay": [0.01], "batch_size": [8]}
    probe = LinearProbe({"solver": "adamw", "steps": 100} | given)
    model, start = adapt(probe, here), probe.start(here)
    assert isinstance(model, LinearClassifier)
    expected, _ = published(start, here, lr=1e-3, decay=0.01, batch_size=8, steps=100)
    torch.testing.assert_close(model.weight.detach(), expected, atol=1e-5, rtol=1e-5)
    assert (expected - start).abs().max() > 0.01


def test_the_defaults_are_the_published_sweep() -> None:
    config = LinearProbe({"solver": "adamw"}).config
    assert (config.lr, config.weight_decay, config.batch_size) == ((1e-3, 1e-4), (0.0, 0.01, 1e-4), (8, 32))
    assert (config.steps, config.warmup, config.eval_every, config.scale) == (12_800, 50, 100, 100)
    assert config.patience is None, "published code runs to the end"


def test_a_batch_that_a_pool_can_not_fill_is_left_out() -> None:
    """28 images alone do not fill a batch of 32; half of one they do, and so do 21 texts."""
    found = {}
    for modalities in (("image",), ("image", "text")):
        drawn: set[int] = set()

        class Noting(LinearProbe):
            def loss(self, model: nn.Module, batch: Batch, drawn: set[int] = drawn) -> Mapping[str, Tensor]:
                drawn.add(sum(len(stream) for stream in batch.values()))
                return super().loss(model, batch)

        adapt(Noting({"solver": "adamw", "steps": 2}), context(*modalities))
        found[modalities] = drawn
    assert found == {("image",): {8}, ("image", "text"): {8, 32}}


@pytest.mark.parametrize("lr", (1e-3, 1e-4))
def test_the_schedule_over_all_steps(lr: float) -> None:
    plan = Plan(shares={"image": 1.0}, lr=lr)
    ours = [learning_rate(plan, step) for step in range(plan.steps)]
    np.testing.assert_allclose(ours, list(published_rates(lr, plan.steps)), rtol=1e-6, atol=1e-12)


def objective(v: Tensor, x: Tensor, y: Tensor, penalty: float) -> float:
    return float(cross_entropy(x @ v.T, y) + penalty / 2 * v.square().sum())


@pytest.mark.parametrize("dim", (6, 64), ids=("many samples", "fewer samples than dimensions"))
def test_lbfgs_is_scikit_learns_logistic_regression(dim: int) -> None:
    """The mean loss plus penalty / 2 times the squared norm: scikit-learn's C is 1 / (n * penalty)."""
    generator = torch.Generator().manual_seed(2)
    y = torch.arange(4).repeat(10)
    x = normalize(torch.eye(dim)[y] + 0.5 * torch.randn(40, dim, generator=generator), dim=1)
    penalties = (1e-1, 1e-2, 1e-3, 1e-4)
    path = regularisation_path(x, y, torch.full((40,), 1 / 40), torch.zeros(4, dim), penalties, max_iter=2000)
    for penalty, v in zip(penalties, path, strict=True):
        reference = LogisticRegression(C=1 / (40 * penalty), fit_intercept=False, tol=1e-9, max_iter=20_000)
        reference.fit(x.double().numpy(), y.numpy())
        expected = torch.from_numpy(reference.predict_proba(x.double().numpy())).float()
        torch.testing.assert_close((x @ v.T).softmax(dim=1), expected, atol=1e-3, rtol=0)
        weights = torch.from_numpy(reference.coef_).float()
        assert objective(v, x, y, penalty) <= objective(weights, x, y, penalty) * (1 + 1e-4)


@pytest.mark.parametrize("centred", (True, False))
def test_solving_in_the_span_of_few_samples_changes_nothing(centred: bool) -> None:
    """The same samples, once in 50 dimensions (n < dim) and once with 12 weightless zeros more (n > dim)."""
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(39, 50, generator=generator, dtype=torch.float64)
    y = torch.arange(3).repeat(13)
    weights = torch.rand(39, generator=generator, dtype=torch.float64)
    weights /= weights.sum()
    centre = torch.randn(3, 50, generator=generator, dtype=torch.float64) * (0.1 if centred else 0.0)
    padding = torch.zeros(12, dtype=torch.float64)
    full = regularisation_path(
        torch.cat([x, torch.zeros(12, 50, dtype=torch.float64)]),
        torch.cat([y, torch.zeros(12, dtype=torch.long)]),
        torch.cat([weights, padding]),
        centre,
        (1.0, 0.01),
        max_iter=2000,
    )
    small = regularisation_path(x, y, weights, centre, (1.0, 0.01), max_iter=2000)
    for one, other in zip(small, full, strict=True):
        torch.testing.assert_close((x @ one.T).softmax(dim=1), (x @ other.T).softmax(dim=1), atol=1e-4, rtol=0)
        torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-2)


def test_the_probe_weighs_modalities_as_its_share_says() -> None:
    """Through the strategy: 28 images and 21 texts, each half of the objective, against weighted scikit-learn."""
    here = context("image", "text", val=False)
    model = adapt(LinearProbe({"default_penalty": 1e-3, "pull": "zero", "max_iter": 2000}), here)
    streams = [copy.copy(here.train[name]) for name in ("image", "text")]
    x = torch.cat([stream.x[EMBEDDING] for stream in streams]).double().numpy()
    y = torch.cat([stream.y for stream in streams if stream.y is not None]).numpy()
    weight = np.repeat([0.5 / 28, 0.5 / 21], [28, 21])
    reference = LogisticRegression(C=1 / 1e-3, fit_intercept=False, tol=1e-9, max_iter=20_000)
    reference.fit(x, y, sample_weight=weight)
    test = samples("image", 3, 9)
    expected = torch.from_numpy(reference.predict_proba(test.x[EMBEDDING].double().numpy())).float()
    torch.testing.assert_close(model(test).softmax(dim=1), expected, atol=1e-3, rtol=0)


def test_the_start_from_names_is_their_class_mean() -> None:
    """Published: the mean of a class's text features, scaled to unit length."""
    here = context("image", "text")
    text = here.train["text"]
    assert text.y is not None
    expected = torch.stack([normalize(text.x[EMBEDDING][text.y == k].mean(dim=0), dim=0) for k in range(CLASSES)])
    torch.testing.assert_close(class_means(text, CLASSES), expected)
    torch.testing.assert_close(LinearProbe().start(here), expected)
