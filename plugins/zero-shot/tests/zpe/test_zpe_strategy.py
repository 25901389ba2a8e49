"""The strategy `zpe`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Context, StrategySpec, Stream, UsageError
from xm.encoders import Tail
from xm.learning import EMBEDDING, LinearClassifier, Tower, Towers, adapt, own_tensors
from xm.plugins import manager
from xm.testing import StrategyConformance, synthetic
from xm_zero_shot.zpe.strategy import ZeroShotPromptEnsembling, by_sentence, selected, sentence_scores


class TestConformance(StrategyConformance):
    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("zpe")


class TestConformanceOfSelection(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"threshold": 0.5, "bias": "none", "weighting": "equal", "normalise": True}


CLEAR = torch.eye(4)[:3]
VAGUE = normalize(torch.eye(4)[:3] + 2, dim=1)
WRONG = torch.eye(4)[[3, 3, 3]]


def context(*sentences: Tensor, **more: Any) -> Context:
    """Three classes along axes, ten samples each; sentences are rows a class, (3, 4)."""
    y = torch.arange(3).repeat(10)
    noise = 0.3 * torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    pictures = Stream("image", {EMBEDDING: normalize(torch.eye(4)[y] + noise, dim=1)}, y)
    rows = torch.stack(sentences, dim=1).flatten(0, 1)
    texts = Stream("text", {EMBEDDING: rows}, torch.arange(3).repeat_interleave(len(sentences)))
    given: dict[str, Any] = {"train": {"image": pictures}, "val": None, "read_names": lambda: texts} | more
    towers = Towers({name: Tower(Tail()) for name in given["train"]})
    return Context(classes=("a", "b", "c"), target="image", dim=4, named=frozenset(), towers=towers, **given)


def weights(here: Context, **settings: Any) -> Tensor:
    model = adapt(ZeroShotPromptEnsembling(settings), here)
    assert type(model) is LinearClassifier
    assert not any(parameter.requires_grad for parameter in model.parameters())
    return model.weight.detach()


def test_by_hand() -> None:
    """Two classes, two sentences, two samples along axes, scale 2.

    The first sentence is the axes: logits (2, 0) and (0, 2), their means (1, 1), the largest freed logits 1 and 1.
    The second puts both classes on the first axis: logits (2, 2) and (0, 0), means (1, 1), largest 1 and -1.
    """
    axes = torch.eye(2)
    rows = torch.stack([axes, axes[[0, 0]]])
    torch.testing.assert_close(sentence_scores(rows, axes, 2.0), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(sentence_scores(rows, axes, 2.0, freed=False), torch.tensor([2.0, 1.0]))
    texts = Stream("text", {EMBEDDING: rows.transpose(0, 1).flatten(0, 1)}, torch.tensor([0, 0, 1, 1]))
    here = Context(
        classes=("a", "b"),
        target="image",
        dim=2,
        train={"image": Stream("image", {EMBEDDING: axes})},
        val=None,
        named=frozenset(),
        towers=Towers({"image": Tower(Tail())}),
        read_names=lambda: texts,
    )
    first = math.e / (math.e + 1)
    found = weights(here, scale=2)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0], [1 - first, first]]))
    assert here.record["scores"] == [1, 0] and here.record["kept"] == 2
    assert here.record["weights"] == pytest.approx([first, 1 - first], abs=1e-5)


def test_the_sentence_that_tells_samples_apart_weighs_most() -> None:
    here = context(VAGUE, CLEAR, WRONG)
    torch.testing.assert_close(weights(here), CLEAR, atol=1e-3, rtol=0)
    vague, clear, wrong = torch.tensor(here.record["scores"])
    assert clear > vague > wrong
    assert abs(wrong) < 1e-4, "where all classes look alike, nothing is left"


def test_a_sentence_near_to_all_samples_is_not_a_good_one() -> None:
    """What the bias is taken away for: a sentence whose rows all lie at the samples' mean has the largest logits."""
    middle = normalize(torch.ones(3, 4) + 1e-3 * CLEAR, dim=1)
    confident = context(0.3 * CLEAR, middle)
    weights(confident, bias="none", scale=20)
    freed = context(0.3 * CLEAR, middle)
    weights(freed, scale=20)
    naive, ours = confident.record["weights"], freed.record["weights"]
    assert isinstance(naive, list) and isinstance(ours, list)
    assert naive[0] < naive[1] and ours[0] > 0.9


def test_weightings() -> None:
    equal = weights(context(VAGUE, CLEAR, WRONG), weighting="equal")
    torch.testing.assert_close(equal, (VAGUE + CLEAR + WRONG) / 3)
    here = context(VAGUE, CLEAR)
    found = weights(here, weighting="score")
    score = torch.tensor(here.record["scores"])
    torch.testing.assert_close(found, (score[0] * VAGUE + score[1] * CLEAR) / score.sum(), atol=1e-5, rtol=1e-5)
    unit = weights(context(VAGUE, CLEAR, WRONG), weighting="equal", normalise=True)
    torch.testing.assert_close(unit, normalize(equal, dim=1))


