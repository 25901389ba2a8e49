"""The strategy `partial` against the published loop, written down again in plain PyTorch.

Lin et al. (CVPR 2023; github.com/linzhiqiu/cross_modal_adaptation, train.py and partial_finetuning.sh): the last block
of the image encoder and a linear head without bias are in one AdamW; features of both modalities are scaled to unit
length, logits by exp(4); a batch is half image and half text features, which are frozen; the learning rate warms up for
50 steps, from 1e-5 at the first, then falls as a cosine; val is looked at in every 100th step, and encoder and head of
the first best look are kept. The start is as in xm: the mean of a class's unit vectors (published: of its features).
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from xm import Context, Stream
from xm.encoders import Tail
from xm.learning import EMBEDDING, Inputs, LinearClassifier, Tower, Towers, adapt, batch_counts, batches
from xm_probes.partial.strategy import Partial

CLASSES, DIM = 5, 24


class Block(nn.Module):
    """The last block of an encoder: reads ``tokens`` (n, 3, 16), as attention pooling does."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(16, 1)
        self.project = nn.Linear(16, DIM)

    def pooled(self, tokens: Tensor) -> Tensor:
        attention = self.query(tokens).softmax(dim=1)
        projected: Tensor = self.project((attention * tokens).sum(dim=1))
        return projected

    def forward(self, x: Inputs) -> Tensor:
        return normalize(self.pooled(x["tokens"]), dim=-1)


def block() -> Block:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Block()


def images(per_class: int, seed: int) -> Stream:
    y = torch.arange(CLASSES).repeat(per_class)
    tokens = 0.7 * torch.randn(len(y), 3, 16, generator=torch.Generator().manual_seed(seed))
    tokens[torch.arange(len(y)), :, y] += 1
    return Stream("image", {"tokens": tokens}, y)


def texts(trained: bool) -> Stream:
    found = replace(images(3, 7), modality="text")
    if trained:
        return found
    with torch.no_grad():
        return replace(found, x={EMBEDDING: block()(found.x)})


def context(aux_depth: int = 0, val: bool = True) -> Context:
    text = texts(bool(aux_depth))
    return Context(
        classes=tuple("abcde"),
        target="image",
        dim=DIM,
        train={"image": images(4, 2), "text": text},
        val=images(4, 3) if val else None,
        named=frozenset({"text"}),
        towers=Towers({"image": Tower(block()), "text": Tower(block() if aux_depth else Tail())}),
        seed=3,
    )


def published(here: Context, lr: float, decay: float, steps: int, text: bool) -> tuple[Block, Tensor, int]:
    """Encoder, head (classes, DIM) and step of the first best look at val; without val, the last."""
    encoders = {"image": block(), "text": block() if text else nn.Identity()}
    head = nn.Linear(DIM, CLASSES, bias=False)

    def features(stream: Stream) -> Tensor:
        if EMBEDDING in stream.x:
            return stream.x[EMBEDDING]
        encoder = encoders[stream.modality]
        assert isinstance(encoder, Block)
        return encoder.pooled(stream.x["tokens"])

    with torch.no_grad():
        named = here.train["text"]
        units = normalize(features(named), dim=1)
        head.weight.copy_(normalize(torch.stack([units[named.y == c].mean(dim=0) for c in range(CLASSES)]), dim=1))
    parameters = [*head.parameters(), *(p for encoder in encoders.values() for p in encoder.parameters())]
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=decay)
    source = batches(here.train, batch_counts(here.shares(), 8), torch.Generator().manual_seed(here.seed))
    best, kept = -1.0, (copy.deepcopy(encoders["image"]), head.weight.detach().clone(), -1)
    for step in range(steps):
        warm = 1e-5 if step == 0 else lr * step / 50
        rate = warm if step < 50 else lr * (1 + math.cos(math.pi * (step - 50) / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = next(source)
        x = torch.cat([features(stream) for stream in batch.values()])
        y = torch.cat([stream.y for stream in batch.values() if stream.y is not None])
        optimiser.zero_grad()
        cross_entropy(math.exp(4.0) * head(normalize(x, dim=1)), y).backward()
        optimiser.step()
        if here.val is None or step % 100:
            continue
        with torch.no_grad():
            right = head(normalize(features(here.val), dim=1)).argmax(dim=1) == here.val.y
        if (accuracy := float(right.float().mean())) > best:
            best, kept = accuracy, (copy.deepcopy(encoders["image"]), head.weight.detach().clone(), step)
    found = kept if here.val is not None else (encoders["image"], head.weight.detach(), -1)
    assert isinstance(found[0], Block)
    return found[0], found[1], found[2]


@pytest.mark.parametrize("val", (True, False), ids=("val", "no val"))
@pytest.mark.parametrize("aux_depth", (0, 1), ids=("frozen text", "trained text"))
@pytest.mark.parametrize(("lr", "decay", "steps"), ((1e-5, 0.0, 201), (1e-3, 1e-3, 201)))
def test_is_the_published_loop(lr: float, decay: float, steps: int, aux_depth: int, val: bool) -> None:
    here = context(aux_depth, val)
    given = {"lr": [lr], "weight_decay": [decay], "steps": steps, "aux_depth": aux_depth}
    model = adapt(Partial(given), here)
    assert isinstance(model, LinearClassifier)
    encoder, head, step = published(here, lr, decay, steps, bool(aux_depth))
    assert here.record["step"] == step
    torch.testing.assert_close(model.weight.detach(), head, atol=1e-5, rtol=1e-4)
    test = images(10, 5)
    with torch.no_grad():
        expected = math.exp(4.0) * normalize(encoder.pooled(test.x["tokens"]), dim=1) @ head.T
        torch.testing.assert_close(model(test), expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(encoder.project.weight, block().project.weight, atol=5e-6), "the encoder was not trained"
