"""The dataset `digits` and the command that exports it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from xm import DataError, Dataset, Sample, UsageError
from xm.data import SPLITS
from xm.plugins import manager
from xm_digits import recordings
from xm_digits.command import export
from xm_digits.dataset import open_digits
from xm_digits.names import CLASSES, plain
from xm_digits.voices import VARIANTS

EVERY = ("pool", *SPLITS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits(cache: Path) -> Dataset:
    return open_digits("digits", suffixes={}, cache=cache)


def content(sample: Sample) -> bytes:
    if isinstance(sample.item, Path):
        return sample.item.read_bytes()
    return sample.item.encode() if isinstance(sample.item, str) else np.asarray(sample.item).tobytes()


def test_registered_as_the_default() -> None:
    spec = manager().datasets.find("digits")
    assert spec.default and spec.load() is open_digits
    code = "import sys, xm_digits; xm_digits.datasets(); xm_digits.encoders(); xm_digits.commands(); "
    code += "print([m for m in ('torch', 'numpy', 'pydantic', 'sklearn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_classes_and_counts(digits: Dataset) -> None:
    assert digits.classes == CLASSES
    count = Counter((s.modality, s.split, s.label) for s in digits.samples)
    for label in range(10):
        for modality in ("image", "audio", "text"):
            assert count[modality, "train", label] >= 16
            assert count[modality, "val", label] >= 4
            assert count[modality, "test", label] >= 10
        assert count["image", "pool", label] == count["audio", "pool", label] == 4
    assert sum(s.modality == "image" for s in digits.samples) == 1797
    assert dict(digits.encoders) == {"image": "pixels", "audio": "logmel", "text": "spoken"}
    assert [(s.item, s.label) for s in digits.auxiliary["text"]] == [(n, i) for i, n in enumerate(CLASSES)]


def test_splits_are_disjoint(digits: Dataset) -> None:
    seen: dict[tuple[str, bytes], set[str | None]] = defaultdict(set)
    for sample in digits.samples:
        seen[sample.modality, content(sample)].add(sample.split)
    assert all(len(splits) == 1 for splits in seen.values())
    groups: dict[str, set[str | None]] = defaultdict(set)
    for sample in digits.samples:
        if sample.group is not None:
            groups[sample.group].add(sample.split)
    assert len(groups) > 102
    assert all(len(splits) == 1 for splits in groups.values())
    voices = [v for split in EVERY for v in VARIANTS[split]]
    assert len(voices) == len(set(voices)) == 102
    texts = [plain(s.item) for s in digits.samples if s.modality == "text"]
    assert len(texts) == len(set(texts)) and not set(texts) & set(CLASSES)


def test_pairs_come_from_the_pool_alone(digits: Dataset) -> None:
    pairs: dict[str, list[Sample]] = defaultdict(list)
    for sample in digits.samples:
        assert (sample.pair is not None) == (sample.split == "pool")
        if sample.pair is not None:
            pairs[sample.pair].append(sample)
    assert len(pairs) == 40
    for one, other in pairs.values():
        assert {one.modality, other.modality} == {"image", "audio"} and one.label == other.label
    voices = Counter(s.group for both in pairs.values() for s in both if s.modality == "audio")
    assert len(voices) == 16 and max(voices.values()) <= 3
    notes = " ".join(digits.notes)
    assert "matched by class" in notes and "40 labels" in notes and "16 in pool" in notes


def test_opening_again_is_equal(digits: Dataset, cache: Path, tmp_path: Path) -> None:
    again = open_digits("digits", suffixes={}, cache=cache)
    fresh = open_digits("digits", suffixes={}, cache=tmp_path)
    for other in (again, fresh):
        assert other.notes == digits.notes
        for one, two in zip(digits.samples, other.samples, strict=True):
            assert (one.modality, one.label, one.split, one.group, one.pair) == (
                two.modality, two.label, two.split, two.group, two.pair,
            )  # fmt: skip
            assert content(one) == content(two)
    assert [p.name for p in tmp_path.iterdir()] == [f"digits-{recordings.key()}"]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "index", "file"])
def test_a_damaged_cache_is_made_anew(damage: str, tmp_path: Path) -> None:
    folder = recordings.recordings_folder(tmp_path)
    victim = folder / "test" / "seven" / f"{VARIANTS['test'][0]}.wav"
    good = victim.read_bytes()
    if damage == "flip":
        victim.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif damage == "cut":
        victim.write_bytes(good[:100])
    elif damage == "missing":
        victim.unlink()
    elif damage == "index":
        (folder / recordings.INDEX).write_text("{}")
    else:
        folder.rename(tmp_path / "away")
        folder.write_text("not a folder")
    assert not recordings.is_whole(folder)
    assert recordings.recordings_folder(tmp_path) == folder
    assert victim.read_bytes() == good and recordings.is_whole(folder)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "something temporary was left"


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recordings, "write_wav", fail)
    with pytest.raises(KeyboardInterrupt):
        recordings.recordings_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="can't write") as caught:
        open_digits("digits", suffixes={}, cache=tmp_path / "file" / "cache")
    assert "\n" not in str(caught.value)


def test_export(digits: Dataset, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(export)
    folder = tmp_path / "new" / "digits"
    done = CliRunner().invoke(app, [str(folder)])
    assert done.exit_code == 0, done.output
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    assert len(files) == sum(s.split in SPLITS for s in digits.samples)
    assert str(len(files)) in done.output
    assert {f.split("/")[0] for f in files} == set(SPLITS)
    assert {"train/image/seven/000.png", "val/audio/zero/000.wav", "test/text/nine/000.txt"} <= set(files)
    first = next(s for s in digits.samples if (s.modality, s.split, s.label) == ("image", "train", 7))
    with Image.open(folder / "train/image/seven/000.png") as image:
        assert np.abs(np.asarray(image) / 255 - first.item / 16).max() <= 0.5 / 255
    assert [p.name for p in folder.parent.iterdir()] == ["digits"], "something temporary was left"
    with pytest.raises(UsageError, match="not an empty folder"):
        export(folder)


def test_export_into_an_empty_folder(tmp_path: Path) -> None:
    export(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == set(SPLITS)