def test_selection_by_hand() -> None:
    """Median 3, distances 2, 1, 0, 1, 7: their median is 1."""
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0])
    everything, one, two = [True] * 5, [False] * 4 + [True], [False] * 3 + [True] * 2
    for threshold, kept in ((None, everything), (0.5, two), (1.0, one), (6.9, one), (7.0, everything)):
        assert selected(scores, threshold).tolist() == kept, threshold
    assert selected(torch.ones(4), 0.5).tolist() == [True] * 4, "of equal ones all are kept"
    assert selected(torch.tensor([1.0, 1.0, 1.0, 2.0]), 2.0).tolist() == [False] * 3 + [True], "no deviation but one"


def test_only_selected_sentences_count() -> None:
    here = context(WRONG, CLEAR, WRONG)
    torch.testing.assert_close(weights(here, threshold=0.5, weighting="equal"), CLEAR)
    assert here.record["weights"] == [0, 1, 0] and here.record["kept"] == 1


def test_neither_labels_nor_val_nor_auxiliary_samples_are_looked_at() -> None:
    here = context(VAGUE, CLEAR)
    one, pictures = weights(here), here.train["image"]
    shuffled = replace(pictures, y=torch.zeros(30, dtype=torch.long))
    sounds = Stream("audio", {EMBEDDING: pictures.x[EMBEDDING][:3] * -1}, torch.arange(3))
    unlabelled = replace(pictures, y=None)
    for train in ({"image": shuffled}, {"image": unlabelled}, {"image": pictures, "audio": sounds}):
        assert torch.equal(weights(context(VAGUE, CLEAR, train=train)), one)
    assert torch.equal(weights(context(VAGUE, CLEAR, val=shuffled)), one)


def test_samples_are_looked_at() -> None:
    """Samples that only the other sentence tells apart."""
    other = torch.eye(4)[[1, 2, 0]] * torch.tensor([1.0, -1.0, 1.0, 1.0])
    pictures = Stream("image", {EMBEDDING: other.repeat(5, 1)})
    here = context(CLEAR, other, train={"image": pictures})
    torch.testing.assert_close(weights(here), other, atol=1e-3, rtol=0)


def test_unlabelled_samples_go_before_those_of_train() -> None:
    other = torch.eye(4)[[1, 2, 0]] * torch.tensor([1.0, -1.0, 1.0, 1.0])
    pictures = Stream("image", {EMBEDDING: other.repeat(5, 1)})
    here = context(CLEAR, other, unlabelled={"image": pictures})
    assert torch.equal(weights(here), weights(context(CLEAR, other, train={"image": pictures})))
    sounds = context(CLEAR, VAGUE, unlabelled={"audio": replace(pictures, modality="audio")})
    assert torch.equal(weights(sounds), weights(context(CLEAR, VAGUE)))


@pytest.mark.parametrize("y", ([0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 1]))
def test_texts_that_classes_do_not_share_are_refused(y: list[int]) -> None:
    texts = Stream("text", {EMBEDDING: torch.eye(4)[: len(y)]}, torch.tensor(y))
    with pytest.raises(
        UsageError, match=rf"here are {len(y)} texts of 2 class names, not as many of each .* use --strategy zero-shot"
    ):
        by_sentence(texts, 2)


def test_one_sentence_is_too_few() -> None:
    with pytest.raises(UsageError, match=r"zpe weighs sentences .* there is one: give several, --template"):
        weights(context(CLEAR))


def test_scores_below_zero_are_no_weights() -> None:
    with pytest.raises(UsageError, match=r"weighting=score needs scores above zero, .* weighting=softmax"):
        weights(context(CLEAR, -torch.ones(3, 4)), weighting="score", bias="none")


def test_without_names_it_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="class names are needed: choose an encoder that reads them"):
        weights(context(CLEAR, VAGUE, read_names=lambda: None))


@pytest.mark.parametrize("given", ({"bias": "test"}, {"weighting": "max"}, {"threshold": "x"}, {"scale": 0}))
def test_wrong_settings_are_named(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"ZeroShotPromptEnsembling: {next(iter(given))}"):
        ZeroShotPromptEnsembling(given)


def test_it_starts_at_the_names() -> None:
    assert ZeroShotPromptEnsembling().init_name(context(CLEAR, VAGUE)) == "text"


def test_new_classes_need_the_weights_of_sentences() -> None:
    """A run of before does not keep them."""
    strategy, here = ZeroShotPromptEnsembling(), synthetic.context(("named",))
    model = adapt(strategy, here)
    tensors = {name: value for name, value in own_tensors(model).items() if name != "sentences"}
    with pytest.raises(UsageError, match=r"does not keep how its sentences were weighted.*train again"):
        strategy.reclass(strategy.restore(synthetic.towers(), tensors), here)
