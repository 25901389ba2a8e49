"""Readings: a target's items read once more, in a view, by another encoder, at another depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import xm
from xm import EncoderSpec, Predictor, PredictorSpec, Reading, Strategy, StrategySpec, UsageError, hookimpl
from xm.data.types import View
from xm.evaluation.report import Report
from xm.experiment.readings import readings_of
from xm.foundation.errors import PluginError, RunError
from xm.learning.model import EMBEDDING, LinearClassifier, class_means
from xm.learning.stream import Stream
from xm.plugins.plugin_manager import PluginManager

Run = Callable[..., Report]

SEEN: list[tuple[str, Stream]] = []
"""What the strategy and the rule below were given: train, val and the inputs of decisions."""

WANTED = {
    "mirror": Reading(view="flip"),
    "other": Reading(encoder="toy-other"),
    "other mirror": Reading(encoder="toy-other", view="flip"),
    "below": Reading(depth=1),
}


class Twice(Strategy):
    """Class means of an item and its mirror image together."""

    def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
        return WANTED

    def build(self, context: xm.Context) -> nn.Module:
        train = context.train[context.target]
        SEEN.append(("train", train))
        if context.val is not None:
            SEEN.append(("val", context.val))
        SEEN.extend((f"unlabelled {name}", stream) for name, stream in context.unlabelled.items())
        reader = context.reader("other")
        assert reader.dim == 6 and reader.texts is None and reader.prototypes is None
        both = Stream(
            train.modality,
            {EMBEDDING: torch.cat([train.x[EMBEDDING], train.reading("mirror").x[EMBEDDING]])},
            torch.cat([train.labels, train.labels]),
        )
        return LinearClassifier(context.towers, class_means(both, len(context.classes)), 10.0, trainable=False)


class Both(Predictor):
    """The mean over an item and its mirror image."""

    def readings(self, modality: str) -> Mapping[str, Reading]:
        return {"mirror": Reading(view="flip")} if modality == "image" else {}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        SEEN.append((f"{inputs.modality} inputs", inputs))
        with torch.no_grad():
            streams = [inputs, *(inputs.reading(name) for name in self.readings(inputs.modality))]
            return torch.stack([model(stream).softmax(dim=1) for stream in streams]).mean(dim=0)


class Hooks:
    @hookimpl
    def strategies(self) -> list[StrategySpec]:
        return [StrategySpec(name="twice", target=f"{__name__}:Twice")]

    @hookimpl
    def predictors(self) -> list[PredictorSpec]:
        return [PredictorSpec(name="both", target=f"{__name__}:Both")]

    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        return [EncoderSpec(name="toy-other", target="xm_toy:ToyOther", modality="image", suffixes=(".toy",))]


@pytest.fixture
def reading(toy: Any, plugins: PluginManager, monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    """The toy's image encoder knows flips, opens at depth 1, and another one is there."""
    vector = toy.Toy._vector

    def flipping(self: Any, item: Any) -> Tensor:
        found: Tensor = vector(self, item.item).flip(0) if isinstance(item, View) else vector(self, item)
        return found

    def split(self: Any, depth: int) -> Any:
        if depth != 1:
            return xm.Encoder.split(self, depth)
        return lambda items: {"half": self.trunk(items)["features"][:, :4]}, nn.Identity()

    other = type("ToyOther", (toy.ToyImage,), {"space": "toy-other", "dim": 6})
    monkeypatch.setattr(toy.ToyImage, "views", ("flip",))
    monkeypatch.setattr(toy.ToyImage, "_vector", flipping)
    monkeypatch.setattr(toy.ToyImage, "split", split)
    monkeypatch.setattr(toy, "ToyOther", other, raising=False)
    plugins.register(Hooks(), "hooks")
    SEEN.clear()
    toy.ENCODED.clear()
    return plugins


def check(stream: Stream) -> None:
    """Each reading is of the row that it stands beside."""
    x = stream.x[EMBEDDING]
    assert set(stream.also) == set(WANTED)
    torch.testing.assert_close(stream.also["mirror"][EMBEDDING], x.flip(1))
    assert stream.also["other"][EMBEDDING].shape == (len(x), 6)
    torch.testing.assert_close(stream.also["other mirror"][EMBEDDING], stream.also["other"][EMBEDDING].flip(1))
    torch.testing.assert_close(stream.also["other"][EMBEDDING].norm(dim=1), torch.ones(len(x)))
    half = normalize(stream.also["below"]["half"], dim=1)
    torch.testing.assert_close(half, normalize(x[:, :4], dim=1))


GIVEN: dict[str, Any] = {
    "strategy": "twice", "predictor": "both", "aux": ("text",), "shots": (2,), "seeds": (1,), "baselines": False,
}  # fmt: skip


