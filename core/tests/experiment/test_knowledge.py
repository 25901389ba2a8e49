"""What is known of classes and of samples, in a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import xm
from xm import Context, Strategy, UsageError
from xm.data.types import Dataset, Sample, Semantics
from xm.evaluation.report import Report
from xm.experiment.knowledge import with_semantics
from xm.experiment.settings import TrainSettings
from xm.experiment.training import Experiment
from xm.foundation.errors import DataError
from xm.learning.model import EMBEDDING, LinearClassifier, class_means
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import StrategySpec

Run = Callable[..., Report]
Warnings = Callable[[], list[str]]


@pytest.fixture
def descriptions(tmp_path: Path, toy: Any) -> Path:
    """Two texts of a cat, one of each other class, and one of what is no class."""
    texts = {name: [f"a fine {name}"] for name in toy.CLASSES} | {"tench": ["a fish"]}
    path = tmp_path / "descriptions.json"
    path.write_text(json.dumps({**texts, "Cat": ["my cat", "a fine cat"]}), encoding="utf-8")
    return path


@pytest.fixture
def colours(tmp_path: Path, toy: Any) -> Path:
    path = tmp_path / "colours.csv"
    rows = [f"{name},{i},{i * i}" for i, name in reversed(list(enumerate(toy.CLASSES)))]
    path.write_text("class,red,blue\n" + "\n".join(rows), encoding="utf-8")
    return path


def experiment(plugins: PluginManager, tmp_path: Path, **settings: Any) -> Experiment:
    given = {"modality": "image", "aux": ("text",), "shots": (1,), "seeds": (1,), "cache": tmp_path / "cache"}
    return Experiment(TrainSettings(**{**given, "device": "cpu", **settings}), plugins)


def test_descriptions_are_of_the_dataset_in_a_folder_and_what_the_settings_say(
    plugins: PluginManager, tmp_path: Path, images: Path, descriptions: Path, toy: Any
) -> None:
    folder = tmp_path / "by dataset"
    folder.mkdir()
    descriptions.rename(folder / "cupl_images.json")
    for how, samples in (("samples", 2), ("templates", 1)):
        made = experiment(plugins, tmp_path, data=str(images), descriptions=folder, descriptions_as=how)
        texts = [sample.item for sample in made.tasks()[1, 1].samples["train"]["text"] if sample.label == 1]
        assert len(texts) == samples and len(made.dataset.sentences(1)) == 3 - samples
    with pytest.raises(UsageError, match="descriptions_as=samples is of descriptions: name them with --descriptions"):
        validated(TrainSettings, {"modality": "image", "descriptions_as": "samples"}, "train")


def test_descriptions_stand_beside_names_in_train_and_in_the_context(
    plugins: PluginManager, tmp_path: Path, images: Path, descriptions: Path, toy: Any
) -> None:
    made = experiment(plugins, tmp_path, data=str(images), descriptions=descriptions)
    tasks = made.tasks()
    texts = [sample.item for sample in tasks[1, 1].samples["train"]["text"]]
    assert texts[:4] == ["cat", "a fine cat", "my cat", "cow"] and len(texts) == 2 * len(toy.CLASSES) + 1
    made.home.move_in(tasks.values())
    context = made.cells.context("linear", tasks[1, 1], ("text",))
    for stream in (context.texts, context.train["text"]):
        assert stream is not None and stream.labels.bincount().tolist() == [3, 2, 2, 2, 2]
    known = context.semantics("descriptions")
    assert isinstance(known, xm.Stream) and known.labels.bincount().tolist() == [2, 1, 1, 1, 1]
    mean = class_means(context.names, 5)
    assert torch.allclose(mean[0], torch.nn.functional.normalize(context.names.x[EMBEDDING][:3].mean(dim=0), dim=0))


def test_digests_change_with_descriptions_alone(
    plugins: PluginManager, tmp_path: Path, images: Path, descriptions: Path, colours: Path
) -> None:
    def digest(**settings: Any) -> str:
        return experiment(plugins, tmp_path, data=str(images), **settings).tasks()[1, 1].digest

    assert digest() == digest(semantics={"colours": colours, "cupl": descriptions})
    assert digest() != digest(descriptions=descriptions)


def test_a_run_with_descriptions_says_so_and_needs_no_file_again(
    run: Run, plugins: PluginManager, images: Path, descriptions: Path
) -> None:
    report = run(data=str(images), aux=("text",), descriptions=descriptions, strategy="zero-shot")
    assert "Descriptions: 7 texts, of 5 of 5 classes and 1 other name." in report.notes
    descriptions.unlink()
    opened = xm.load(report.run, plugins=plugins, device="cpu", cache=images.parent / "cache")
    assert opened.evaluate().value == report.results[0].value


def test_a_dataset_may_be_described_of_itself(plugins: PluginManager, tmp_path: Path, images: Path) -> None:
    known = {"descriptions": Semantics(texts={"cat": ("it purrs",)})}
    plain = Dataset("farm", ("cat", "dog"), (), semantics=known)
    settings = TrainSettings(modality="image")
    assert with_semantics(plain, settings) == plain
    assert with_semantics(replace(plain, described=True), settings).sentences(0) == ("cat", "it purrs")


def test_data_that_bring_their_names_have_no_use_for_descriptions(descriptions: Path) -> None:
    data = Dataset("farm", ("cat", "dog"), (), names=(Sample("a cat", "text", 0),))
    with pytest.raises(UsageError, match=r"--descriptions: of no use, as farm brings its class names"):
        with_semantics(data, TrainSettings(modality="image", descriptions=descriptions))


class ByColour(Strategy):
    """Records what it is told of the classes."""

    def build(self, context: Context) -> torch.nn.Module:
        colours = context.semantics("colours")
        assert isinstance(colours, torch.Tensor)
        context.record["colours"] = colours.tolist()
        return LinearClassifier(context.towers, class_means(context.train["image"], len(colours)), trainable=False)


@pytest.fixture
def by_colour(plugins: PluginManager, toy: Any) -> None:
    toy.ByColour = ByColour
    plugins.strategies["by-colour"] = StrategySpec(name="by-colour", target="xm_toy:ByColour")


@pytest.mark.usefixtures("by_colour")
def test_a_strategy_reads_a_matrix(run: Run, images: Path, colours: Path) -> None:
    report = run(data=str(images), strategy="by-colour", semantics={"colours": colours}, baselines=False)
    assert report.results[0].record["colours"] == [[i, i * i] for i in range(5)]


@pytest.mark.usefixtures("by_colour")
def test_what_is_not_known_is_told_with_what_is(run: Run, images: Path, colours: Path) -> None:
    with pytest.raises(
        UsageError, match=r"unknown semantics 'colours': did you mean 'colour'\? .*--semantics colours="
    ):
        run(data=str(images), strategy="by-colour", semantics={"colour": colours}, baselines=False)
    with pytest.raises(UsageError, match=r"unknown semantics 'colours' \(known: none\)"):
        run(data=str(images), strategy="by-colour", baselines=False)


def test_triples_and_texts(plugins: PluginManager, tmp_path: Path, images: Path, toy: Any) -> None:
    path = tmp_path / "kinds.tsv"
    path.write_text("".join(f"{name}\tis a\tanimal\n" for name in toy.CLASSES), encoding="utf-8")
    made = experiment(plugins, tmp_path, data=str(images), semantics={"kinds": path})
    assert made.home.semantics("kinds") == tuple((name, "is a", "animal") for name in toy.CLASSES)
    made.home.dataset = replace(made.dataset, semantics={"other": Semantics(texts={"tench": ("a fish",)})})
    with pytest.raises(DataError, match="the semantics 'other' of images hold no text of a class"):
        made.home.semantics("other")


def test_descriptions_are_given_once(descriptions: Path) -> None:
    with pytest.raises(ValueError, match="are the same; give one of them"):
        TrainSettings(modality="image", descriptions=descriptions, semantics={"descriptions": descriptions})


@pytest.fixture
def spoken(images: Path) -> Path:
    """A table of the images by language: en, de, ru in turn; train, val and test of each."""
    lines = ["path,label,split,meta.language"]
    for path in sorted(images.glob("*/*.toy")):
        n = int(path.stem)
        lines.append(f"{path},{path.parent.name},{('train', 'val', 'test')[n // 4]},{('en', 'de', 'ru')[n % 3]}")
    table = images.parent / "spoken.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    return table


def test_each_value_of_test_has_a_row_of_the_same_model(run: Run, spoken: Path) -> None:
    where = ("train.language=en", "test.language=de,ru")
    report = run(data=str(spoken), aux=("text",), where=where, seeds=(1, 2), val_shots=1)
    assert [r.split for r in report.results[:3]] == ["test", "test:language=de", "test:language=ru"]
    assert len({r.model for r in report.results[:3]}) == 1
    for whole, german, russian in zip(*(report.results[i::3] for i in range(3)), strict=True):
        assert whole.n == german.n + russian.n and german.n
        assert whole.value == pytest.approx((german.value * german.n + russian.value * russian.n) / whole.n)
    assert {(c.shots, c.split) for c in report.comparisons} == {(1, s.split) for s in report.summary}
    assert any(note.startswith("Where train.language=en and test.language=de,ru: ") for note in report.notes)


def test_conditions_change_digests_and_what_is_scored_again(run: Run, plugins: PluginManager, spoken: Path) -> None:
    whole, german = run(data=str(spoken)), run(data=str(spoken), where=("test.language=de",))
    assert {r.split for r in german.results} == {"test"} and german.results[0].n < whole.results[0].n
    opened = xm.load(german.run, plugins=plugins, device="cpu", cache=spoken.parent / "cache")
    again = opened.evaluate()
    assert (again.value, again.n) == (german.results[0].value, german.results[0].n)
    tasks = [xm.load(report.run, plugins=plugins).index["tasks"] for report in (whole, german)]
    assert tasks[0] != tasks[1]


def test_a_class_of_which_nothing_is_left_is_told(run: Run, spoken: Path) -> None:
    text = spoken.read_text().replace("owl,train,en", "owl,train,de")
    spoken.write_text(text)
    with pytest.raises(DataError, match=r"class 'owl' has \d+ image items in test .* but none in train"):
        run(data=str(spoken), where=("train.language=en",))


def test_a_wrong_condition_is_told_before_anything_is_computed(run: Run, spoken: Path, toy: Any) -> None:
    toy.ENCODED.clear()
    for where, message in (("train.lang=en", "unknown metadata 'lang'"), ("dev.language=en", "unknown split 'dev'")):
        with pytest.raises(UsageError, match=message):
            run(data=str(spoken), where=(where,))
    assert not toy.ENCODED
