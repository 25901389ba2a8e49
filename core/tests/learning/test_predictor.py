"""Predictors: decisions in parts, and what they know of the classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import xm
from xm import Predictor, PredictorSpec, Stream, UsageError
from xm.evaluation.report import Report
from xm.foundation.files import read_tensors
from xm.foundation.layout import RULE
from xm.learning import predictor
from xm.learning.model import class_means
from xm.learning.predictor import Argmax, decide
from xm.plugins.config import Config
from xm.plugins.plugin_manager import PluginManager

CPU = torch.device("cpu")


class Linear(nn.Module):
    """Logits from the inputs ``a`` (n, 3) and ``b`` (n, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 4, generator=torch.Generator().manual_seed(1)))

    def forward(self, stream: Stream) -> Tensor:
        return torch.cat([stream.x["a"], stream.x["b"].flatten(1)], dim=1) @ self.weight


class Watching(Argmax):
    """Remembers how many inputs it was given at a time."""

    scope: ClassVar[Literal["item", "set"]] = "item"

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        self.seen = [*getattr(self, "seen", []), len(inputs)]
        return super().predict(model, inputs)


class WatchingAll(Watching):
    scope: ClassVar[Literal["item", "set"]] = "set"


def inputs(n: int = 11) -> Stream:
    generator = torch.Generator().manual_seed(2)
    x = {"a": torch.randn(n, 3, generator=generator), "b": torch.randn(n, 2, 2, generator=generator)}
    return Stream("image", x, torch.arange(n) % 4)


def test_argmax_is_the_softmax() -> None:
    model = Linear()
    expected = model(inputs()).detach().softmax(dim=1)
    assert torch.equal(decide(Argmax(), model, inputs(), CPU), expected)


@pytest.mark.parametrize(
    ("numbers", "parts"),
    [(7 * 11, [11]), (7 * 11 - 1, [10, 1]), (7 * 4, [4, 4, 3]), (7 * 4 + 6, [4, 4, 3]), (7, [1] * 11), (1, [1] * 11)],
)
def test_parts_are_decided_as_the_whole_is(monkeypatch: pytest.MonkeyPatch, numbers: int, parts: list[int]) -> None:
    """An input has seven numbers; however many fit, the decisions are the same and in order."""
    model = Linear()
    whole = decide(Argmax(), model, inputs(), CPU)
    monkeypatch.setattr(predictor, "PART", numbers)
    monkeypatch.setattr(predictor, "LEAST", 1)
    watching = Watching()
    torch.testing.assert_close(decide(watching, model, inputs(), CPU), whole)
    assert watching.seen == parts


def test_a_rule_for_sets_sees_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "PART", 1)
    monkeypatch.setattr(predictor, "LEAST", 1)
    watching = WatchingAll()
    assert decide(watching, Linear(), inputs(), CPU).shape == (11, 4)
    assert watching.seen == [11]


def test_streams_without_labels_and_of_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "PART", 20)
    monkeypatch.setattr(predictor, "LEAST", 1)
    for n in (1, 5):
        given = inputs(n)
        unlabelled = Stream(given.modality, given.x)
        assert torch.equal(decide(Argmax(), Linear(), unlabelled, CPU), decide(Argmax(), Linear(), given, CPU))


class LikeConfig(Config):
    share: float = Field(0.5, ge=0, le=1, description="of the likeness")


class Like(Predictor):
    """Classes are as probable as those with like names."""

    config_type: ClassVar[type[Config]] = LikeConfig
    asked: ClassVar[list[Any]] = []

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        texts = read_names()
        self.asked.append((tuple(classes), texts))
        if texts is None:
            raise UsageError("like: no names")
        names = class_means(texts, len(classes))
        return {"like": (names @ names.T).clamp_min(0)}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            p = model(inputs).softmax(dim=1)
        mixed = torch.lerp(p, p @ self.tensors["like"], self.config.share)
        return mixed / mixed.sum(dim=1, keepdim=True)


@pytest.fixture
def like(toy: Any, plugins: PluginManager) -> type[Like]:
    toy.Like = Like
    Like.asked.clear()
    plugins.predictors["like"] = PredictorSpec(name="like", target="xm_toy:Like")
    return Like


Train = Callable[..., Report]
GIVEN: dict[str, Any] = {"predictor": "like", "predictor_set": {"share": 0.9}, "shots": (1, 2), "seeds": (1, 2)}


def test_what_a_rule_knows_is_found_once_and_kept(
    run: Train, table: Path, like: type[Like], plugins: PluginManager, toy: Any, tmp_path: Path
) -> None:
    report = run(data=str(table), aux=("text",), **GIVEN)
    [(classes, texts)] = like.asked
    assert classes == toy.CLASSES and texts.y.tolist() == [0, 1, 2, 3, 4]
    kept = read_tensors(Path(report.run) / RULE)
    names = class_means(texts, 5)
    assert torch.equal(kept["like"], (names @ names.T).clamp_min(0))
    loaded = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other")
    for result in report.results:
        assert loaded.evaluate(pick=result.model).value == result.value
    assert loaded.predictor.config.share == 0.9
    assert len(like.asked) == 1, "a run asks for no names"


def test_names_are_read_without_an_auxiliary_modality(run: Train, table: Path, like: type[Like]) -> None:
    assert not {r.aux for r in run(data=str(table), **GIVEN).results} - {()}
    [(_, texts)] = like.asked
    assert texts.modality == "text"


def test_a_rule_that_needs_names_says_so_before_items_are_read(
    run: Train, table: Path, like: type[Like], toy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(toy.ToyText, "accepts_names", False)
    toy.ENCODED.clear()
    with pytest.raises(UsageError, match="like: no names"):
        run(data=str(table), **GIVEN)
    assert not toy.ENCODED and not (tmp_path / "runs").exists()


def test_its_settings_are_checked_first(run: Train, table: Path, like: type[Like], toy: Any) -> None:
    toy.ENCODED.clear()
    for given, said in (({"shar": 1}, "did you mean 'share'"), ({"share": 2}, "share=2")):
        with pytest.raises(UsageError, match=said):
            run(data=str(table), predictor="like", predictor_set=given)
    with pytest.raises(UsageError, match="Argmax: unknown setting 'share'"):
        run(data=str(table), predictor_set={"share": 1})
    assert not toy.ENCODED and not like.asked


def test_val_is_scored_by_the_rule(run: Train, table: Path, like: type[Like], monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that decides on test also decides which candidate is taken."""

    def first(self: Like, model: nn.Module, inputs: Stream) -> Tensor:
        return torch.eye(5)[[2] * len(inputs)]

    monkeypatch.setattr(Like, "predict", first)
    report = run(data=str(table), **GIVEN)
    assert all((r.val, r.value) == pytest.approx((0.2, 0.2)) for r in report.results)


def test_a_rule_that_knows_nothing_keeps_no_file(run: Train, table: Path) -> None:
    assert not (Path(run(data=str(table)).run) / RULE).exists()
