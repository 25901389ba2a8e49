from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from xm.data import Dataset, Draws, group_by, split_dataset
from xm.data.folder import open_folder
from xm.foundation.errors import DataError

SUFFIXES = {".jpg": "image", ".png": "image", ".wav": "audio", ".ogg": "audio", ".txt": "text"}


def fill(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def read(root: Path | str, suffixes: dict[str, str] = SUFFIXES) -> Dataset:
    return open_folder(str(root), suffixes=suffixes, cache=Path("unused"))


def listed(data: Dataset, root: Path) -> list[tuple[str, str, str, str | None]]:
    found = []
    for s in data.samples:
        assert s.label is not None
        found.append((s.item.relative_to(root).as_posix(), s.modality, data.classes[s.label], s.split))
    return found


def test_classes(tmp_path: Path) -> None:
    fill(tmp_path, "yin_yang/b.JPG", "yin_yang/a.png", "001 - Dog bark/x.wav", "001 - Dog bark/x.txt")
    data = read(tmp_path)
    assert data.name == tmp_path.name
    assert data.classes == ("dog bark", "yin yang")
    assert listed(data, tmp_path) == [
        ("001 - Dog bark/x.txt", "text", "dog bark", None),
        ("001 - Dog bark/x.wav", "audio", "dog bark", None),
        ("yin_yang/a.png", "image", "yin yang", None),
        ("yin_yang/b.JPG", "image", "yin yang", None),
    ]
    assert {s.pair for s in data.samples} == {None} and data.notes == ()
    assert all(isinstance(s.item, Path) for s in data.samples)


def test_modalities_share_classes(tmp_path: Path) -> None:
    fill(tmp_path, "image/dog_bark/1.jpg", "image/rain/1.jpg", "Audio/001 - Dog bark/1.wav", "Audio/Rain/1.wav")
    data = read(tmp_path)
    assert data.classes == ("dog bark", "rain")
    assert [(s.modality, s.label) for s in data.samples] == [
        ("audio", 0),
        ("audio", 1),
        ("image", 0),
        ("image", 1),
    ]


def test_a_modality_folder_keeps_other_modalities_out(tmp_path: Path) -> None:
    data = read(fill(tmp_path, "audio/dog/1.wav", "audio/dog/cover.jpg", "audio/cat/1.wav"))
    assert {s.modality for s in data.samples} == {"audio"}
    assert "1 file" in data.notes[0] and "cover.jpg" in data.notes[0]


@pytest.mark.parametrize("word", ["val", "valid", "Validation"])
def test_splits(tmp_path: Path, word: str) -> None:
    fill(tmp_path, "train/dog/1.jpg", f"{word}/dog/2.jpg", "test/dog/3.jpg", "test/cat/4.jpg")
    assert sorted(x[2:] for x in listed(read(tmp_path), tmp_path)) == [
        ("cat", "test"),
        ("dog", "test"),
        ("dog", "train"),
        ("dog", "val"),
    ]


def test_splits_with_modalities(tmp_path: Path) -> None:
    fill(tmp_path, "train/image/dog/1.jpg", "train/audio/dog/1.wav", "test/image/dog/2.jpg")
    assert [x[1:] for x in listed(read(tmp_path), tmp_path)] == [
        ("image", "dog", "test"),
        ("audio", "dog", "train"),
        ("image", "dog", "train"),
    ]


def test_without_train_split_words_are_classes_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(fill(tmp_path, "val/dog/1.jpg", "test/dog/1.jpg"))
    assert data.classes == ("test", "val")
    assert str(tmp_path) in caplog.text and "taken for classes" in caplog.text


def test_one_class_called_train_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = read(fill(tmp_path, "train/1.jpg", "bus/1.jpg", "plane/1.jpg"))
    assert data.classes == ("bus", "plane", "train") and not caplog.records


@pytest.mark.parametrize(
    "words", ["training validation testing", "Train dev test", "train eval test", "train val eval"]
)
def test_other_words_for_splits(tmp_path: Path, words: str) -> None:
    names = words.split()
    data = read(fill(tmp_path, *(f"{word}/{label}/1.jpg" for word in names for label in ("cat", "dog"))))
    assert data.classes == ("cat", "dog")
    assert {s.item.parts[-3]: s.split for s in data.samples} == dict(zip(names, ("train", "val", "test"), strict=True))


def test_a_folder_beside_splits_that_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg", "docs/readme.xyz", "unlabelled/any/1.jpg", "unlabelled/2.wav")
    data = read(tmp_path)
    assert data.classes == ("cat",)
    assert [(s.label, s.split, s.modality) for s in data.samples[-2:]] == [
        (None, "unlabelled", "audio"),
        (None, "unlabelled", "image"),
    ]
    assert caplog.messages == [f"{tmp_path / 'docs'}: no file of a known suffix in it; the folder is left out"]
    fill(tmp_path, "holdout/cat/1.jpg")
    with pytest.raises(DataError, match=r"holdout: 'holdout' is no word for a split, and stands beside test and train"):
        read(tmp_path)


def test_words_in_names_of_splits_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(fill(tmp_path / "a", "train_images/cat/1.jpg", "test_images/cat/1.jpg"))
    assert "test_images, train_images taken for classes" in caplog.text
    caplog.clear()
    read(fill(tmp_path / "b", "train station/1.jpg", "airport/1.jpg"))
    assert not caplog.messages


def test_left_out(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "README.txt",
        "dog/a.jpg",
        "dog/a.xyz",
        "dog/.hidden.jpg",
        ".git/x.jpg",
        "__MACOSX/dog/a.jpg",
    )
    fill(tmp_path, "cat/deep/er/b.jpg", "cat/no_suffix")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    data = read(tmp_path)
    assert [x[0] for x in listed(data, tmp_path)] == ["cat/deep/er/b.jpg", "dog/a.jpg"]
    assert data.notes == (
        f"Left out 4 files of {tmp_path.name}: in no class folder, or of a suffix that no encoder reads "
        "there (README.txt, gone.jpg, no_suffix, …).",
    )


def test_longest_suffix_counts(tmp_path: Path) -> None:
    data = read(fill(tmp_path, "a/x.nii.gz", "b/y.gz"), {".gz": "archive", ".nii.gz": "volume"})
    assert [s.modality for s in data.samples] == ["volume", "archive"]


def test_links(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "dog/1.jpg", "cat/1.jpg")
    fill(tmp_path / "far", "2.jpg")
    (root / "dog" / "loop").symlink_to(root / "dog")
    (root / "dog" / "self").symlink_to("self")
    (root / "cat" / "more").symlink_to(tmp_path / "far")
    assert [x[0] for x in listed(read(root), root)] == ["cat/1.jpg", "cat/more/2.jpg", "dog/1.jpg"]


def test_empty_class_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(tmp_path, "dog/1.jpg", "cat/1.jpg", "cow/notes.xyz")
    (tmp_path / "emu").mkdir()
    with caplog.at_level(logging.WARNING, "xm.data"):
        assert read(tmp_path).classes == ("cat", "dog")
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / name}: no file of a known suffix in it; the folder is left out" for name in ("cow", "emu")
    ]


