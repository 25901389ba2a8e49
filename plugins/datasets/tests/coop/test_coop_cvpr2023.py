"""The paper's table on made-up datasets: rows, published figures, what is missing, and going on."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from xm import DataError, Encoder, EncoderSpec, PluginError, UsageError, bench, fingerprint_of, hookimpl
from xm.encoders import read_text
from xm.evaluation import Hits
from xm.experiment import BenchSettings
from xm.foundation import Event
from xm.plugins import PluginManager, manager
from xm.testing import installed
from xm_datasets.coop.cvpr2023.bench import cvpr2023
from xm_datasets.coop.cvpr2023.intervals import Interval, accuracy, mean
from xm_datasets.coop.cvpr2023.published import DATASETS, TABLE, gained, published
from xm_datasets.coop.cvpr2023.report import PaperReport, part

LAYOUT = {
    "caltech-101": ("caltech-101", "101_ObjectCategories", "split_zhou_Caltech101.json"),
    "dtd": ("dtd", "images", "split_zhou_DescribableTextures.json"),
}
CLASSES = ("ant", "bell", "clock")
SIZES = {"train": 4, "val": 3, "test": 6}
TEXT = ("text",)


class Toy(Encoder):
    """Reads files and texts such as "ant 7": the word's direction, with the number's noise."""

    space, dim = "toy", 16

    def __init__(self, argument: str = "") -> None:
        if argument == "gone":
            raise PluginError("toy weights are not on this machine: copy them, or name another encoder")

    def fingerprint(self) -> str:
        return fingerprint_of("cvpr-toy", self.modality)

    def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        texts = [read_text(item) for item in items]
        named = [next((name for name in CLASSES if name in text), "") for text in texts]
        noise = [direction(f"noise {text}") if text[-1].isdigit() else torch.zeros(self.dim) for text in texts]
        return {"features": torch.stack([direction(name) + 0.7 * n for name, n in zip(named, noise, strict=True)])}


class Image(Toy):
    modality = "image"


class Text(Toy):
    modality, accepts_names = "text", True


def direction(word: str) -> torch.Tensor:
    vector = torch.randn(Toy.dim, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))
    return vector / vector.norm()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    module = ModuleType("xm_cvpr_toy")
    module.__dict__.update({"Image": Image, "Text": Text})

    @hookimpl
    def encoders() -> list[EncoderSpec]:
        return [
            EncoderSpec(name="toy", target="xm_cvpr_toy:Image", modality="image", suffixes=(".jpg",), argument="any"),
            EncoderSpec(name="toy-text", target="xm_cvpr_toy:Text", modality="text", suffixes=(".txt",)),
        ]

    module.__dict__["encoders"] = encoders
    monkeypatch.setitem(sys.modules, "xm_cvpr_toy", module)
    found = PluginManager(installed=False)
    found.register(module, "toy")
    for name in ("coop", "linear", "zero-shot"):
        found.register(installed(name), name)
    return found


def lay_out(root: Path, name: str) -> Path:
    """A dataset of three classes with a published draw for 1 shot and seed 1; the folder."""
    folder, images, listing = LAYOUT[name]
    rows: dict[str, list[list[Any]]] = {split: [] for split in SIZES}
    for split, size in SIZES.items():
        for label, word in enumerate(CLASSES):
            for n in range(size):
                path = f"{word}/{split}_{n}.jpg"
                file = root / folder / images / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{word} {len(name)}{label}{len(split)}{n}", encoding="utf-8")
                rows[split].append([path, label, word])
    (root / folder / listing).write_text(json.dumps(rows), encoding="utf-8")
    draw = {split: [row for row in rows[split] if row[0].endswith("_1.jpg")] for split in ("train", "val")}
    (root / folder / "few_shot").mkdir()
    (root / folder / "few_shot/shot_1-seed_1.json").write_text(json.dumps(draw), encoding="utf-8")
    return root / folder


def run(plugins: PluginManager, out: Path, heard: list[Event] | None = None, **settings: Any) -> PaperReport:
    given: dict[str, Any] = {
        "encoders": {"image": "toy", "text": "toy-text"},
        "shots": (1, 2),
        "seeds": (1, 2),
        "device": "cpu",
        "out": out,
        "cache": out.parent / "cache",
    }
    listener = (lambda event: None) if heard is None else heard.append
    report = bench("cvpr2023", plugins=plugins, listener=listener, **(given | settings))
    assert isinstance(report, PaperReport)
    return report


def warnings(heard: list[Event]) -> list[str]:
    return [str(event.data["message"]) for event in heard if event.kind == "warning"]


def printed(report: PaperReport) -> str:
    return "\n".join(
        line for t in report.tables for line in (t.title, *(" | ".join(row) for row in (t.headers, *t.rows)), *t.below)
    )


def test_the_published_rows_are_those_of_the_slides() -> None:
    """The slides' second table gives the gains too, which tells slips of the pen."""
    assert len(DATASETS) == 11 and DATASETS[-1] == "imagenet"
    assert TABLE["linear", TEXT].means == {1: 64.1, 2: 67.0, 4: 70.3, 8: 73.0, 16: 76.0}
    for strategy, gains in {"linear": (27.4, 19.4, 13.1, 8.0, 4.9), "coop": (2.4, 2.6, 1.8, 1.5, 0.6)}.items():
        found = [gained((strategy, TEXT), k) for k in (1, 2, 4, 8, 16)]
        assert found == pytest.approx([gain / 100 for gain in gains])
    assert published(("zero-shot", TEXT), 0) == pytest.approx(0.588)
    assert published(("linear", TEXT), 3) is gained(("prograd", TEXT), 1) is None


