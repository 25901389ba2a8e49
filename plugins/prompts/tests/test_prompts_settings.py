"""Settings, errors and pieces of the prompt strategies, on the kit's synthetic task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from xm import Context, Strategy, Stream, UsageError
from xm.learning import EMBEDDING, LinearClassifier, adapt, own_tensors
from xm.testing import synthetic
from xm_prompts.cocoop import CoCoOp
from xm_prompts.coop import CoOp
from xm_prompts.learner import PromptLearner, _lengths
from xm_prompts.prograd import ProGrad, divergence, projected
from xm_prompts.strategy import embedded, together
from xm_prompts.texts import written


def context(*aux: str, **more: Any) -> Context:
    return synthetic.context(aux, depths={synthetic.NAMES: -1}, **more)


def learner(strategy: CoOp, here: Context) -> PromptLearner:
    model = strategy.build(here)
    assert isinstance(model, PromptLearner)
    return model


@pytest.mark.parametrize(
    ("position", "slots"), [("end", [0, 1, 2, 3]), ("middle", [0, 1, 3, 4]), ("front", [1, 2, 3, 4])]
)
def test_slots(position: Any, slots: list[int]) -> None:
    here = context()
    found = written(here, 4, position)
    assert found.slots.tolist() == [slots] * len(synthetic.CLASSES)
    name = (set(range(5)) - set(slots)).pop()
    assert found.x["ids"][:, name].tolist() == [1, 2, 3, 4, 5], "the names are not where the context is not"


def test_a_name_may_hold_the_placeholder() -> None:
    here = replace(context(), classes=("x bee", "bee x", "x"))
    assert written(here, 2, "end").slots.tolist() == [[0, 1]] * 3
    assert written(here, 2, "front").slots.tolist() == [[2, 3], [2, 3], [1, 2]]
    assert written(here, 3, "middle").slots.tolist() == [[0, 3, 4], [0, 3, 4], [0, 2, 3]]


def test_the_context_is_put_into_its_slots() -> None:
    """A mean of words: the row of a class is that of its name's and the context's vectors."""
    here = context()
    model = learner(CoOp({"n_ctx": 3}), here)
    tower = here.towers[synthetic.NAMES]
    words = tower.tail.embed({"ids": synthetic.word_ids(synthetic.CLASSES)})[:, :1]
    mean = torch.cat([words, model.ctx.expand(len(words), -1, -1)], dim=1).mean(dim=1)
    features = torch.nn.functional.normalize(mean, dim=1)
    torch.testing.assert_close(model.weight(), tower.map.map({"features": features}), atol=1e-5, rtol=1e-4)


def test_initial_context() -> None:
    here = context()
    words = here.towers[synthetic.NAMES].tail.embed({"ids": synthetic.word_ids(["a photo of a"])})[0, :4]
    assert torch.equal(learner(CoOp({"init": "a photo of a"}), here).ctx, words)
    behind = learner(CoOp({"init": "a photo of a", "n_ctx": 6}), here).ctx
    assert torch.equal(behind[2:], words) and not behind[:2].any()
    shared = learner(CoOp({"init": "a photo of a", "csc": True}), here).ctx
    assert torch.equal(shared, words.expand(5, -1, -1))
    random = learner(CoOp({"n_ctx": 8, "csc": True}), here).ctx
    assert random.shape == (5, 8, 16) and 0.015 < float(random.detach().std()) < 0.025
    assert not torch.equal(random[0], random[1])


def test_only_the_context_is_trained_and_it_is_kept_with_the_rows() -> None:
    here = context(synthetic.NAMES)
    model = learner(CoOp({"n_ctx": 4}), here)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["ctx"]
    fitted = adapt(CoOp({"n_ctx": 4, "steps": 3}), context(synthetic.NAMES))
    assert isinstance(fitted, LinearClassifier) and own_tensors(fitted).keys() == {"weight", "scale", "ctx"}
    conditional = adapt(CoCoOp({"steps": 2}), context())
    assert not [name for name in own_tensors(conditional) if name.startswith("towers.")]


def test_it_learns() -> None:
    """A scrambling context is unlearned."""
    here = context(synthetic.NAMES, val=False)
    strategy = CoOp({"n_ctx": 4, "steps": 150, "lr": 0.05})
    strategy.objective = here.objective
    model = learner(strategy, here)
    with torch.no_grad():
        model.ctx.add_(3 * torch.randn(model.ctx.shape, generator=torch.Generator().manual_seed(0)))
    batch = dict(embedded(here).train)
    before = strategy.loss(model, batch)["loss"].item()
    assert next(iter(strategy.solve(model, here))) is model
    assert strategy.loss(model, batch)["loss"].item() < 0.2 * before


def test_cocoop_sees_the_item() -> None:
    here = context()
    model = CoCoOp().build(here)
    stream = synthetic.held_out()[torch.arange(0, 200, 40)]
    (model(stream).logsumexp(dim=1).sum()).backward()
    learned = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert set(learned) == {"ctx", "meta.0.weight", "meta.0.bias", "meta.2.weight", "meta.2.bias"}
    assert all(grad is not None for grad in learned.values())
    assert bool(torch.stack([grad.abs().max() for grad in learned.values() if grad is not None])[[0, 4]].gt(0).all())


@pytest.mark.parametrize(("shots", "epochs"), [(1, 50), (2, 100), (4, 100), (8, 200), (16, 200)])
def test_published_epochs(shots: int, epochs: int) -> None:
    here = context(shots=shots)
    plan = CoOp({"batch_size": 5}).plan(here)
    assert (plan.steps, plan.warmup) == (epochs * shots, shots)
    crossed = CoOp({"batch_size": 10}).plan(context(synthetic.NAMES, shots=shots))
    assert crossed.steps == plan.steps, "an epoch is a pass over the target's samples"
    assert CoOp({"epochs": 3, "batch_size": 5}).plan(here).steps == 3 * shots
    assert CoOp({"steps": 7}).plan(here).steps == 7
    assert CoCoOp({"batch_size": 1}).plan(here).steps == 10 * 5 * shots


def test_what_was_done_is_recorded() -> None:
    here = context()
    adapt(CoOp({"n_ctx": 4, "steps": 5}), here)
    assert here.record["n_ctx"] == 4 and here.record["steps"] == 5
    assert isinstance(here.record["best_step"], int)
    assert CoOp().init_name(here) == "random" and ProGrad().init_name(here) == "a photo of a"


def test_streams_are_joined() -> None:
    y = torch.tensor([0, 1])
    one = Stream("a", {EMBEDDING: torch.eye(2)}, y)
    other = Stream("b", {EMBEDDING: 2 * torch.eye(2)}, y, torch.tensor([0.5, 2.0]))
    joined = together({"a": one, "b": other, "unlabelled": Stream("c", {EMBEDDING: torch.eye(2)})})
    assert joined.x[EMBEDDING].shape == (4, 2) and joined.y is not None and joined.y.tolist() == [0, 1, 0, 1]
    assert joined.weight is not None and joined.weight.tolist() == [1, 1, 0.5, 2]
    assert together({"a": one}).weight is None


@pytest.mark.parametrize(
    ("own", "general", "lam", "expected"),
    [
        ([1.0, 0.0], [1.0, 1.0], 1.0, [1.0, 0.0]),  # they agree
        ([1.0, 0.0], [0.0, 3.0], 1.0, [1.0, 0.0]),  # at a right angle
        ([1.0, 0.0], [-2.0, 2.0], 1.0, [0.5, 0.5]),  # 135 degrees: what is left is at a right angle
        ([1.0, 0.0], [-2.0, 2.0], 0.5, [0.75, 0.25]),
        ([1.0, 0.0], [-2.0, 2.0], 0.0, [1.0, 0.0]),
        ([1.0, 2.0], [0.0, 0.0], 1.0, [1.0, 2.0]),
    ],
)
def test_projection(own: list[float], general: list[float], lam: float, expected: list[float]) -> None:
    found = projected(torch.tensor(own), torch.tensor(general), lam)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_divergence_by_hand() -> None:
    even, sure = torch.zeros(1, 2), torch.tensor([[0.0, 100.0]])
    torch.testing.assert_close(divergence(even, sure, 1.0), torch.tensor(2.0).log())
    torch.testing.assert_close(divergence(even, sure, 3.0), 9 * torch.tensor(2.0).log())


def test_prograd_without_projection_is_coop() -> None:
    settings = {"n_ctx": 4, "steps": 8, "init": "a photo of a"}
    one = adapt(ProGrad({**settings, "lam": 0.0}), context())
    other = adapt(CoOp(settings), context())
    torch.testing.assert_close(one.weight, other.weight)


@pytest.mark.parametrize("strategy", [CoOp, ProGrad])
def test_chunks_change_nothing(strategy: type[CoOp]) -> None:
    """Also where activations are computed again, in ProGrad twice."""
    found = [adapt(strategy({"n_ctx": 4, "steps": 6, "chunk": chunk}), context(synthetic.NAMES)) for chunk in (2, 256)]
    torch.testing.assert_close(found[0].weight, found[1].weight, atol=1e-5, rtol=1e-4)


PRECISIONS = ("float32", "bfloat16")


@pytest.mark.parametrize("strategy", [CoOp, CoCoOp])
def test_prompts_read_in_bfloat16(strategy: type[CoOp]) -> None:
    """In training and in prediction, and near to float32, but not it."""
    here = context()
    exact, near = (strategy({"n_ctx": 4, "init": "", "precision": name}).build(context()) for name in PRECISIONS)
    with torch.no_grad():
        own, other = (model(here.train[here.target]) for model in (exact, near))
    assert other.dtype == torch.float32
    assert 0 < float((own - other).abs().max()) < 2
    adapt(strategy({"n_ctx": 4, "steps": 3, "precision": "bfloat16"}), context())


@pytest.mark.parametrize(("ids", "lengths"), [([1, 2, 3, 0, 0], 3), ([1, 0, 3, 4, 2], 4), ([7, 7, 7, 7, 7], 0)])
def test_where_padding_begins(ids: list[int], lengths: int) -> None:
    assert _lengths(torch.tensor([ids])).tolist() == [lengths]


def test_cocoop_looks_at_val_no_longer_than_it_trains() -> None:
    here = context()
    assert here.val is not None
    plan = CoCoOp({"steps": 40, "batch_size": 1}).plan(here)
    assert plan.eval_every == max(CoOp({"steps": 40, "batch_size": 1}).plan(here).eval_every, -(-len(here.val) // 3))


@pytest.mark.parametrize("strategy", [CoOp, CoCoOp, ProGrad])
def test_needs_an_encoder_that_reads_names(strategy: type[Strategy]) -> None:
    assert strategy().depths("image", (), None) == {}
    assert strategy().depths("image", ("text",), "text") == {"text": -1}
    with pytest.raises(UsageError, match=r"--text-encoder NAME"):
        strategy().build(replace(context(), read_texts=None))


def test_needs_tokens_that_can_be_replaced() -> None:
    with pytest.raises(UsageError, match=r"token embeddings can't be replaced.*--text-encoder openclip-text or minilm"):
        CoOp().build(synthetic.context(()))


def test_too_long_prompts() -> None:
    with pytest.raises(UsageError, match=r"class 'ant' with 12 context vectors is too long .* reads 12 tokens"):
        CoOp({"n_ctx": 12}).build(context())


def test_more_words_than_vectors() -> None:
    with pytest.raises(UsageError, match="init='a photo of a' has 4 tokens, more than n_ctx=2; type n_ctx=4"):
        CoOp({"init": "a photo of a", "n_ctx": 2}).build(context())


def test_a_placeholder_that_is_no_token() -> None:
    """A tokenizer that knows no X reads all texts alike."""
    here = context()
    blind = replace(here, read_texts=lambda texts: Stream(synthetic.NAMES, {"ids": torch.ones(len(texts), 12).long()}))
    with pytest.raises(UsageError, match="does not read 'X' as one token"):
        CoOp().build(blind)


def test_the_last_vectors_are_kept_if_asked() -> None:
    """As without val, where no look could pick an earlier step; the best look is recorded all the same."""
    given = {"n_ctx": 2, "steps": 12, "lr": 0.05}
    here = context(synthetic.NAMES)
    last = adapt(CoOp(given | {"keep": "last"}), here)
    plain = adapt(CoOp(given), context(synthetic.NAMES, val=False))
    assert isinstance(last, LinearClassifier) and isinstance(plain, LinearClassifier)
    assert torch.equal(last.weight, plain.weight)
    assert here.record["best_step"] != -1 and here.record["steps"] == 12


@pytest.mark.parametrize("strategy", (CoOp, ProGrad))
def test_the_average_of_the_vectors_is_what_is_tested(strategy: type[CoOp]) -> None:
    """By hand: the decay is 1/10, 2/11, 3/12 … and then what was asked for."""
    given = {"n_ctx": 2, "init": "", "steps": 9, "lr": 0.05, "average": 0.3, "keep": "last"}
    noted: list[torch.Tensor] = []

    class Noting(strategy):  # type: ignore[misc, valid-type]
        def stepped(self, model: torch.nn.Module, step: int) -> None:
            super().stepped(model, step)
            noted.append(model.get_parameter("ctx").detach().clone())

    here = context(synthetic.NAMES)
    model = learner(Noting(given), here)
    average = model.ctx.detach().clone()
    own = Noting(given)
    (fitted,) = own.solve(model, here)
    for step, vectors in enumerate(noted):
        decay = min(0.3, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * vectors
    assert isinstance(fitted, PromptLearner) and fitted.average is not None and len(noted) == 9
    torch.testing.assert_close(fitted.average, average)
    assert torch.equal(fitted.ctx, noted[-1]) and not torch.allclose(average, noted[-1])
    rows = own.finish(fitted, here).weight
    with torch.no_grad():
        fitted.ctx.copy_(average)
    torch.testing.assert_close(rows, fitted.train().weight())


def test_without_an_average_there_is_none() -> None:
    model = learner(CoOp({"n_ctx": 2}), context())
    assert model.average is None and "average" not in model.state_dict()