def test_missing_folder_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError) as caught:
        read(tmp_path / "fotos")
    assert str(caught.value) == f"{tmp_path}/fotos: no such folder; did you mean {tmp_path}/photos?"
    with pytest.raises(DataError, match=f"fotos is missing.; did you mean {tmp_path}/photos"):
        read(tmp_path / "fotos" / "train")


def test_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class folders in it"):
        read(fill(tmp_path / "flat", "a.jpg"))
    with pytest.raises(DataError, match=r"no file of a known suffix .*\.jpg, \.ogg, \.png, \.txt, \.wav"):
        read(fill(tmp_path / "odd", "a/1.xyz"))
    with pytest.raises(DataError, match="no encoder is installed"):
        read(tmp_path / "odd", {})
    with pytest.raises(DataError, match="is a file"):
        read(tmp_path / "odd" / "a" / "1.xyz")


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a/1.jpg", "b/1.jpg")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything, so that chmod would not do
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'a'}: can't be read: Permission denied"


def real(*parts: str) -> Path:
    if "XM_DATA" not in os.environ:
        pytest.skip("XM_DATA is not set: the real data are not looked at")
    return Path(os.environ["XM_DATA"], *parts)


def test_caltech_101() -> None:
    root = real("caltech-101", "101_ObjectCategories")
    data = read(root)
    assert len(data.classes) == 100 and len(data.samples) == 6837
    assert "yin yang" in data.classes and {s.modality for s in data.samples} == {"image"}
    split = split_dataset(data)
    draws = Draws(split)
    tasks = [
        draws.task(target="image", aux=["text"], names={"text"}, shots=k, seed=s)
        for k in (1, 2, 4, 8, 16)
        for s in (1, 2, 3)
    ]
    assert len({t.digest for t in tasks}) == 15
    assert len(tasks[0].samples["train"]["image"]) == len(tasks[0].samples["train"]["text"]) == 100


def test_esc_10_folds() -> None:
    data = group_by(read(real("esc-10")), r"(\d)-[^/]*$")
    assert len(data.classes) == 10 and data.classes[0] == "dog bark" and len(data.samples) == 400
    trained: list[str] = []
    for seed in range(5):
        split = split_dataset(data, fractions=(0.2, 0, 0.8), seed=seed)
        folds = {word: {s.group for s in split.samples if s.split == word} for word in ("train", "test")}
        assert len(folds["train"]) == 1 and len(folds["test"]) == 4 and not folds["train"] & folds["test"]
        trained += map(str, folds["train"])
        task = Draws(split).task(target="audio", shots=4, seed=seed)
        assert len(task.samples["train"]["audio"]) == len(task.samples["val"]["audio"]) == 40
        assert len(task.samples["test"]["audio"]) == 320
    assert sorted(trained) == ["1", "2", "3", "4", "5"]
