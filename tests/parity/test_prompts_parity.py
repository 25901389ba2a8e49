"""The strategies `coop`, `cocoop` and `prograd` against the published computations, on a tiny CLIP of random weights.

Written down again in plain PyTorch: the prompts of CoOp and CoCoOp (github.com/KaiyangZhou/CoOp, trainers/coop.py and
cocoop.py), put together from the embeddings of the first token, the context, the name and the rest; their text encoder;
and ProGrad's update (github.com/BeierZhu/Prompt-align, Dassl's trainer.py), which projects by unit vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, relu, softmax

from xm import Context, Strategy, Stream
from xm.encoders import Tail, make_encoder
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt, batch_counts, batches, learning_rate
from xm.plugins import manager

open_clip = pytest.importorskip("open_clip")
pytestmark = pytest.mark.whole

CLASSES = ("dog", "sea horse", "ak-47", "x-ray fish")
DIM, WIDTH = 24, 32
CONFIG: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 2},
}
NAME = "xm-prompts-tiny"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("config") / f"{NAME}.json"
    path.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(path)
    return f"openclip-text:{NAME}/random:3"


@pytest.fixture(scope="module")
def clip(reference: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """open_clip's own model, with the weights of the encoder of `reference`."""
    model = open_clip.CLIP(**CONFIG).eval().requires_grad_(False)
    tail = make_encoder(reference, manager(), torch.device("cpu"), "text").split(-1)[1]
    state = tail.state_dict()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            ours = name.replace("transformer.resblocks.", "rest.blocks.")
            ours = f"rest.{ours}" if ours.startswith(("ln_final", "text_projection")) else ours
            if ours in state:
                parameter.copy_(state.pop(ours))
    assert not state, f"not copied: {list(state)}"
    return model


def context(reference: str, *, aux: bool = False) -> Context:
    encoder = make_encoder(reference, manager(), torch.device("cpu"), "text")
    trunk, tail = encoder.split(-1)
    y = torch.arange(len(CLASSES)).repeat(4)
    generator = torch.Generator().manual_seed(1)
    images = normalize(torch.randn(len(y), DIM, generator=generator), dim=1)
    train = {"image": Stream("image", {EMBEDDING: images}, y)}
    if aux:
        words = [f"a {kind} of a {name}" for kind in ("photo", "drawing") for name in CLASSES]
        train["text"] = Stream("text", trunk(words), torch.arange(len(CLASSES)).repeat(2))
    names = encoder.encode([f"a photo of a {name}." for name in CLASSES])
    return Context(
        classes=CLASSES,
        target="image",
        dim=DIM,
        train=train,
        val=None,
        named=frozenset(train) & {"text"},
        towers=Towers({"image": Tower(Tail()), "text": Tower(tail)}),
        read_names=lambda: Stream("text", {EMBEDDING: names}, torch.arange(len(CLASSES))),
        read_texts=lambda texts: Stream("text", trunk(texts)),
        seed=7,
    )


def strategy(name: str, **settings: Any) -> Strategy:
    made: Strategy = manager().strategies.find(name).load()(settings)
    return made


