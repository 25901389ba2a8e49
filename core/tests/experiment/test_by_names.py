"""Classification by the names of classes alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xm
from xm.evaluation.report import Prediction, Report
from xm.experiment import ByNames
from xm.foundation.errors import UsageError
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager

Classify = Callable[..., list[Prediction]]


@pytest.fixture
def classify(plugins: PluginManager, events: list[Event], tmp_path: Path) -> Classify:
    places: dict[str, Any] = {"plugins": plugins, "cache": tmp_path / "cache", "device": "cpu"}
    return lambda items, classes, **given: xm.classify(items, classes, listener=events.append, **places, **given)


@pytest.mark.parametrize("templates", [(), ("a photo of a {}.", "{}")])
def test_it_says_what_a_training_without_shots_says(
    run: Callable[..., Report], classify: Classify, plugins: PluginManager, images: Path, templates: tuple[str, ...]
) -> None:
    report = run(data=str(images), aux=("text",), shots=(0,), templates=templates)
    trained = xm.load(report.run, plugins=plugins, device="cpu")
    items = sorted(images.rglob("*.toy"))
    said = classify(items, trained.classes, templates=templates)
    for one, other in zip(said, trained.predict(items), strict=True):
        assert (one.item, one.label) == (other.item, other.label)
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert len({prediction.label for prediction in said}) > 1


def test_items_of_several_modalities_and_what_cannot_be_read(classify: Classify, images: Path, tmp_path: Path) -> None:
    note, broken = tmp_path / "note.txt", tmp_path / "broken.toy"
    note.write_text("an owl", encoding="utf-8")
    broken.write_text("broken", encoding="utf-8")
    found = classify([images / "cat" / "0.toy", note, broken], ["owl", "cat"])
    assert [p.label for p in found] == ["cat", "owl", None]
    assert (found[2].error, found[2].item) == ("is broken", broken)
    assert classify(["a cat", "owl"], ["owl", "cat"], modality="text")[0].label == "cat"


def test_encoders_are_told_and_made_once(
    plugins: PluginManager, images: Path, events: list[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Any
) -> None:
    made: list[str] = []
    start = toy.Toy.__init__

    def count(self: Any, argument: str = "") -> None:
        made.append(type(self).__name__)
        start(self, argument)

    monkeypatch.setattr(toy.Toy, "__init__", count)
    names = ByNames(["cat", "owl"], plugins=plugins, cache=tmp_path, device="cpu", listener=events.append)
    for _ in range(2):
        assert names.predict([images / "owl" / "1.toy"])[0].label in ("cat", "owl")
    assert made.count("ToyImage") == made.count("ToyText") == 1
    assert names.used == {"image": "toy-image", "text": "toy-text"}
    [note] = [str(event.data["message"]) for event in events if event.kind == "note"]
    assert note.startswith("image: encoder toy-image (") and note.endswith("in the same space")


@pytest.mark.parametrize(
    ("classes", "given", "expected"),
    [
        (["cat"], {}, "--classes: one alone, 'cat'; name two at least"),
        ([" "], {}, "--classes: no name; name two at least"),
        (["cat", "owl", "cat "], {}, "--classes: 'cat' is there twice"),
        ("cat,owl", {}, "classes are a list of names: ['cat', 'owl']"),
        (["cat", "owl"], {"strategy": "linear"}, "strategy 'linear' learns from items"),
        (["cat", "owl"], {"templates": ("a photo",)}, "template 'a photo' needs one {}"),
        (["cat", "owl"], {"encoders": {"smell": "nose"}}, "unknown modality 'smell'"),
        (["cat", "owl"], {"modality": "audio"}, "share no space and nothing can align them"),
        (["cat", "owl"], {"modality": "smell"}, "unknown modality 'smell'"),
    ],
)
def test_mistakes(classify: Classify, images: Path, classes: Any, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError, match=re.escape(expected)) as caught:
        classify([images / "cat" / "0.toy"], classes, **given)
    assert "\n" not in str(caught.value)


def test_an_item_of_no_known_modality(classify: Classify) -> None:
    with pytest.raises(
        UsageError, match=r"what\.xyz: nothing says what it is of; name it with --modality NAME \(known: a"
    ):
        classify(["what.xyz"], ["cat", "owl"])
