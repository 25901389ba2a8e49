"""A run makes its encoders, rules and models once, and says where answers depend on the other items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

import xm
from xm import Predictor, PredictorSpec, Stream, hookimpl
from xm.evaluation.report import Report
from xm.experiment.restored import Restored
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager

Train = Callable[..., Report]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each part was made, from now on."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        original = getattr(Restored, name)

        def call(self: Restored, *args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(Restored, name, call)

    for name in ("encoder", "model", "rule"):
        counted(name)
    return counts


def test_a_second_call_makes_nothing(run: Train, images: Path, plugins: PluginManager, made: Counter[str]) -> None:
    report = run(data=str(images), aux=("text",), shots=(1, 2))
    opened, items = xm.load(report.run, plugins=plugins, device="cpu"), sorted(images.rglob("1*.toy"))
    picks = [result.model for result in opened.results]
    first = [opened.predict(items, pick=pick) for pick in picks]
    assert (made["encoder"], made["model"], made["rule"]) == (1, len(picks), len(picks))
    before = Counter(made)
    again = [opened.predict(items, pick=pick) for pick in picks]
    opened.predict(items, only=opened.classes[:2])
    assert made == before
    assert again == first
    fresh = [xm.load(report.run, plugins=plugins, device="cpu").predict(items, pick=pick) for pick in picks]
    assert fresh == first


def test_new_classes_leave_the_kept_model_as_it_was(
    run: Train, images: Path, plugins: PluginManager, made: Counter[str]
) -> None:
    report = run(data=str(images), aux=("text",), shots=(0,))
    opened, items = xm.load(report.run, plugins=plugins, device="cpu"), sorted(images.rglob("1*.toy"))
    plain = opened.predict(items)
    new = opened.predict(items, add_classes=["fox"])
    count = made["model"]
    assert opened.predict(items, add_classes=["fox"]) == new
    assert made["model"] == count
    assert "fox" in new[0].probabilities
    assert opened.predict(items, add_classes=["elk"])[0].probabilities.keys() == {*opened.classes, "elk"}
    assert opened.predict(items) == plain


class Together(Predictor):
    """Of all items, each has the mean."""

    scope: ClassVar[Literal["item", "set", "sequence"]] = "set"

    def predict(self, model: Any, inputs: Stream) -> Any:
        found = model(inputs).detach().softmax(dim=1)
        return (found + found.mean(dim=0)) / 2


class Plugin:
    @staticmethod
    @hookimpl
    def predictors() -> list[PredictorSpec]:
        return [PredictorSpec(name="together", target=f"{__name__}:Together")]


def test_a_rule_over_a_set_is_told(
    run: Train, images: Path, plugins: PluginManager, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugins.register(Plugin, "together")
    monkeypatch.setattr(PredictorSpec, "load", lambda spec: Together if spec.name == "together" else xm.learning.Argmax)
    heard: list[Event] = []
    items = sorted(images.rglob("1*.toy"))
    for rule in ("argmax", "together"):
        report = run(data=str(images), aux=("text",), predictor=rule)
        heard.clear()
        xm.load(report.run, plugins=plugins, device="cpu", listener=heard.append).predict(items)
        told = [str(event.data["message"]) for event in heard if event.kind == "warning"]
        assert len(told) == (rule == "together")
    assert told[0] == (
        "model shots-1/seed-1/image+text judges items together: an answer depends on the other items that are given, "
        "and may be another alone"
    )
    heard.clear()
    given: dict[str, Any] = {"plugins": plugins, "device": "cpu", "cache": tmp_path / "cache"}
    xm.classify(items, ["cat", "dog"], predictor="together", listener=heard.append, **given)
    assert [e.data["message"] for e in heard if e.kind == "warning"] == [
        "the decision rule together judges items together: an answer depends on the other items that are given, and "
        "may be another alone"
    ]