def test_the_papers_encoders_are_the_default() -> None:
    spec = manager().benchmarks.find("cvpr2023")
    assert spec.settings["encoders"] == {"image": "openclip:RN50/openai", "text": "openclip-text:RN50/openai"}


def test_rows_means_and_published_figures(root: Path, plugins: PluginManager, tmp_path: Path) -> None:
    for name in LAYOUT:
        lay_out(root, name)
    report = run(plugins, tmp_path / "out")
    assert report.datasets == ("caltech-101", "dtd") and set(report.missing) == set(DATASETS) - set(LAYOUT)
    cells = {("linear", (), k) for k in (1, 2)} | {("linear", TEXT, k) for k in (1, 2)} | {("zero-shot", TEXT, 0)}
    by_part = {(s.strategy, s.aux, s.shots, s.split): s for s in report.summary}
    assert by_part.keys() == {(*cell, split) for cell in cells for split in ("test", *map(part, LAYOUT))}
    for cell in cells:
        of = [by_part[(*cell, part(name))].mean for name in LAYOUT]
        assert by_part[(*cell, "test")].mean == pytest.approx(sum(of) / 2) and by_part[(*cell, "test")].seeds == 2
    figures = {(f.strategy, f.aux, f.shots): f for f in report.means}
    assert figures.keys() == cells
    for cell, f in figures.items():
        assert f.value == pytest.approx(by_part[(*cell, "test")].mean) and f.low <= f.value <= f.high
        assert f.published == published(cell[:2], cell[2])
        assert f.published is not None and f.difference == pytest.approx(f.value - f.published)
    gains = {(f.aux, f.shots): f for f in report.gains}
    assert gains.keys() == {(TEXT, 1), (TEXT, 2)} and gains[TEXT, 1].published == pytest.approx(0.274)
    alone, both = figures["linear", (), 1], figures["linear", TEXT, 1]
    assert gains[TEXT, 1].value == pytest.approx(both.value - alone.value)
    assert json.loads(json.dumps(report.to_json(), default=str))["means"][0]["published"] is not None


def test_what_is_printed(root: Path, plugins: PluginManager, tmp_path: Path) -> None:
    for name in LAYOUT:
        lay_out(root, name)
    report = run(plugins, tmp_path / "out")
    text = printed(report)
    assert "accuracy in % on test, 2 of 11 datasets, mean ± standard deviation over seeds 1, 2" in text
    assert "published, mean of 11 | Cross-Modal Linear Probing | image + text | - | 64.1 | 67.0" in text
    assert "published, mean of 11 | Linear Probing | image | - | 36.7 | 47.6" in text
    assert "published, mean of 11 | image + text | +27.4 | +19.4" in text
    assert "labels, all datasets |  | train + val | 0 + 0 | 6 + 6 | 12 + 12" in text
    missing = [line for line in text.splitlines() if line.startswith("Not read, so in no figure here: ")]
    assert len(missing) == 1 and missing[0].count("(") == 9 and "oxford-pets (oxford_pets/)" in missing[0]
    assert "Draws that are not the published ones, as few_shot/ lacks some: caltech-101, dtd" in text
    assert "these over 2 of 11: data differ" in text
    assert "here: image toy, text toy-text. Accuracy is expected to differ where encoders do." in text


