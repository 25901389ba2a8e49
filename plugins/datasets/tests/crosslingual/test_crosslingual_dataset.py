from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from xm import DataError, DatasetSpec
from xm.data import open_dataset
from xm.experiment import BenchReport, BenchSettings
from xm.plugins import manager
from xm.testing import DatasetConformance
from xm_datasets.crosslingual import benchmarks, datasets
from xm_datasets.crosslingual.dataset import TOPICS, base

EACH = 6


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`EACH` emoji a topic in two languages, one of them as man and woman, and a flag."""
    monkeypatch.setenv("XM_DATA", str(tmp_path))
    for language in ("en", "de"):
        rows = [
            {"label": f"{language} {topic} {n}", "hexcode": f"1F{topic}0{n}", "group": topic, "order": n}
            for topic in TOPICS
            for n in range(EACH)
        ]
        rows += [{"label": f"{language} {who}", "hexcode": f"{who}-200D-2695-FE0F", "group": 1} for who in WHO]
        rows += [{"label": f"{language} flag", "hexcode": "1F3F4", "group": 9}, {"label": "A", "hexcode": "1F1E6"}]
        file = tmp_path / "emojibase-data" / language / "data.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(rows), encoding="utf-8")
    return tmp_path


WHO = ("1F468", "1F469", "1F9D1")


class TestEmojiNames(DatasetConformance):
    @pytest.fixture
    def spec(self, root: Path) -> DatasetSpec:
        return datasets()[0]


def test_what_is_in_it(root: Path, tmp_path: Path) -> None:
    found = open_dataset("emoji-names", manager(), tmp_path / "cache")
    assert len(found.classes) == 8 and len(found.samples) == 2 * (8 * EACH + 3)
    assert {sample.metadata["language"] for sample in found.samples} == {"de", "en"}
    assert len({sample.group for sample in found.samples}) == 8 * EACH + 1, "languages and persons are one group"
    assert not any("flag" in sample.item for sample in found.samples)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1F468-200D-2695-FE0F", "1F9D1-200D-2695"),
        ("1F481-200D-2640-FE0F", "1F481"),
        ("1F44B-1F3FD", "1F44B"),
        ("2708-FE0F", "2708"),
    ],
)
def test_variants_have_one_base(one: str, other: str) -> None:
    assert base(one) == base(other)


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    (root / "emojibase-data/de/data.json").write_text('[{"label": 3}]', encoding="utf-8")
    with pytest.raises(DataError, match=r"de/data.json: 0.label: .*; type: npm pack"):
        open_dataset("emoji-names", manager(), tmp_path / "cache")
    monkeypatch.setenv("XM_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match=r"elsewhere/emojibase-data: no such folder; type: npm pack"):
        open_dataset("emoji-names", manager(), tmp_path / "cache")
    monkeypatch.delenv("XM_DATA")
    with pytest.raises(DataError, match="as XM_DATA is not set; type: npm pack"):
        open_dataset("emoji-names", manager(), tmp_path / "cache")


def test_the_benchmark(root: Path) -> None:
    (spec,) = benchmarks()
    assert spec.settings["where"][0] == "train.language=en"
    assert spec.settings["data"] == datasets()[0].name


@pytest.mark.slow
def test_it_is_laid_out_by_language(root: Path, tmp_path: Path) -> None:
    if reason := manager().encoders.find("minilm").why_not():
        pytest.skip(reason)
    (spec,) = benchmarks()
    where = ("train.language=en", "test.language=en,de")
    spec = replace(spec, settings={**spec.settings, "where": where, "encoders": {"text": "minilm"}})
    given = BenchSettings(strategies=("nearest-centroid",), shots=(1, 2), seeds=(1, 2), out=tmp_path / "out")
    report = spec.make(BenchReport, spec, given, manager(), lambda event: None)
    (table,) = report.tables
    assert list(table.headers) == ["strategy", "tested in", "1", "2"]
    assert [row[:2] for row in table.rows] == [["nearest-centroid", part] for part in ("all", "en", "de")]
    assert all("±" in cell for row in table.rows for cell in row[2:])
