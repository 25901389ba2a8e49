"""Conditions on metadata."""

from __future__ import annotations

import pytest

from xm.data.types import Dataset, Sample
from xm.data.where import LEFT_OUT, Condition, parts, restricted
from xm.foundation.errors import UsageError

LANGUAGES = {"train": ("en", "de", "en"), "val": ("en", "de"), "test": ("en", "de", "ru", None)}


def sample(split: str, language: str | None, modality: str = "text") -> Sample:
    metadata = {} if language is None else {"language": language, "domain": f"{language[0]}-news"}
    return Sample(f"{split} {language} {modality}", modality, 0, split, metadata=metadata)


def dataset() -> Dataset:
    samples = [sample(split, language) for split, languages in LANGUAGES.items() for language in languages]
    samples += [sample("train", "ru", "image"), sample("test", "ru", "image")]
    return Dataset("d", ("a", "b"), tuple(samples), draws={(1, 1): {"train": (samples[0],)}})


def kept(*texts: str) -> tuple[Dataset, list[str]]:
    found = restricted(dataset(), "text", [Condition.parse(text) for text in texts])
    return found, [str(s.item) for s in found.samples if s.split != LEFT_OUT and s.modality == "text"]


def test_conditions_on_train_cover_val_and_the_target_alone() -> None:
    found, items = kept("train.language=de")
    assert items == ["train de text", "val de text", "test en text", "test de text", "test ru text", "test None text"]
    assert [s.split for s in found.samples if s.modality == "image"] == ["train", "test"]
    assert [s.item for s in found.samples] == [s.item for s in dataset().samples], "they stay in their places"
    assert not found.draws
    assert found.notes == (
        "Where train.language=de: 1 of 3 items of train, 1 of 2 items of val. Published draws are not used.",
    )


def test_several_conditions_are_all_to_hold_and_one_of_several_values() -> None:
    found, items = kept("test.language=de,ru", "test.domain=r-news,e-news", "train.language=en")
    assert items == ["train en text", "train en text", "val en text", "test ru text"]
    assert found.notes[-1].startswith(
        "Where test.language=de,ru and test.domain=r-news,e-news and train.language=en: 1 of 4"
    )


def test_without_conditions_nothing_changes() -> None:
    given = dataset()
    assert restricted(given, "text", ()) is given
    assert restricted(given, "text", [Condition.parse("test.language=de")]).draws == given.draws


def test_parts_are_the_values_of_test() -> None:
    found = parts(
        [Condition.parse(text) for text in ("train.language=en,de", "test.domain=d-news", "test.language=de,ru")]
    )
    assert list(found) == ["test:language=de", "test:language=ru"]
    assert [name for name, within in found.items() if within(sample("test", "ru"))] == ["test:language=ru"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("language=en", "expected SPLIT.NAME=VALUE, as in train.language=en or test.language=de,ru"),
        ("train.language", "expected SPLIT.NAME=VALUE"),
        ("train.language=,", "expected SPLIT.NAME=VALUE"),
        ("tset.language=en", "unknown split 'tset': did you mean 'test'? (known: test, train); train covers val"),
        ("train.lang=en", "unknown metadata 'lang': did you mean 'language'? (known: domain, language)"),
        ("train.language=ru", "unknown language in train 'ru' (known: de, en)"),
        ("test.language=de,rus", "unknown language in test 'rus': did you mean 'ru'? (known: de, en, ru)"),
    ],
)
def test_what_is_not_there_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        kept(text)
    assert str(caught.value).startswith(f"--where {text}: {message}")


def test_metadata_makes_no_difference_to_equality() -> None:
    assert sample("test", "ru") == Sample("test ru text", "text", 0, "test")
    assert hash(sample("test", "ru")) == hash(Sample("test ru text", "text", 0, "test"))
