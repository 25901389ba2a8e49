"""A broken dataset does not get through the kit."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm import DataError, Dataset, DatasetSpec, Sample
from xm.data import Semantics
from xm.testing import DatasetConformance

COUNTER = itertools.count()

SEMANTICS = {
    "descriptions": Semantics(texts={"ant": ("it crawls", "it is small"), "wasp": ("it stings",)}),
    "colours": Semantics(matrix=np.eye(2), attributes=("black", "yellow")),
    "kinds": Semantics(triples=(("ant", "is a", "insect"), ("insect", "is a", "animal"))),
}


def picture(number: int) -> Any:
    return np.full((2, 2), number)


def sound(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Two classes of six pictures, split, and a text for each; nothing is wrong with it."""
    samples = []
    for i in range(12):
        split = ("train", "val", "test")[i // 4]
        where = {"country": "north" if i % 3 else "south"}
        samples.append(Sample(picture(i), "image", i % 2, split, f"group {i}", f"pair {i}", metadata=where))
        samples.append(Sample(f"text {i}", "text", i % 2, split, f"group {i}", f"pair {i}"))
    return Dataset("sound", ("ant", "bee"), tuple(samples), semantics=SEMANTICS, described=True)


def changed(index: int, **changes: Any) -> Callable[..., Dataset]:
    """The sound dataset with one sample that differs."""

    def opener(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
        data = sound(source, suffixes=suffixes, cache=cache)
        samples = list(data.samples)
        samples[index] = replace(samples[index], **changes)
        return replace(data, samples=tuple(samples))

    return opener


def altered(**changes: Any) -> Callable[..., Dataset]:
    """The sound dataset with other attributes."""

    def opener(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
        return replace(sound(source, suffixes=suffixes, cache=cache), **changes)

    return opener


overlapping_pictures = changed(-2, item=picture(0))
overlapping_texts = changed(-1, item="text 0")
split_group = changed(-2, group="group 0", pair=None)
split_pair = changed(-2, group=None, pair="pair 0")
lonely_pair = changed(0, pair="another pair")
wrong_label = changed(0, label=2)
missing_file = changed(0, item=Path("missing.png"))
twice = altered(classes=("ant", "ant"))
untrained = altered(classes=("ant", "bee", "cat"))
templates = altered(templates=("a photo",))
numbers = changed(0, metadata={"camera": 3})
unnamed = changed(0, metadata={"": "north"})
few_rows = altered(semantics={"colours": Semantics(matrix=np.ones((3, 2)))})
infinite = altered(semantics={"colours": Semantics(matrix=np.array([[1.0, 2.0], [np.inf, 0.0]]))})
misnamed = altered(semantics={"colours": Semantics(matrix=np.ones((2, 2)), attributes=("red",))})
silent = altered(semantics={"descriptions": Semantics(texts={"ant": ("it crawls", " ")})})
strange = altered(semantics={"descriptions": Semantics(texts={"Ant": ("it crawls",)})})
unrelated = altered(semantics={"kinds": Semantics(triples=(("cat", "is a", "pet"),))})
undescribed = altered(semantics={})


def restless(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    return changed(0, item=picture(100 + next(COUNTER)))(source, suffixes=suffixes, cache=cache)


def connected(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    with socket.socket() as one:
        one.connect(("127.0.0.1", 9))
    return sound(source, suffixes=suffixes, cache=cache)


def littering(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    Path("made-here.txt").write_text("litter")
    return sound(source, suffixes=suffixes, cache=cache)


def wordy(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    raise DataError("there is nothing\nhere")


def crashing(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    return sound(Path(source).read_text(), suffixes=suffixes, cache=cache)


SUITE = DatasetConformance()


def spec(name: str, opens: tuple[str, ...] = ()) -> DatasetSpec:
    return DatasetSpec(name=name, target=f"{__name__}:{name}", opens=opens)


def opened(name: str, tmp_path: Path) -> Dataset:
    return SUITE.open(spec(name), name, tmp_path)


LOOKS: list[tuple[str, Callable[[Dataset], None]]] = [
    ("overlapping_pictures", SUITE.test_splits_are_disjoint),
    ("overlapping_texts", SUITE.test_splits_are_disjoint),
    ("split_group", SUITE.test_splits_are_disjoint),
    ("split_pair", SUITE.test_splits_are_disjoint),
    ("lonely_pair", SUITE.test_pairs_join_modalities),
    ("wrong_label", SUITE.test_samples),
    ("missing_file", SUITE.test_samples),
    ("twice", SUITE.test_classes),
    ("untrained", SUITE.test_every_class_can_be_learned_and_scored),
    ("templates", SUITE.test_says_what_it_is),
    ("numbers", SUITE.test_samples),
    ("unnamed", SUITE.test_samples),
    ("few_rows", SUITE.test_semantics),
    ("infinite", SUITE.test_semantics),
    ("misnamed", SUITE.test_semantics),
    ("silent", SUITE.test_semantics),
    ("strange", SUITE.test_semantics),
    ("unrelated", SUITE.test_semantics),
    ("undescribed", SUITE.test_semantics),
]


@pytest.mark.parametrize(("name", "look"), LOOKS)
def test_it_is_caught(name: str, look: Callable[[Dataset], None], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        look(opened(name, tmp_path))


@pytest.mark.parametrize("look", [*(look for _, look in LOOKS), SUITE.test_tasks_can_be_drawn])
def test_a_sound_one_is_not(look: Callable[[Dataset], None], tmp_path: Path) -> None:
    look(opened("sound", tmp_path))


def test_other_data_each_time_are_caught(tmp_path: Path) -> None:
    SUITE.test_deterministic(spec("sound"), "sound", opened("sound", tmp_path), tmp_path, tmp_path)
    with pytest.raises(AssertionError, match="opened twice, the data differ"):
        SUITE.test_deterministic(spec("restless"), "restless", opened("restless", tmp_path), tmp_path, tmp_path)


def test_a_connection_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="a network connection was opened"):
        SUITE.test_works_offline(spec("connected"), "connected", tmp_path, monkeypatch)


def test_litter_is_caught(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="wrote to the current folder"):
        SUITE.test_writes_to_the_cache_alone(spec("littering"), "littering", tmp_path_factory, monkeypatch)


@pytest.mark.parametrize("name", ("wordy", "crashing"))
def test_a_bad_error_is_caught(name: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, FileNotFoundError)):
        SUITE.test_missing_source(spec(name, opens=(".csv",)), tmp_path)
