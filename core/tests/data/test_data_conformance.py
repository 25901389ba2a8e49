"""The readers of folders and tables run the kit."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from xm import DatasetSpec
from xm.data import Dataset, Opener
from xm.plugins.builtin import datasets
from xm.testing import DatasetConformance

SUFFIXES = {".png": "image", ".wav": "audio", ".txt": "text"}


class OfThreeModalities(DatasetConformance):
    """The suffixes are given, so that no encoder need be installed."""

    def open(self, spec: DatasetSpec, source: str, cache: Path) -> Dataset:
        opener: Opener = spec.load()
        return opener(source, suffixes=SUFFIXES, cache=cache)


class TestFolder(OfThreeModalities):
    @pytest.fixture
    def spec(self) -> DatasetSpec:
        return datasets()[0]

    @pytest.fixture(params=("plain", "modalities", "splits"))
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        root = tmp_path / "data"
        for label in ("ant", "bee"):
            for suffix, modality in SUFFIXES.items():
                for i in range(4):
                    parts = {
                        "plain": [label],
                        "modalities": [modality, label],
                        "splits": ["train" if i < 2 else "test", label],
                    }[request.param]
                    path = root.joinpath(*parts, f"{i}{suffix}")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(f"{label} {modality} {i}")
        return str(root)


class TestManifest(OfThreeModalities):
    @pytest.fixture
    def spec(self) -> DatasetSpec:
        return datasets()[1]

    @pytest.fixture(params=(True, False), ids=("splits", "no splits"))
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> str:
        """Pictures in groups, a sound that is paired with each, and a text a class."""
        table = tmp_path / "table.csv"
        rows = []
        for label in ("ant", "bee"):
            for i in range(8):
                split = ("train", "val", "test")[i // 3] if request.param else ""
                for suffix in (".png", ".wav"):
                    path = tmp_path / f"{label}-{i}{suffix}"
                    path.write_text(f"{label} {i} {suffix}")
                    rows.append([path.name, "", label, split, f"{label} {i // 2 if not split else i}", f"{label} {i}"])
            rows.append(["", f"the {label}", label, "train", "", ""])
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([["path", "text", "label", "split", "group", "pair"], *rows])
        return str(table)
