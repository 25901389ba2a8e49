"""Tip-Adapter against the published computation (github.com/gaopengcuhk/Tip-Adapter), derived again here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt
from xm_adapters.tip_adapter.strategy import TipAdapter
from xm_adapters.tip_adapter.training import TipAdapterF

CLASSES, DIM = 6, 24


def draw(modality: str, per_class: int, seed: int, noise: float = 0.3) -> Stream:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat(per_class)
    x = torch.eye(DIM)[y] + noise * torch.randn(len(y), DIM, generator=generator)
    return Stream(modality, {EMBEDDING: normalize(x, dim=1)}, y)


def context(aux: bool, val: bool = True) -> Context:
    train = {"image": draw("image", 3, 1), **({"text": draw("text", 2, 2)} if aux else {})}
    return Context(
        classes=tuple("abcdef"),
        target="image",
        dim=DIM,
        train=train,
        val=draw("image", 10, 3) if val else None,
        named=frozenset({"text"} if aux else ()),
        towers=Towers({name: Tower(Tail()) for name in ("image", "text")}),
        read_names=lambda: draw("text", 4, 4, noise=0.2),
    )


def names() -> Tensor:
    """The text classifier (DIM, CLASSES): unit vectors, averaged over the templates, and unit vectors again."""
    texts = draw("text", 4, 4, noise=0.2)
    assert texts.y is not None
    columns = [texts.x[EMBEDDING][texts.y == k].mean(dim=0) for k in range(CLASSES)]
    return torch.stack([column / column.norm() for column in columns], dim=1)


def cache(here: Context) -> tuple[Tensor, Tensor]:
    """Keys (DIM, m), and values (m, CLASSES)."""
    streams = list(here.train.values())
    labels = torch.cat([s.y for s in streams if s.y is not None])
    return torch.cat([s.x[EMBEDDING] for s in streams]).T, torch.eye(CLASSES)[labels]


def published_logits(x: Tensor, keys: Tensor, values: Tensor, beta: float, alpha: float) -> Tensor:
    affinity = x @ keys
    return 100.0 * x @ names() + alpha * (((-1) * (beta - beta * affinity)).exp() @ values)


@pytest.mark.parametrize("aux", (False, True), ids=("uni-modal", "cross-modal"))
@pytest.mark.parametrize(("beta", "alpha"), [(1.0, 1.17), (5.5, 1.0), (40.0, 25.0)])
def test_logits(aux: bool, beta: float, alpha: float) -> None:
    here = context(aux, val=False)
    model = adapt(TipAdapter({"init_alpha": alpha, "init_beta": beta}), here)
    test = draw("image", 20, 9)
    torch.testing.assert_close(
        model(test), published_logits(test.x[EMBEDDING], *cache(here), beta, alpha), atol=1e-4, rtol=1e-5
    )


def test_logits_in_double_precision() -> None:
    """By numpy, a query and a key at a time."""
    here = context(False, val=False)
    model = adapt(TipAdapter({"init_alpha": 2.0, "init_beta": 5.5}), here)
    test, (keys, values) = draw("image", 2, 9), cache(here)
    expected = 100 * test.x[EMBEDDING].double().numpy() @ names().double().numpy()
    for i, x in enumerate(test.x[EMBEDDING].double().numpy()):
        for key, value in zip(keys.T.double().numpy(), values.numpy(), strict=True):
            expected[i] += 2.0 * np.exp(-5.5 * (1 - np.dot(x, key))) * value
    np.testing.assert_allclose(model(test).detach().numpy(), expected, atol=1e-4)


def test_the_search_reaches_the_published_accuracy_on_the_published_grid() -> None:
    """The published search keeps the first of the most accurate pairs; ours the likeliest of these."""
    here = context(True)
    scale, step = (7, 3), (50, 10)
    assert here.val is not None and here.val.y is not None
    best = 0.0
    for i in range(step[0]):
        for j in range(step[1]):
            beta, alpha = i * (scale[0] - 0.1) / step[0] + 0.1, j * (scale[1] - 0.1) / step[1] + 0.1
            logits = published_logits(here.val.x[EMBEDDING], *cache(here), beta, alpha)
            best = max(best, float((logits.argmax(dim=1) == here.val.y).float().mean()))
    model = adapt(TipAdapter({"search_scale": scale, "search_step": step}), here)
    assert here.accuracy(model) == pytest.approx(best)


@pytest.mark.parametrize("aux", (False, True), ids=("uni-modal", "cross-modal"))
def test_keys_after_twenty_epochs(aux: bool) -> None:
    """The whole cache fits a batch, so that batches are the same; AdamW with eps 1e-4, and a cosine to zero."""
    here = context(aux, val=False)
    settings = {"start": "init", "own_key": True, "init_beta": 1.0, "init_alpha": 1.17}
    model = adapt(TipAdapterF(settings), here)

    keys, values = cache(here)
    adapter = torch.nn.Linear(DIM, len(values), bias=False)
    adapter.weight = torch.nn.Parameter(keys.T.clone())
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=0.001, eps=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    for _ in range(20):
        affinity = adapter(keys.T)
        logits = 100.0 * keys.T @ names() + 1.17 * (((-1) * (1.0 - 1.0 * affinity)).exp() @ values)
        loss = cross_entropy(logits, values.argmax(dim=1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        scheduler.step()

    moved = (adapter.weight - keys.T).abs().max()
    assert moved > 3e-3
    torch.testing.assert_close(model.state_dict()["keys"], adapter.weight.detach(), atol=1e-5, rtol=0)
    test = draw("image", 20, 9)
    torch.testing.assert_close(
        model(test),
        published_logits(test.x[EMBEDDING], adapter.weight.detach().T, values, 1.0, 1.17),
        atol=1e-4,
        rtol=1e-5,
    )


def test_the_eps_matters_here() -> None:
    """So that the test above would see a wrong one."""
    keys = []
    for eps in (1e-4, 1e-8):
        model = adapt(TipAdapterF({"start": "init", "own_key": True, "eps": eps}), context(True, val=False))
        keys.append(model.state_dict()["keys"])
    assert (keys[0] - keys[1]).abs().max() > 1e-3
