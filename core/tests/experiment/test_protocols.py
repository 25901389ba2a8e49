"""Protocols of benchmarks: base to new, cross-dataset, domains."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm import BenchmarkSpec, DataError, UsageError
from xm.evaluation.report import Result
from xm.experiment.base_to_new import COLUMNS, BaseToNewReport, _harmonic
from xm.experiment.bench_report import BenchReport
from xm.experiment.benchmark import bench
from xm.experiment.figures import harmonic
from xm.foundation.events import Event
from xm.plugins.plugin_manager import PluginManager
from xm.testing import installed

Bench = Callable[..., BenchReport]


@pytest.fixture
def measure(plugins: PluginManager, table: Path, events: list[Event], tmp_path: Path) -> Bench:
    """The benchmark "toy": images, with text, against `linear`; with `tip-adapter` beside `linear` and `zero-shot`."""
    plugins.register(installed("tip-adapter"), "tip-adapter")
    plugins.benchmarks["toy"] = BenchmarkSpec(
        name="toy", target="xm.experiment:few_shot", modality="image", aux=("text",), reference="linear"
    )

    def call(protocol: str, **settings: Any) -> BenchReport:
        given = {"data": str(table), "shots": (2,), "seeds": (1,), "device": "cpu", "out": tmp_path / protocol}
        given |= {"cache": tmp_path / "cache", "strategies": ("linear", "tip-adapter"), **settings}
        return bench("toy", protocol=protocol, listener=events.append, plugins=plugins, **given)

    return call


def cells(report: BenchReport, table: int = 0) -> dict[tuple[str, ...], dict[str, str]]:
    """Of a table, what stands in each row: by strategy and what it learned from, by header."""
    headers, rows = report.tables[table].headers, report.tables[table].rows
    return {tuple(row[:2]): dict(zip(headers[2:], row[2:], strict=True)) for row in rows}


def test_base_to_new_is_the_papers_table_and_the_generalised_one(measure: Bench) -> None:
    report = measure("base-to-new", seeds=(1, 2))
    assert isinstance(report, BaseToNewReport) and report.settings["unseen"] == "half"
    found = cells(report)
    assert list(found["linear", "image + text"]) == [
        *("base", "new", "H", "base of all", "new of all", "H of all", "seconds")
    ]
    assert [found["linear", "image"][name] for name in ("new", "H", "new of all", "H of all")] == ["-"] * 4
    assert "±" in found["linear", "image"]["base"]
    assert ("zero-shot", "image + text") in found, "it runs beside"
    said = report.tables[0].below
    assert said[0].startswith("2 classes are new: no image of them is in train or val, and chance among them is 50.0.")
    assert said[1] == (
        "linear on image can't take new classes: it read neither a name nor a sample of them, so that new and H are "
        "left out."
    )
    assert len(said) == 2, "tip-adapter on image reads names"
    means = {(s.strategy, s.aux, s.split): s.mean for s in report.summary}
    of_h = [c for c in report.comparisons if c.split == "test:harmonic"]
    assert {(c.strategy, c.aux, c.against, c.against_aux) for c in of_h} == {
        ("linear", ("text",), "zero-shot", ("text",)),
        ("tip-adapter", (), "zero-shot", ("text",)),
        ("tip-adapter", ("text",), "zero-shot", ("text",)),
        ("tip-adapter", (), "linear", ("text",)),
        ("tip-adapter", ("text",), "linear", ("text",)),
    }
    for c in report.comparisons:
        wanted = means[c.strategy, c.aux, c.split] - means[c.against, c.against_aux, c.split]
        assert c.difference == pytest.approx(wanted) and c.low <= c.difference <= c.high
    assert [t.title.partition(",")[0] for t in report.tables[1:]] == [
        "Against zero-shot on image + text",
        "Against linear on image + text",
    ]


def test_base_to_new_takes_other_unseen_classes_and_several_shots(measure: Bench, tmp_path: Path) -> None:
    file = tmp_path / "unseen.txt"
    file.write_text("cow\n", encoding="utf-8")
    report = measure("base-to-new", strategies=("linear",), unseen=str(file), shots=(1, 2))
    headers = report.tables[0].headers
    assert list(headers) == [
        "strategy",
        "learned from",
        "shots",
        *(f"{c} of all" for c in ("base", "new", "H")),
        "seconds",
    ]
    assert {(row[0], row[2]) for row in report.tables[0].rows} == {("linear", "1"), ("linear", "2"), ("zero-shot", "0")}


def test_what_was_made_is_read_again_with_the_same_tables(measure: Bench) -> None:
    one, again = (measure("base-to-new", strategies=("linear",)) for _ in range(2))
    assert one.results == again.results and one.comparisons == again.comparisons and one.tables == again.tables


def test_the_harmonic_mean_of_columns_is_that_of_results() -> None:
    pairs = np.array([[0.5, 0.0, 1.0], [0.25, 0.0, 0.0]])
    assert _harmonic(pairs).tolist() == pytest.approx([harmonic(a, b) for a, b in pairs.T])
    assert [len(c.parts) for c in COLUMNS] == [1, 1, 2] * 2


@pytest.fixture
def others(toy: Any, tmp_path: Path) -> list[str]:
    """Two folders of classes that the table does not have, one of them beside one that it has."""
    birds, pets = tmp_path / "birds", tmp_path / "pets"
    toy.write_folder(birds, each=6, classes=("crow", "kite", "ibis"))
    toy.write_folder(pets, each=5, classes=("cat", "newt"))
    return [str(birds), str(pets)]


def test_cross_dataset_scores_models_on_classes_that_they_take_in(measure: Bench, others: list[str]) -> None:
    report = measure("cross-dataset", test=others)
    assert report.left_out == {"linear": "its fitted models take in no new classes"}
    found = cells(report)
    assert list(found) == [
        ("tip-adapter", "image"),
        ("tip-adapter", "image + text"),
        ("zero-shot", "image + text"),
    ]
    assert list(found["zero-shot", "image + text"]) == ["toy", "birds", "pets", "mean of the others", "seconds"]
    by_split: dict[str, Result] = {r.split: r for r in report.results if r.strategy == "zero-shot"}
    assert [by_split[f"test:{name}"].n for name in ("dataset=birds", "dataset=pets", "mean")] == [18, 10, 28]
    assert by_split["test:mean"].value == pytest.approx(
        (by_split["test:dataset=birds"].value + by_split["test:dataset=pets"].value) / 2
    )
    assert by_split["test:dataset=birds"].value > 0.6, "chance is a third"
    assert {c.split for c in report.comparisons} == {"test", "test:dataset=birds", "test:dataset=pets", "test:mean"}
    assert {(c.strategy, c.against) for c in report.comparisons} == {("tip-adapter", "zero-shot")}


def test_cross_dataset_says_what_it_lacks(measure: Bench, others: list[str], toy: Any, tmp_path: Path) -> None:
    sounds = toy.write_folder(tmp_path / "sounds", classes=("cat", "dog"), suffix=".snd")
    for given, error, said in (
        ({}, UsageError, "name the datasets to score on: --test A,B"),
        ({"test": [str(sounds)]}, DataError, f"--test {sounds}: holds no labelled image to score"),
        ({"test": others[:1] * 2}, UsageError, "birds: "),
        ({"test": others, "strategies": ("linear",)}, None, ""),
    ):
        if error is None:
            assert {r.strategy for r in measure("cross-dataset", **given).results} == {"zero-shot"}
            continue
        with pytest.raises(error, match=re.escape(said)):
            measure("cross-dataset", **given)


@pytest.fixture
def lit(table: Path) -> Path:
    """The table, each row by day, by night or at dusk."""
    header, *lines = table.read_text().splitlines()
    told = [f"{line},{('day', 'night', 'dusk')[i % 3]}" for i, line in enumerate(lines)]
    path = table.with_name("lit.csv")
    path.write_text("\n".join([f"{header},meta.light", *told]) + "\n")
    return path


def test_domains_are_columns(measure: Bench, lit: Path) -> None:
    where = ("train.light=day", "test.light=night,dusk")
    report = measure("domains", data=str(lit), where=where, strategies=("linear",), shots=(1,))
    found = cells(report)
    assert list(found["linear", "image"]) == ["light=night", "light=dusk", "mean", "seconds"]
    assert ", where train.light=day: accuracy in %" in report.tables[0].title
    values = {r.split: r.value for r in report.results if (r.strategy, r.aux) == ("linear", ())}
    assert values["test:mean"] == pytest.approx((values["test:light=night"] + values["test:light=dusk"]) / 2)
    assert {(c.against, c.against_aux) for c in report.comparisons} == {("linear", ()), ("zero-shot", ("text",))}
    assert {c.split for c in report.comparisons} == {"test:light=night", "test:light=dusk", "test:mean"}
    with pytest.raises(UsageError, match="name the domains that are scored by the samples' metadata, two at least"):
        measure("domains", data=str(lit), where=where[:1])


def test_a_benchmark_with_a_protocol_of_its_own_takes_no_other(measure: Bench, plugins: PluginManager) -> None:
    plugins.benchmarks["own"] = BenchmarkSpec(name="own", target="xm.experiment:domains", modality="image")
    with pytest.raises(UsageError, match="benchmark 'own' has a protocol of its own: take --protocol away, or name"):
        bench("own", protocol="base-to-new", plugins=plugins)
    for protocol in ("base-to-new", "domains"):
        with pytest.raises(UsageError, match="--test names other data"):
            measure(protocol, test=("x",))