def published_rows(clip: Any, ctx: Tensor, position: str = "end") -> Tensor:
    """The class rows of contexts (n_ctx, width) or (classes, n_ctx, width): CoOp's prompts and text encoder."""
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=20)
    n_ctx = ctx.shape[-2]
    ids = tokenizer([" ".join(["X"] * n_ctx) + f" {name}." for name in CLASSES])
    table = clip.token_embedding(ids)
    prompts = []
    for i, name in enumerate(CLASSES):
        own = ctx[i] if ctx.ndim == 3 else ctx
        start, rest = table[i, :1], table[i, 1 + n_ctx :]
        length = len(tokenizer.encode(name))
        half = {"end": n_ctx, "middle": n_ctx // 2, "front": 0}[position]
        prompts.append(torch.cat([start, own[:half], rest[:length], own[half:], rest[length:]]))
    x = clip.transformer(torch.stack(prompts) + clip.positional_embedding, attn_mask=clip.attn_mask)
    x = clip.ln_final(x)[torch.arange(len(CLASSES)), ids.argmax(dim=-1)] @ clip.text_projection
    return normalize(x, dim=-1)


@pytest.mark.parametrize("position", ("end", "middle", "front"))
@pytest.mark.parametrize("csc", (True, False))
@pytest.mark.parametrize("n_ctx", (3, 4))
def test_coop_logits(reference: str, clip: Any, position: str, csc: bool, n_ctx: int) -> None:
    here = context(reference)
    model: Any = strategy("coop", n_ctx=n_ctx, csc=csc, position=position).build(here)
    assert model.ctx.shape == ((len(CLASSES), n_ctx, WIDTH) if csc else (n_ctx, WIDTH))
    with torch.no_grad():
        model.ctx.mul_(50)  # as far from the placeholder as a learned context
        expected = 100 * here.train["image"].x[EMBEDDING] @ published_rows(clip, model.ctx, position).T
        torch.testing.assert_close(model(here.train["image"]), expected, atol=1e-4, rtol=1e-4)


def test_words_are_where_coop_takes_them_from(reference: str, clip: Any) -> None:
    model: Any = strategy("coop", init="a photo of a").build(context(reference))
    ids = open_clip.get_tokenizer("ViT-B-32", context_length=20)(["a photo of a"])
    torch.testing.assert_close(model.ctx.detach(), clip.token_embedding(ids)[0, 1:5])
    names = make_encoder(reference, manager(), torch.device("cpu"), "text").encode(
        [f"a photo of a {name}." for name in CLASSES]
    )
    torch.testing.assert_close(model.weight(), names, atol=1e-5, rtol=1e-4)


def test_words_behind_zeros_as_in_prograd(reference: str, clip: Any) -> None:
    model: Any = strategy("prograd", n_ctx=6).build(context(reference))
    assert not model.ctx[:2].any() and bool(model.ctx[2:].any(dim=1).all())


def steps_of(here: Context, made: Any, steps: int) -> Any:
    """The batches and learning rates of the strategy's plan."""
    plan = made.plan(here)
    source = batches(here.train, batch_counts(plan.shares, plan.batch_size), torch.Generator().manual_seed(plan.seed))
    for step in range(steps):
        yield next(source), learning_rate(plan, step)


@pytest.mark.parametrize("aux", (True, False), ids=("image+text", "image"))
def test_coop_training(reference: str, clip: Any, aux: bool) -> None:
    """Twelve steps: the published prompts, by AdamW, on the same batches; a text is a sample like an image."""
    here = context(reference, aux=aux)
    made = strategy("coop", n_ctx=4, steps=12, batch_size=8, lr=0.01)
    learned: Any = made.build(here)
    ctx = nn.Parameter(learned.ctx.detach().clone())
    optimiser = torch.optim.AdamW([ctx], weight_decay=5e-4)
    for batch, lr in steps_of(here, made, 12):
        x = [batch["image"].x[EMBEDDING]]
        if aux:
            x.append(normalize(clip.encode_text(batch["text"].x["ids"]), dim=1))
        y = torch.cat([stream.y for stream in batch.values() if stream.y is not None])
        optimiser.param_groups[0]["lr"] = lr
        optimiser.zero_grad()
        cross_entropy(100 * torch.cat(x) @ published_rows(clip, ctx).T, y).backward()
        optimiser.step()
    model = adapt(made, context(reference, aux=aux))
    assert isinstance(model, LinearClassifier)
    with torch.no_grad():
        torch.testing.assert_close(model.weight, published_rows(clip, ctx), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk", (256, 8, 3))
def test_cocoop_logits_and_gradient(reference: str, clip: Any, chunk: int) -> None:
    """Chunks change nothing: neither logits nor gradients."""
    here = context(reference)
    model: Any = strategy("cocoop", chunk=chunk).build(here)
    first, last = model.meta[0], model.meta[2]
    assert (first.out_features, last.out_features) == (DIM // 16, WIDTH)
    images, y = here.train["image"].x[EMBEDDING][:5], here.train["image"].y
    assert y is not None
    logits = []
    for image in images:
        shift = last(relu(first(image)))
        logits.append(100 * published_rows(clip, model.ctx + shift) @ image)
    expected = torch.stack(logits)
    found = model(here.train["image"][torch.arange(5)])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert len(learned) == 5
    theirs = torch.autograd.grad(cross_entropy(expected, y[:5]), learned)
    ours = torch.autograd.grad(cross_entropy(found, y[:5]), learned)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def published_update(parameter: Tensor, losses: Mapping[str, Tensor], lam: float) -> tuple[Tensor, bool]:
    """ProGrad's gradient of one parameter, and whether the two were in conflict."""
    (general,) = torch.autograd.grad(losses["kl"], [parameter], retain_graph=True)
    (own,) = torch.autograd.grad(losses["xe"], [parameter], retain_graph=True)
    unit = general / torch.linalg.norm(general)
    if torch.dot((own / torch.linalg.norm(own)).flatten(), unit.flatten()) < 0:
        return own - lam * torch.dot(own.flatten(), unit.flatten()) * unit, True
    return own, False


@pytest.mark.parametrize("temperature", (1.0, 2.0))
@pytest.mark.parametrize("lam", (1.0, 0.8))
def test_prograd_training(reference: str, clip: Any, lam: float, temperature: float) -> None:
    here = context(reference)
    made = strategy("prograd", n_ctx=5, steps=15, batch_size=8, lr=0.02, lam=lam, temperature=temperature)
    learned: Any = made.build(here)
    assert here.texts is not None
    ctx, zero_shot = nn.Parameter(learned.ctx.detach().clone()), here.texts.x[EMBEDDING]
    optimiser = torch.optim.AdamW([ctx], weight_decay=5e-4)
    conflicts = []
    for batch, lr in steps_of(here, made, 15):
        x, y = batch["image"].x[EMBEDDING], batch["image"].y
        assert y is not None
        logits = 100 * x @ published_rows(clip, ctx).T
        teacher = softmax(100 * x @ zero_shot.T / temperature, dim=-1)
        kl = -teacher * torch.log_softmax(logits / temperature, -1) * temperature * temperature
        optimiser.zero_grad()
        losses = {"xe": cross_entropy(logits, y), "kl": kl.sum(1).mean()}
        ctx.grad, conflict = published_update(ctx, losses, lam)
        conflicts.append(conflict)
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()
    assert any(conflicts) and not all(conflicts), "one of the two cases was not tried"
    model: Any = adapt(made, context(reference))
    with torch.no_grad():
        torch.testing.assert_close(model.weight, published_rows(clip, ctx), atol=1e-4, rtol=1e-4)
