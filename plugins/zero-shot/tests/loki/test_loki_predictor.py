"""The predictor `loki`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import Predictor, PredictorSpec, Stream, UsageError
from xm.learning import EMBEDDING
from xm.plugins import manager
from xm.testing import PredictorConformance
from xm_zero_shot.loki.predictor import Loki

LEAVES = ("cat", "dog", "eel")
TREE = {"cat": "mammal", "dog": "mammal", "mammal": "animal", "eel": "fish", "fish": "animal"}
"""cat and dog are 2 edges apart, both are 4 from eel."""

APART = [[0.0, 2.0, 4.0], [2.0, 0.0, 4.0], [4.0, 4.0, 0.0]]


class TestConformance(PredictorConformance):
    @pytest.fixture
    def spec(self) -> PredictorSpec:
        return manager().predictors.find("loki")


class TestConformanceOfThePower(TestConformance):
    settings: ClassVar[Mapping[str, Any]] = {"power": 1}


class TestConformanceOfAFile(TestConformance):
    """A tree of the suite's classes; what is written is gone once `prepare` has read it."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.file = tmp_path / "tree.json"

    def make(self, spec: PredictorSpec) -> Predictor:
        class Once(Loki):
            def prepare(self, *given: Any) -> Mapping[str, Tensor]:
                path = Path(self.config.metric)
                path.write_text(json.dumps({"ant": "insect", "bee": "insect", "insect": "animal"} | BEASTS))
                found = super().prepare(*given)
                path.unlink()
                return found

        return Once({"metric": str(self.file)})


BEASTS = {"cat": "mammal", "dog": "mammal", "mammal": "animal", "eel": "animal"}


class Logits(nn.Module):
    """The inputs themselves are the logits."""

    def forward(self, stream: Stream) -> Tensor:
        return stream.x["logits"]


def prepared(distances: Sequence[Sequence[float]] | Tensor, **settings: Any) -> Loki:
    loki = Loki(settings)
    loki.tensors = {"distances": torch.as_tensor(distances)}
    return loki


def judged(loki: Loki, probabilities: Sequence[Sequence[float]] | Tensor) -> Tensor:
    """What loki makes of a model that says these probabilities."""
    logits = torch.as_tensor(probabilities).clamp_min(1e-30).log()
    return loki.predict(Logits(), Stream("image", {"logits": logits}))


def test_the_likely_family_wins_over_the_likeliest_class() -> None:
    """Squared: cat 0.25 * 4 + 0.4 * 16 = 7.4, dog 0.35 * 4 + 6.4 = 7.8, eel 0.6 * 16 = 9.6, where argmax says eel."""
    out = judged(prepared(APART), [[0.35, 0.25, 0.4]])
    closeness = torch.tensor([16 - 7.4, 16 - 7.8, 16 - 9.6])
    torch.testing.assert_close(out, (closeness / closeness.sum())[None])
    assert int(out.argmax()) == 0


def test_power_1_is_the_median() -> None:
    """On the line 0, 1, 3 with p = (0.6, 0, 0.4) the median is 0, the mean is at 1.2, and so nearest to 1."""
    line = torch.tensor([0.0, 1.0, 3.0])
    distances = (line[:, None] - line).abs()
    assert judged(prepared(distances, power=1), [[0.6, 0.0, 0.4]]).argmax().item() == 0
    assert judged(prepared(distances), [[0.6, 0.0, 0.4]]).argmax().item() == 1, "nobody's first choice"


def test_where_classes_are_equally_far_apart_it_is_the_softmax() -> None:
    logits = 3 * torch.randn(200, 7, generator=torch.Generator().manual_seed(1))
    for factor in (1.0, 0.3):
        out = judged(prepared(factor * (1 - torch.eye(7))), logits.softmax(dim=1))
        torch.testing.assert_close(out, logits.softmax(dim=1))
        assert torch.equal(out.argmax(dim=1), logits.argmax(dim=1))


def test_the_unit_of_distances_does_not_matter() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    torch.testing.assert_close(judged(prepared(APART), p), judged(prepared(1e-3 * torch.tensor(APART)), p))


def test_of_equal_classes_the_first_wins() -> None:
    assert judged(prepared(APART), [[0.5, 0.5, 0.0]]).argmax().item() == 0
    assert judged(prepared(torch.tensor(APART).flip(0, 1)), [[0.0, 0.5, 0.5]]).argmax().item() == 1


def names(x: Tensor, y: Sequence[int]) -> Stream:
    return Stream("text", {EMBEDDING: normalize(x, dim=1)}, torch.tensor(y))


def test_distances_of_names() -> None:
    """Unit vectors at right angles are the root of 2 apart; a class's templates are averaged."""
    x = torch.tensor([[3.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1], [0, 1, -1]])
    found = Loki().prepare(("a", "b"), lambda: names(x, [0, 1, 0, 1, 1]))["distances"]
    torch.testing.assert_close(found, 2**0.5 * (1 - torch.eye(2)))


def test_the_file_is_read_in_the_order_of_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(TREE))

    def refuse() -> Stream:
        raise AssertionError("names were read")

    found = Loki({"metric": str(path)}).prepare(("eel", "dog", "cat"), refuse)["distances"]
    assert found.tolist() == [[0, 4, 4], [4, 0, 2], [4, 2, 0]]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (None, "needs an encoder that reads class names: choose one (--text-encoder NAME), or give"),
        (names(torch.eye(3)[:2], [0, 1]), "the name of class 'eel' could not be read; give the distances in a file"),
        (names(torch.ones(3, 3), [0, 1, 2]), "every distance is 0, so that no class differs from another"),
    ],
)
def test_names_that_do_not_do(texts: Stream | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Loki().prepare(LEAVES, lambda: texts)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metric": "name"}, "metric='name': give names, or a file that ends in .csv, .json, .npz"),
        ({"metric": "tree.txt"}, "metric='tree.txt': give names, or a file"),
        ({"power": 0}, "power=0"),
        ({"power": float("inf")}, "power=inf"),
    ],
)
def test_wrong_settings(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Loki(given)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_thousand_classes(tmp_path: Path) -> None:
    """Still a metric, in no time: a binary tree, of which two leaves' lowest common ancestor is known by their bits."""
    bits = [f"{i:010b}" for i in range(1000)]
    parents = {code[:n]: code[: n - 1] or "root" for code in bits for n in range(1, 11)}
    (tmp_path / "tree.json").write_text(json.dumps(parents))
    found = Loki({"metric": str(tmp_path / "tree.json")}).prepare(bits, lambda: None)["distances"].numpy()
    rows, columns = np.random.default_rng(1).integers(1000, size=(2, 50))
    for i, j in zip(rows, columns, strict=True):
        same = next((n for n in range(10) if bits[i][n] != bits[j][n]), 10)
        assert found[i, j] == 2 * (10 - same)
