"""Templates: sentences, and sets of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xm.data.types import Dataset, Sample
from xm.evaluation.report import Report
from xm.experiment.settings import TrainSettings, with_templates
from xm.foundation.errors import UsageError
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import DatasetSpec

Run = Callable[..., Report]
SETS = {"vanilla": ("a photo of a {}.",), "animals": ("a {} in a field.", "a {} at night.")}


def dataset(**more: Any) -> Dataset:
    given = {"templates": ("its own {}.",), "template_sets": SETS, **more}
    return Dataset("farm", ("cat", "dog"), (), **given)


@pytest.mark.parametrize(
    ("given", "templates"),
    [
        ((), ("its own {}.",)),
        (("vanilla",), ("a photo of a {}.",)),
        (("animals",), ("a {} in a field.", "a {} at night.")),
        (("classname",), ("{}",)),
        (("a drawing of a {}",), ("a drawing of a {}",)),
        (("animals", "my {}", "classname"), ("a {} in a field.", "a {} at night.", "my {}", "{}")),
        (("vanilla", "a photo of a {}.", "vanilla"), ("a photo of a {}.",)),
    ],
)
def test_sentences_and_names(given: tuple[str, ...], templates: tuple[str, ...]) -> None:
    before = dataset()
    found = with_templates(before, given)
    assert found.templates == templates
    assert (found.classes, found.template_sets) == (before.classes, before.template_sets)
    assert before.templates == ("its own {}.",)


def test_the_bare_name_may_be_the_datasets_own_set() -> None:
    named = dataset(template_sets={"classname": ("the {}",)})
    assert with_templates(named, ("classname",)).templates == ("the {}",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("vanila",), "unknown template 'vanila': did you mean 'vanilla'? (known: animals, classname, vanilla)"),
        (("vanilla", "zzz"), "unknown template 'zzz' (known: animals, classname, vanilla)"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_templates(dataset(), given)
    assert str(caught.value) == said


def test_a_dataset_without_sets_knows_the_bare_name_alone() -> None:
    with pytest.raises(UsageError, match=r"unknown template 'vanilla' \(known: classname\)"):
        with_templates(dataset(template_sets={}), ("vanilla",))


def test_settings_take_names_and_refuse_other_sentences_without_a_place() -> None:
    assert TrainSettings(modality="image", templates=("vanilla", "a {}")).templates == ("vanilla", "a {}")
    with pytest.raises(ValueError, match=r"template 'a photo' needs one \{\}"):
        TrainSettings(modality="image", templates=("a photo",))


@pytest.fixture
def farm(toy: Any, plugins: PluginManager, images: Path) -> Callable[..., list[str]]:
    """The dataset `farm`; what it returns is heard by `said`: every text that the encoder was given."""
    said: list[str] = []
    made: dict[str, Any] = {"template_sets": SETS}

    def open_farm(source: str, **_: Any) -> Dataset:
        samples = [
            Sample(path, "image", label, "test" if int(path.stem) > 6 else "train" if int(path.stem) < 4 else "val")
            for label, name in enumerate(toy.CLASSES)
            for path in sorted((images / name).iterdir())
        ]
        return Dataset("farm", toy.CLASSES, tuple(samples), **made)

    class Hearing(toy.ToyText):  # type: ignore[misc, name-defined]
        def trunk(self, items: Any) -> Any:
            said.extend(map(str, items))
            sentences = [next(word for word in str(item).rstrip(".").split() if word in toy.CLASSES) for item in items]
            return super().trunk(sentences)

    toy.open_farm, toy.Hearing = open_farm, Hearing
    plugins.datasets["farm"] = DatasetSpec(name="farm", target="xm_toy:open_farm")
    plugins.encoders["toy-text"] = replace(plugins.encoders["toy-text"], target="xm_toy:Hearing")

    def heard(**changes: Any) -> list[str]:
        made.update(changes)
        return said

    return heard


def test_a_run_reads_the_names_in_the_chosen_templates(run: Run, farm: Callable[..., list[str]], toy: Any) -> None:
    said = farm()
    report = run(data="farm", aux=("text",), templates=("animals", "my {}"))
    sentences = ("a {} in a field.", "a {} at night.", "my {}")
    assert sorted(said) == sorted(sentence.format(name) for sentence in sentences for name in toy.CLASSES)
    assert {r.strategy for r in report.results} == {"linear", "zero-shot"}


def test_an_unknown_name_is_told_before_anything_is_computed(
    run: Run, farm: Callable[..., list[str]], toy: Any, tmp_path: Path
) -> None:
    said = farm()
    toy.ENCODED.clear()
    with pytest.raises(UsageError, match="unknown template 'animal': did you mean 'animals'"):
        run(data="farm", aux=("text",), templates=("animal",))
    assert not said and not toy.ENCODED and not (tmp_path / "runs").exists()


def test_names_that_the_data_bring_are_used_as_they_are(run: Run, farm: Callable[..., list[str]], toy: Any) -> None:
    said = farm(names=tuple(Sample(f"one {name}", "text", label) for label, name in enumerate(toy.CLASSES)))
    run(data="farm", aux=("text",))
    assert sorted(said) == [f"one {name}" for name in toy.CLASSES]


def test_data_that_bring_their_class_names_take_no_templates() -> None:
    names = (Sample("a cat", "text", 0), Sample("a dog", "text", 1))
    with pytest.raises(UsageError, match="farm brings its class names; take --template away"):
        with_templates(dataset(names=names), ("vanilla",))
    assert with_templates(dataset(names=names), ()).names == names


def test_a_name_may_have_a_dash() -> None:
    given = TrainSettings.model_validate({"modality": "image", "templates": ["hand-made"]}).templates
    assert with_templates(dataset(template_sets={"hand-made": ("one {}",)}), given).templates == ("one {}",)
