"""`loki` from training to prediction, on words as items: "cat 7" is a noisy picture of a cat."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import xm
import xm_zero_shot.loki
from xm import Encoder, EncoderSpec, Strategy, StrategySpec, UsageError, fingerprint_of, hookimpl
from xm.encoders import read_text
from xm.learning import EMBEDDING, LinearClassifier, class_means
from xm.plugins import PluginManager

FAMILY = {"cat": "mammal", "cow": "mammal", "dog": "mammal", "hen": "bird", "owl": "bird"}
DIM = 12


def direction(word: str) -> Tensor:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(DIM)).float() / DIM**0.5


class Words(Encoder):
    """A name, near to its family's; and noise, if there is a number behind it."""

    space, dim = "words", DIM

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("words", 1)

    def trunk(self, items: Sequence[Any]) -> dict[str, Tensor]:
        return {"features": torch.stack([self.vector(read_text(item).split()) for item in items])}

    def vector(self, words: list[str]) -> Tensor:
        vector = direction(words[0]) + direction(FAMILY[words[0]])
        return vector if len(words) == 1 else vector + 1.5 * direction(words[1])


class Pictures(Words):
    modality, suffixes = "image", (".pic",)


class Names(Words):
    modality, suffixes, accepts_names = "text", (".txt",), True


class Centroids(Strategy):
    def build(self, context: xm.Context) -> LinearClassifier:
        train = context.train[context.target]
        assert EMBEDDING in train.x
        return LinearClassifier(context.towers, class_means(train, len(context.classes)), 8.0, trainable=False)


class Toy:
    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        return [
            EncoderSpec(
                name="pictures", target=f"{__name__}:Pictures", modality="image", suffixes=(".pic",), priority=1
            ),
            EncoderSpec(name="names", target=f"{__name__}:Names", modality="text", suffixes=(".txt",), priority=1),
        ]

    @hookimpl
    def strategies(self) -> list[StrategySpec]:
        return [StrategySpec(name="centroids", target=f"{__name__}:Centroids")]


@pytest.fixture
def plugins() -> PluginManager:
    manager = PluginManager(installed=False)
    manager.register(Toy(), "toy")
    manager.register(xm_zero_shot.loki, "loki")
    return manager


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for split, each in (("train", 4), ("val", 4), ("test", 40)):
        for k, name in enumerate(FAMILY):
            for n in range(each):
                path = tmp_path / "pictures" / split / name / f"{n}.pic"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{name} {split}{k}{n}")
    return tmp_path / "pictures"


@pytest.fixture
def train(plugins: PluginManager, pictures: Path, tmp_path: Path) -> Callable[..., xm.Report]:
    def call(**settings: Any) -> xm.Report:
        given = {
            "data": str(pictures),
            "strategy": "centroids",
            "shots": (2,),
            "seeds": (1, 2),
            "out": tmp_path / "run",
            "cache": tmp_path / "cache",
            "device": "cpu",
            "predictor": "loki",
        }
        return xm.train("image", plugins=plugins, **{**given, **settings})

    return call


def tree(tmp_path: Path) -> str:
    rows = ["child,parent", *(f"{child},{parent}" for child, parent in FAMILY.items()), "mammal,animal", "bird,animal"]
    (tmp_path / "tree.csv").write_text("\n".join(rows))
    return str(tmp_path / "tree.csv")


@pytest.mark.parametrize("metric", ("names", "tree"))
def test_eval_and_predict_decide_as_training_did(
    train: Callable[..., xm.Report], plugins: PluginManager, pictures: Path, tmp_path: Path, metric: str
) -> None:
    given = {"predictor_set": {"metric": tree(tmp_path)}} if metric == "tree" else {}
    report = train(**given)
    items = sorted(pictures.glob("test/*/*.pic"))
    plain = train(predictor="argmax", out=tmp_path / "plain")
    if metric == "tree":
        Path(given["predictor_set"]["metric"]).unlink()
    run = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "cache")
    told = xm.load(plain.run, plugins=plugins, device="cpu", cache=tmp_path / "cache")
    for result in report.results:
        assert run.evaluate(pick=result.model).value == result.value
        predictions = run.predict(items, pick=result.model)
        right = [p.label == p.item.parent.name for p in predictions]
        assert sum(right) / len(right) == pytest.approx(result.value)
        assert all(sum(p.probabilities.values()) == pytest.approx(1, abs=1e-5) for p in predictions)
        others = [p.label for p in told.predict(items, pick=result.model)]
        assert [p.label for p in predictions] != others, "loki decides as argmax does"
        assert not result.transductive


def test_a_run_predicts_where_nothing_but_its_encoder_is(
    train: Callable[..., xm.Report], plugins: PluginManager, pictures: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Neither data, cache, nor an encoder of names is there."""
    report = train()
    (tmp_path / "new.pic").write_text("cow 7")
    run = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other")
    before = run.predict([tmp_path / "new.pic"])
    shutil.rmtree(pictures)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(Names, "trunk", None)
    run = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other")
    assert run.predict([tmp_path / "new.pic"]) == before


def test_confusions_stay_in_the_family(train: Callable[..., xm.Report], plugins: PluginManager, tmp_path: Path) -> None:
    """What the rule minimises: by the tree, the mean squared distance to the truth is less than argmax's."""
    distances = {(a, b): 0 if a == b else 2 if FAMILY[a] == FAMILY[b] else 4 for a in FAMILY for b in FAMILY}
    found = {}
    for predictor, given in (("loki", {"predictor_set": {"metric": tree(tmp_path)}}), ("argmax", {})):
        report = train(predictor=predictor, out=tmp_path / predictor, **given)
        run = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "cache")
        items = sorted((tmp_path / "pictures").glob("test/*/*.pic"))
        pairs = [(p.label, p.item.parent.name) for r in report.results for p in run.predict(items, pick=r.model)]
        found[predictor] = np.mean([distances[str(label), true] ** 2 for label, true in pairs])
    assert found["loki"] < found["argmax"]


@pytest.mark.parametrize("metric", ("names", "gone.csv"))
def test_what_is_missing_is_told_before_pictures_are_read(
    train: Callable[..., xm.Report], plugins: PluginManager, tmp_path: Path, monkeypatch: Any, metric: str
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a picture was read")

    monkeypatch.setattr(Pictures, "vector", refuse)
    monkeypatch.setattr(Names, "accepts_names", False)
    with pytest.raises(UsageError, match=r"^loki: metric.*(needs an encoder that reads|gone\.csv: no such file)"):
        train(predictor_set={"metric": metric})
    assert not (tmp_path / "run").exists()