def test_train_val_unlabelled_and_test_have_them(run: Run, table: Path, reading: PluginManager, toy: Any) -> None:
    report = run(data=str(table), unlabelled="rest", **GIVEN)
    assert {name for name, _ in SEEN} == {"train", "val", "unlabelled image", "image inputs"}
    for _, stream in SEEN:
        check(stream)
    assert {len(stream) for name, stream in SEEN if name == "image inputs"} >= {40}, "test, all of it"
    encoded = dict(toy.ENCODED)
    first = [result.value for result in report.results]
    assert [r.value for r in run(data=str(table), unlabelled="rest", **GIVEN).results] == first
    assert dict(toy.ENCODED) == encoded, "readings are in the cache"


def test_a_run_reads_them_too(run: Run, table: Path, reading: PluginManager, toy: Any, tmp_path: Path) -> None:
    report = run(data=str(table), **GIVEN)
    found = xm.load(report.run, plugins=reading, cache=tmp_path / "cache")
    SEEN.clear()
    result = found.pick()
    assert found.evaluate().value == result.value
    items = [path.with_name(f"{n}.toy") for path in (table.parent / "images").glob("*/0.toy") for n in (7, 8)]
    alone = [found.predict([item])[0] for item in items]
    together = found.predict([*items, table.parent / "gone.toy"])
    assert [p.label for p in together] == [*(p.label for p in alone), None]
    assert together[-1].error == "no such file"
    for name, stream in SEEN:
        assert name == "image inputs"
        assert "features" in stream.x
        check(Stream("image", {EMBEDDING: normalize(stream.x["features"], dim=1)}, also=stream.also))
    SEEN.clear()
    assert found.predict(["cat"], modality="text")[0].label == "cat"
    assert not SEEN[0][1].also, "another modality is read as the rule wants it"


def test_another_encoder_of_other_weights_is_refused(
    run: Run, table: Path, reading: PluginManager, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = run(data=str(table), **GIVEN)
    monkeypatch.setattr(toy.ToyOther, "fingerprint", lambda self: "another")
    with pytest.raises(RunError, match="encoder 'toy-other' is not the one of training"):
        xm.load(report.run, plugins=reading).predict([table.parent / "images" / "cat" / "0.toy"])


def test_centred_embeddings_have_centred_readings(run: Run, table: Path, reading: PluginManager) -> None:
    """Of the target's own encoder; another one's vectors stay as they are."""
    run(data=str(table), unlabelled="rest", centre="unlabelled", **GIVEN)
    streams = {name: stream for name, stream in SEEN if name in ("unlabelled image", "image inputs")}
    shift = streams["unlabelled image"].x[EMBEDDING].mean(dim=0)
    assert float(shift.norm()) < 0.1
    for stream in streams.values():
        torch.testing.assert_close(stream.also["mirror"][EMBEDDING].norm(dim=1), torch.ones(len(stream)))
        assert not torch.allclose(stream.also["mirror"][EMBEDDING], stream.x[EMBEDDING].flip(1), atol=1e-3)
        other = stream.also["other"][EMBEDDING]
        torch.testing.assert_close(stream.also["other mirror"][EMBEDDING], other.flip(1))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"a": Reading(view="turn")}, r"the image encoder has no view 'turn' \(it has: flip\)"),
        ({"a": Reading(encoder="nothing")}, "unknown encoder 'nothing'"),
        ({"a": Reading(encoder="toy-text")}, "encoder 'toy-text' is for text, not image"),
    ],
)
def test_what_can_t_be_read_is_told_before_anything_is(
    run: Run, table: Path, reading: PluginManager, toy: Any, monkeypatch: pytest.MonkeyPatch, wanted: Any, said: str
) -> None:
    monkeypatch.setattr(Twice, "readings", lambda self, target, aux: wanted)
    with pytest.raises(UsageError, match=said):
        run(data=str(table), **GIVEN)
    assert not toy.ENCODED


def test_an_item_that_a_reading_can_t_read_is_left_out(
    run: Run, table: Path, reading: PluginManager, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector, refused = toy.ToyImage._vector, table.parent / "images" / "cat" / "8.toy"

    def refusing(self: Any, item: Any) -> Tensor:
        if item == refused:
            raise xm.ItemError(item, "not by this one")
        found: Tensor = vector(self, item)
        return found

    monkeypatch.setattr(toy.ToyOther, "_vector", refusing)
    [first, *_] = run(data=str(table), **GIVEN).results
    assert first.n == 39


def test_names_and_depths() -> None:
    found = readings_of(Twice(), Both(), "image", (), 3)
    assert found["mirror"] == Reading(view="flip", depth=3), "as deep as the strategy opened the encoder"
    assert found["other"].depth == 0 and found["below"].depth == 1
    assert readings_of(None, Both(), "text", (), 0) == {}

    class Clashing(Both):
        def readings(self, modality: str) -> Mapping[str, Reading]:
            return {"mirror": Reading(view="crop1")}

    with pytest.raises(PluginError, match="reading 'mirror' is one of the strategy and another of the rule"):
        readings_of(Twice(), Clashing(), "image", (), 0)