def test_all_datasets_one_seed_and_published_draws(
    root: Path, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(root, "dtd")
    for module in ("bench", "report"):
        monkeypatch.setattr(f"xm_datasets.coop.cvpr2023.{module}.DATASETS", ("dtd",))
    report = run(plugins, tmp_path / "out", shots=(1,), seeds=(1,))
    text = printed(report)
    assert "all 1 datasets, seed 1, by shots" in text and "over test items (one seed)" in text
    assert not report.missing and not report.drawn_here
    assert not any(said in text for said in ("Not read", "data differ", "Draws that"))


def test_the_papers_encoders_are_told_and_zero_shot_alone_has_no_gains(
    root: Path, plugins: PluginManager, tmp_path: Path
) -> None:
    lay_out(root, "dtd")
    encoders = {"image": "toy", "text": "toy-text"}
    spec = replace(plugins.benchmarks.find("cvpr2023"), settings={"encoders": encoders})
    given: dict[str, Any] = {"strategies": ("zero-shot",), "seeds": (1,), "device": "cpu", "cache": tmp_path / "cache"}
    for asked, paper in (({}, True), ({"image": "toy"}, True), ({"image": "toy:other", "text": "toy-text"}, False)):
        settings = BenchSettings(**given, encoders=asked, out=tmp_path / str(len(asked)))
        report = cvpr2023(spec, settings, plugins, lambda event: None)
        assert report.as_published is paper and not report.gains
        assert [bool(table.rows) for table in report.tables] == [True, True, False]
        assert ("The encoders are the paper's" in printed(report)) is paper


def test_it_goes_on_where_it_was(root: Path, plugins: PluginManager, tmp_path: Path) -> None:
    for name in LAYOUT:
        lay_out(root, name)
    out = tmp_path / "out"
    heard: list[Event] = []

    def stop(event: Event) -> None:
        heard.append(event)
        if event.data.get("message") == "dtd: dataset 2 of 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(
            "cvpr2023",
            plugins=plugins,
            listener=stop,
            encoders={"image": "toy", "text": "toy-text"},
            shots=(1, 2),
            seeds=(1, 2),
            device="cpu",
            out=out,
            cache=tmp_path / "cache",
        )
    assert sorted(path.name for path in out.iterdir()) == ["caltech-101"]
    made = {path: path.stat().st_mtime_ns for path in out.rglob("xm.json")}
    report = run(plugins, out)
    assert report.datasets == ("caltech-101", "dtd") and len(made) == 2
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert run(plugins, out).means == report.means


def test_a_folder_that_is_not_whole_is_told_and_the_rest_goes_on(
    root: Path, plugins: PluginManager, tmp_path: Path
) -> None:
    lay_out(root, "caltech-101")
    folder = lay_out(root, "dtd")
    (root / "eurosat").mkdir()
    (folder / "images/ant/test_0.jpg").unlink()
    heard: list[Event] = []
    report = run(plugins, tmp_path / "out", heard, shots=(1,), seeds=(1,))
    assert report.datasets == ("caltech-101",) and list(report.missing) == [n for n in DATASETS if n != "caltech-101"]
    said = "\n".join(warnings(heard))
    assert "eurosat is left out: " in said and "split_zhou_EuroSAT.json: no such file" in said
    assert "dtd is left out: " in said and "files of test are missing" in report.missing["dtd"]
    assert "oxford-pets" not in said, "what is not there at all is a line below the table"


def test_data_go_before_the_variable_which_stays(
    root: Path, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    lay_out(other, "dtd")
    report = run(plugins, tmp_path / "out", data=str(other), shots=(1,), seeds=(1,))
    assert report.datasets == ("dtd",) and os.environ["XM_DATA"] == str(root)
    monkeypatch.delenv("XM_DATA")
    assert run(plugins, tmp_path / "out", data=str(other), shots=(1,), seeds=(1,)).means == report.means
    assert "XM_DATA" not in os.environ


def test_what_is_missing_is_one_line(
    root: Path, plugins: PluginManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for error, match, given in (
        (DataError, rf"{root}: none of the eleven datasets is in it \(caltech-101/, oxford_pets/, …\)", {}),
        (UsageError, "--data caltech-101: no such folder; name the one that holds", {"data": "caltech-101"}),
    ):
        with pytest.raises(error, match=match) as caught:
            run(plugins, out, **given)
        assert "\n" not in str(caught.value)
    folder = lay_out(root, "dtd")
    with pytest.raises(PluginError, match="toy weights are not on this machine") as weights:
        run(plugins, out, encoders={"image": "toy:gone", "text": "toy-text"})
    assert "\n" not in str(weights.value)
    (folder / LAYOUT["dtd"][2]).unlink()
    with pytest.raises(DataError, match=r"split_zhou_DescribableTextures\.json: no such file; get dtd as"):
        run(plugins, out)
    monkeypatch.delenv("XM_DATA")
    with pytest.raises(UsageError, match=r"where are the datasets.*--data DIR, or export XM_DATA=DIR"):
        run(plugins, out)


def test_intervals() -> None:
    right = torch.arange(400).numpy() % 4 > 0
    found = accuracy([Hits(torch.arange(400).numpy(), right)])
    half = 1.96 * (0.75 * 0.25 / 400) ** 0.5
    assert found.value == 0.75 and found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert mean([found]) == pytest.approx(found)
    pair = mean([Interval(0.5, 0.47, 0.54), Interval(0.7, 0.66, 0.73)])
    assert pair == pytest.approx((0.6, 0.575, 0.625)), "0.03 and 0.04 below, 0.04 and 0.03 above: 0.05, of two"
