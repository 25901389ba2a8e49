"""The adapter against the published computations, derived again here.

CLIP-Adapter: github.com/gaopengcuhk/CLIP-Adapter. Cross-modal adapter: github.com/linzhiqiu/cross_modal_adaptation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Tower, Towers, adapt
from xm_adapters.clip_adapter.model import AdapterClassifier
from xm_adapters.clip_adapter.strategy import ClipAdapter

CLASSES, DIM, STEPS = 5, 32, 40


def draw(modality: str, per_class: int, seed: int) -> Stream:
    """Raw features of lengths other than 1, as encoders give them."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(CLASSES).repeat(per_class)
    x = 7 * (torch.eye(DIM)[y] + 0.5 * torch.randn(len(y), DIM, generator=generator))
    return Stream(modality, {"features": x}, y)


def home(stream: Stream) -> Stream:
    return Stream(stream.modality, {EMBEDDING: F.normalize(stream.x["features"], dim=1)}, stream.y)


def context(aux: bool) -> Context:
    train = {"image": home(draw("image", 3, 1)), **({"text": home(draw("text", 2, 2))} if aux else {})}
    return Context(
        classes=tuple("abcde"),
        target="image",
        dim=DIM,
        train=train,
        val=None,
        named=frozenset({"text"} if aux else ()),
        towers=Towers({name: Tower(Tail()) for name in ("image", "text")}),
        read_names=lambda: home(draw("text", 3, 4)),
    )


class Residual(nn.Module):
    """The published adapter."""

    def __init__(self, ratio: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(DIM, DIM // 4, bias=False), nn.Linear(DIM // 4, DIM, bias=False)
        self.ratio = ratio

    def forward(self, x: Tensor) -> Tensor:
        return self.ratio * F.relu(self.second(F.relu(self.first(x)))) + (1 - self.ratio) * x


def names() -> Tensor:
    texts = home(draw("text", 3, 4))
    assert texts.y is not None
    return F.normalize(torch.stack([texts.x[EMBEDDING][texts.y == k].mean(dim=0) for k in range(CLASSES)]), dim=1)


def same_start(here: Context, ratio: float) -> Residual:
    """The published adapter with our first weights."""
    model, adapter = ClipAdapter().build(here), Residual(ratio)
    assert isinstance(model, AdapterClassifier)
    adapter.first.weight.data = model.down.detach().clone()
    adapter.second.weight.data = model.up.detach().clone()
    return adapter


def train(parameters: list[nn.Parameter], logits: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> None:
    """AdamW under the published warm-up and cosine (Lin et al.), the whole pool in every batch."""
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
    for step in range(STEPS):
        warm, since = (1e-5 if step == 0 else 1e-3 * step / 10), step - 10
        rate = warm if step < 10 else 1e-3 * (1 + math.cos(math.pi * since / STEPS)) / 2
        optimiser.param_groups[0]["lr"] = rate
        loss = F.cross_entropy(logits(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def ours(here: Context, ratio: float) -> AdapterClassifier:
    settings = {"steps": STEPS, "warmup": 10, "lr": [1e-3], "ratio": ratio, "batch_size": 64, "init": ["names"]}
    model = adapt(ClipAdapter(settings), here)
    assert isinstance(model, AdapterClassifier)
    return model


@pytest.mark.parametrize("ratio", (0.2, 0.6))
def test_clip_adapter_on_raw_features(ratio: float) -> None:
    """Published: raw features in, unit length after. Without biases the input's length has no say in the outcome."""
    here = context(aux=False)
    adapter, rows = same_start(here, ratio), names()

    def logits(x: Tensor) -> Tensor:
        return 100 * F.normalize(adapter(x), dim=-1) @ rows.T

    raw = draw("image", 3, 1)
    assert raw.y is not None
    before = adapter.first.weight.detach().clone()
    train(list(adapter.parameters()), logits, raw.x["features"], raw.y)
    assert (adapter.first.weight - before).abs().max() > 5e-3

    model, test = ours(here, ratio), draw("image", 10, 9)
    torch.testing.assert_close(model.down.data, adapter.first.weight.data, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.up.data, adapter.second.weight.data, atol=1e-5, rtol=0)
    torch.testing.assert_close(model(home(test)), logits(test.x["features"]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("ratio", (0.2, 0.6))
def test_cross_modal_adapter(ratio: float) -> None:
    """Published: unit features in, adapter and head in a row, both train, no unit length between, scale e^4.60517."""
    here = context(aux=True)
    adapter, linear = same_start(here, ratio), nn.Linear(DIM, CLASSES, bias=False)
    linear.weight.data = names()
    head = nn.Sequential(adapter, linear)
    scale = torch.tensor([4.60517]).exp()

    def logits(x: Tensor) -> Tensor:
        scaled: Tensor = head(F.normalize(x, dim=1)) * scale
        return scaled

    image, text = draw("image", 3, 1), draw("text", 2, 2)
    assert image.y is not None and text.y is not None
    x, y = torch.cat([image.x["features"], text.x["features"]]), torch.cat([image.y, text.y])
    train(list(head.parameters()), logits, x, y)

    model, test = ours(here, ratio), draw("image", 10, 9)
    torch.testing.assert_close(model.weight.data, linear.weight.data, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.down.data, adapter.first.weight.data, atol=1e-5, rtol=0)
    torch.testing.assert_close(model(home(test)), logits(test.x["features"]), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("aux", (False, True), ids=("clip-adapter", "cross-modal"))
def test_logits_of_the_untrained_adapter(aux: bool) -> None:
    here = context(aux)
    adapter, test = same_start(here, 0.2), draw("image", 10, 9)
    adapted = adapter(F.normalize(test.x["features"], dim=1))
    expected = 100 * (adapted if aux else F.normalize(adapted, dim=-1)) @ names().T
    torch.testing.assert_close(ClipAdapter().build(here)(home(test)), expected, atol=1e-4, rtol=1e-5)
