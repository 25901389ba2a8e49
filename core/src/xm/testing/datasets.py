"""Conformance of datasets, and of readers of data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm.data.content import content_key, identity, item_name
from xm.data.draws import Draws
from xm.data.splits import split_dataset
from xm.data.types import SPLITS, Dataset, Opener, Sample
from xm.foundation.errors import DataError, UsageError
from xm.plugins.plugin_manager import manager
from xm.plugins.specs import DatasetSpec
from xm.testing import _checks as checks


class DatasetConformance:
    """Subclass, and give a fixture ``spec``; of a reader, also a ``source``: the path of a small example.

    Every test opens the data anew. Override ``cache`` with a folder that tests share, if filling it takes long.
    """

    @pytest.fixture
    def spec(self) -> DatasetSpec:
        raise NotImplementedError("give a fixture `spec` that returns the DatasetSpec")

    @pytest.fixture
    def source(self, spec: DatasetSpec) -> str:
        if spec.opens:
            raise NotImplementedError("give a fixture `source` that returns the path of an example")
        return spec.name

    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        return tmp_path / "cache"

    @pytest.fixture
    def dataset(self, spec: DatasetSpec, source: str, cache: Path) -> Dataset:
        return self.open(spec, source, cache)

    def open(self, spec: DatasetSpec, source: str, cache: Path) -> Dataset:
        opener: Opener = spec.load()
        return opener(source, suffixes=manager().suffixes(), cache=cache)

    def test_registered_lazily(self, spec: DatasetSpec) -> None:
        checks.registers_lazily("datasets", spec.name)

    def test_says_what_it_is(self, dataset: Dataset) -> None:
        assert isinstance(dataset, Dataset)
        assert dataset.name and dataset.samples
        assert all("{}" in template for template in dataset.templates), "a template without {} for the class name"
        assert all(note.strip() and "\n" not in note for note in dataset.notes), "a note is one line"

    def test_classes(self, dataset: Dataset) -> None:
        assert len(dataset.classes) >= 2
        assert len(set(dataset.classes)) == len(dataset.classes), "two classes of one name"
        assert all(name and name == name.strip() for name in dataset.classes), "a class without a name"

    def test_samples(self, dataset: Dataset) -> None:
        """Every sample has a modality, a label that is a class, and an item that can be told by its content."""
        for sample in _all_samples(dataset):
            what = item_name(sample.item)
            assert sample.modality, f"{what} has no modality"
            assert sample.label is None or 0 <= sample.label < len(dataset.classes), f"{what}: label {sample.label}"
            assert not isinstance(sample.item, Path) or sample.item.is_file(), f"{what} is no file"
            assert content_key(sample.item)
        _metadata_is_words(dataset)
        for modality, samples in dataset.auxiliary.items():
            assert {sample.modality for sample in samples} <= {modality}
            assert all(sample.label is not None for sample in samples), f"auxiliary {modality} without labels"

    def test_semantics(self, dataset: Dataset) -> None:
        """What is known of classes is of these classes: texts that say something, a finite row each, triples."""
        classes = set(dataset.classes)
        for name, known in dataset.semantics.items():
            assert name and name == name.strip(), "semantics without a name"
            if known.texts is not None:
                assert classes & known.texts.keys(), f"{name}: texts of none of the classes"
                assert all(texts for texts in known.texts.values()), f"{name}: a class with no text; leave it out"
                said = [text for texts in known.texts.values() for text in texts]
                assert all(isinstance(text, str) and text.strip() for text in said), f"{name}: an empty text"
            elif known.matrix is not None:
                shape = known.matrix.shape
                assert len(shape) == 2 and shape[0] == len(dataset.classes), f"{name}: {shape}, not a row a class"
                assert shape[1] and bool(np.isfinite(known.matrix).all()), f"{name}: numbers that are not finite"
                assert len(known.attributes) in (0, shape[1]), f"{name}: not a name for each attribute"
            else:
                triples = known.triples or ()
                assert all(len(triple) == 3 and all(triple) for triple in triples), f"{name}: an empty part"
                assert classes & {first for first, _, _ in triples}, f"{name}: triples of none of the classes"
        assert not dataset.described or dataset.descriptions, "described, and there are no texts named descriptions"

    def test_deterministic(self, spec: DatasetSpec, source: str, dataset: Dataset, cache: Path, tmp_path: Path) -> None:
        """The same samples, by content and in order, again and with an empty cache."""
        for folder in (cache, tmp_path / "another-cache"):
            again = self.open(spec, source, folder)
            assert again.classes == dataset.classes
            assert _contents(again) == _contents(dataset), "opened twice, the data differ"

    def test_splits_are_disjoint(self, dataset: Dataset) -> None:
        """No item, group or pair is on two sides of the splits, given ones and drawn ones."""
        try:
            whole = split_dataset(dataset)
        except DataError as error:
            raise AssertionError(str(error)) from error
        seen: dict[Hashable, str] = {}
        for sample in whole.samples:
            assert sample.split, f"{item_name(sample.item)} has no split"
            if sample.split not in SPLITS:
                continue
            keys = [(sample.modality, _key(sample.item)), ("group", sample.group), ("pair", sample.pair)]
            for kind, key in keys:
                other = seen.setdefault((kind, key), sample.split) if key is not None else sample.split
                assert other == sample.split, f"{item_name(sample.item)}: its {kind} is in {other} and {sample.split}"

    def test_every_class_can_be_learned_and_scored(self, dataset: Dataset) -> None:
        found: dict[str, set[int | None]] = defaultdict(set)
        for sample in split_dataset(dataset).samples:
            found[f"{sample.modality} in {sample.split}"].add(sample.label)
        modalities = {sample.modality for sample in dataset.samples}
        labels = set(range(len(dataset.classes)))
        complete = [m for m in modalities if all(found[f"{m} in {split}"] >= labels for split in ("train", "test"))]
        assert complete, "no modality has every class in train and test"

    def test_pairs_join_modalities(self, dataset: Dataset) -> None:
        pairs: dict[str, set[str]] = defaultdict(set)
        for sample in dataset.samples:
            if sample.pair is not None:
                pairs[sample.pair].add(sample.modality)
        lonely = [pair for pair, modalities in pairs.items() if len(modalities) < 2]
        assert not lonely, f"pair {lonely[0]!r} joins nothing: all its items are of one modality"

    def test_tasks_can_be_drawn(self, dataset: Dataset) -> None:
        """With each modality that can be scored as the target, and all others as auxiliary ones."""
        draws = Draws(split_dataset(dataset))
        targets = [m for m in draws.modalities if draws.of("test", m)]
        assert targets, "no modality has labelled items in test"
        for target in targets:
            aux = [m for m in draws.modalities if m != target and (m in dataset.auxiliary or draws.of("train", m))]
            task = draws.task(target=target, aux=aux, shots=1, seed=1)
            train = task.samples["train"]
            assert {sample.label for sample in train[target]} == set(range(len(dataset.classes)))
            assert all(train[modality] for modality in aux)
            assert task.digest == Draws(split_dataset(dataset)).task(target=target, aux=aux, shots=1, seed=1).digest

    def test_missing_source(self, spec: DatasetSpec, tmp_path: Path) -> None:
        if not spec.opens:
            pytest.skip(f"{spec.name} is opened by its name")
        for kind in spec.opens:
            path = tmp_path / ("absent" if kind == "/" else f"absent{kind}")
            with pytest.raises((DataError, UsageError)) as caught:
                self.open(spec, str(path), tmp_path)
            assert str(path) in checks.one_line(caught.value), "the error does not name the path"

    def test_writes_to_the_cache_alone(
        self, spec: DatasetSpec, source: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any
    ) -> None:
        """Neither the source's folder nor the current one changes."""
        path = Path(source).absolute()
        here = tmp_path_factory.mktemp("here")
        before = _listing(path.parent) if spec.opens else []
        monkeypatch.chdir(here)
        self.open(spec, str(path) if spec.opens else source, tmp_path_factory.mktemp("cache"))
        assert not list(here.iterdir()), "opening wrote to the current folder"
        assert not spec.opens or _listing(path.parent) == before, "opening wrote beside the data"

    def test_works_offline(self, spec: DatasetSpec, source: str, tmp_path: Path, monkeypatch: Any) -> None:
        checks.refuse_connections(monkeypatch)
        self.open(spec, source, tmp_path / "new-cache")


def _all_samples(dataset: Dataset) -> Iterator[Sample]:
    yield from dataset.samples
    for samples in dataset.auxiliary.values():
        yield from samples
    for draw in dataset.draws.values():
        for samples in draw.values():
            yield from samples


def _contents(dataset: Dataset) -> list[tuple[object, ...]]:
    return [
        (content_key(s.item), s.modality, s.label, s.split, s.group, s.pair, s.source, sorted(s.metadata.items()))
        for s in _all_samples(dataset)
    ]


def _metadata_is_words(dataset: Dataset) -> None:
    for sample in _all_samples(dataset):
        words = [word for pair in sample.metadata.items() for word in pair]
        assert all(isinstance(word, str) and word for word in words), (
            f"{item_name(sample.item)}: metadata {sample.metadata}; a name and a value are words"
        )


def _key(item: Any) -> Hashable:
    """A file by its path, a text by itself, all else by content."""
    return identity(item) if isinstance(item, Path | str) else content_key(item)


def _listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file())
