"""Tar shards as a dataset."""

from __future__ import annotations

import gzip
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import DataError, Dataset, DatasetSpec, ItemError, UsageError
from xm.data import Member, open_dataset
from xm.encoders import read_text
from xm.plugins import manager
from xm.testing import DatasetConformance
from xm_datasets.webdataset.dataset import open_shards
from xm_datasets.webdataset.shards import dataset_name

Open = Callable[..., Dataset]


class TestConformance(DatasetConformance):
    @pytest.fixture
    def spec(self) -> DatasetSpec:
        return manager().datasets.find("webdataset")

    @pytest.fixture
    def source(self, tmp_path: Path, toys: Any) -> str:
        files: dict[str, Any] = {}
        for number in range(10):
            for colour in toys.COLOURS:
                key = f"part/{colour}{number}"
                files[f"{key}.png"] = toys.png(colour, number)
                files[f"{key}.txt"] = f"{colour} {number}"
                files[f"{key}.json"] = {"label": colour}
        return str(toys.write_tar(tmp_path / "shards" / "colours.tar", files))


def test_a_sample_is_all_files_of_a_key(opened: Open, toys: Any) -> None:
    facts = {"label": "blue", "split": "valid", "group": 7, "tags": ["sky", " sea "], "url": "unused"}
    dataset = opened(
        {
            "a/1.png": toys.png("blue", 1),
            "a/1.json": facts,
            "2.seg.PNG": toys.png("red", 2),
            "a/1.wav": toys.wav(1),
            "2.json": {"class": "red", "tags": "warm; bright;"},
            "a/1.txt": "a blue thing",
            "3.png": toys.png("red", 3),
            "2.npy": b"1",
            "._3.png": b"litter",
        }
    )
    assert dataset.classes == ("blue", "red")
    found = [(str(s.item.name), s.modality, s.label, s.split, s.group, s.pair, s.tags) for s in dataset.samples]
    assert found == [
        ("a/1.png", "image", 0, "val", "7", "some/a/1", ("sky", "sea")),
        ("a/1.wav", "audio", 0, "val", "7", "some/a/1", ("sky", "sea")),
        ("a/1.txt", "text", 0, "val", "7", "some/a/1", ("sky", "sea")),
        ("2.seg.PNG", "image", 1, None, None, None, ("warm", "bright")),
        ("3.png", "image", None, None, None, None, ()),
    ]
    assert dataset.samples[2].item.read_bytes() == b"a blue thing"
    assert dataset.notes == ("Left out files of suffixes that no encoder reads: 1 of .npy.",)


def test_class_names(opened: Open, toys: Any) -> None:
    def classes(facts: list[dict[str, Any]], **beside: str) -> tuple[tuple[str, ...], list[int | None]]:
        files: dict[str, Any] = {}
        for number, known in enumerate(facts):
            files[f"{number}.png"] = toys.png("red", number)
            files |= {f"{number}.{suffix}": content for suffix, content in known.items()}
        dataset = opened(files, **beside)
        return dataset.classes, [sample.label for sample in dataset.samples]

    numbers = [{"cls": 3}, {"cls": "1\n"}, {"json": {"label": 3}}, {"cls": -1}, {}]
    assert classes(numbers) == (("class 1", "class 3"), [1, 0, 1, None, None])
    named = [*numbers, {"json": {"label": 3, "class": "dog"}}]
    assert classes(named) == (("class 1", "dog"), [1, 0, 1, None, None, 1])
    assert classes([*named, {"json": {"label": "dog"}}])[1][-1] == 1
    words = [{"json": {"label": "dog"}}, {"json": {"class": "cat"}}]
    assert classes(words) == (("cat", "dog"), [1, 0])
    assert classes(numbers, txt="ant\nbee\ncat\ndog\n") == (("bee", "dog"), [1, 0, 1, None, None])
    assert classes(words, json=json.dumps(["dog", "bee", "cat"])) == (("dog", "cat"), [0, 1])


def test_several_images_of_a_sample(opened: Open, toys: Any) -> None:
    """A mask is no image of the class, where there is an image; two views without a plain one are both."""
    names = ["1.jpg.png", "1.png", "1.seg.png", "2.left.png", "2.right.png", "2.txt"]
    dataset = opened({name: toys.png("red", 1) for name in names})
    assert [(s.item.name, s.pair) for s in dataset.samples] == [
        ("1.png", None),
        *((name, "some/2") for name in ("2.left.png", "2.right.png", "2.txt")),
    ]
    assert dataset.notes == (
        "Left out files beside a plainer one of the sample (1.seg.jpg beside 1.jpg): 1 of .jpg.png, 1 of .seg.png.",
    )


def test_dots_in_the_names_of_samples(opened: Open, toys: Any) -> None:
    dataset = opened({"track 2.0.png": toys.png("red", 1), "track 2.0.json": {"label": "red"}, "track 2.0.cls": 1})
    assert [(s.item.name, s.label) for s in dataset.samples] == [("track 2.0.png", None)]
    [note] = dataset.notes
    assert note.startswith("Left out files whose names hold a dot before the suffix, so say nothing of a sample")
    assert note.endswith("1 of .json, 1 of .cls.")


def test_captions(opened: Open, toys: Any) -> None:
    tables: dict[str, Any] = {
        "1": {"caption": "a räd rose", "key": "1", "label": "red"},
        "2": {"text": ["a sky", "", None, "a sea"], "label": "blue", "caption": None, "group": "g", "tags": ["sky"]},
        "3": {"caption": "not this one", "label": "red"},
        "4": {"captions": {"en": "no text"}, "text": " ", "label": "red"},
    }
    files: dict[str, Any] = {"3.txt": "this one", "5.json": {"caption": "of no image"}}
    for key, table in tables.items():
        files |= {f"{key}.png": toys.png("red", int(key)), f"{key}.json": table}
    for _ in range(2):  # the second time by the index that is kept
        samples = [s for s in opened(files).samples if s.modality == "text"]
        found = [(str(s.item.name), s.item.read_bytes().decode(), s.label, s.group, s.pair, s.tags) for s in samples]
        assert found == [
            ("3.txt", "this one", 1, None, "some/3", ()),
            ("1.json#caption", "a räd rose", 1, None, "some/1", ()),
            ("2.json#text[0]", "a sky", 0, "g", "some/2", ("sky",)),
            ("2.json#text[3]", "a sea", 0, "g", "some/2", ("sky",)),
        ]
    item = samples[1].item
    assert read_text(item) == "a räd rose" and item.stem == "1" and pickle.loads(pickle.dumps(item)) == item
    toys.write_tar(item.path, {"0.png": toys.png("red", 1), "1.json": {"label": 1}})
    with pytest.raises(ItemError, match=r"some\.tar/1\.json#caption: can't be read: "):
        read_text(item)


def test_captions_without_an_encoder_of_texts(opened: Open, toys: Any, tmp_path: Path) -> None:
    source = toys.write_tar(tmp_path / "some.tar", {"1.png": toys.png("red", 1), "1.json": {"caption": "a"}})
    dataset = open_shards(str(source), suffixes={".png": "image"}, cache=tmp_path)
    assert [(s.modality, s.pair) for s in dataset.samples] == [("image", None)]


def test_numbers_as_tables_with_gaps_write_them(opened: Open, toys: Any) -> None:
    gaps = {"label": 1.0, "class": float("nan"), "group": float("nan"), "tags": float("nan"), "split": None}
    files = {"1.png": toys.png("red", 1), "1.json": gaps, "1.cls": 1, "2.png": b"", "2.json": {"label": float("nan")}}
    assert [(s.label, s.group, s.tags) for s in opened(files).samples] == [(0, None, ()), (None, None, ())]
    with pytest.raises(DataError, match="'label' is a float; text or a whole number was expected"):
        opened({"1.png": b"", "1.json": {"label": 0.5}})


def test_folders_of_splits(opened: Open, toys: Any, tmp_path: Path) -> None:
    """The layout of CLIP benchmark: train/0.tar, test/0.tar, and classnames.txt beside the folders."""
    root = tmp_path / "wds_pets"
    for split in ("train", "test"):
        for shard in range(2):
            files = {"s0.png": toys.png("red", 0), "s0.cls": 0, "s1.png": toys.png("blue", 1), "s1.cls": 1}
            toys.write_tar(root / split / f"{shard}.tar", files)
    (root / "classnames.txt").write_text("a dog\na cat\n")
    for pattern in ("{train,test}/{0..1}.tar", "t*/*.tar", "**/*.tar"):
        dataset = opened(str(root / pattern))
        assert (dataset.name, dataset.classes) == ("wds_pets", ("a dog", "a cat"))
        assert {(s.split, s.item.path.parent.name) for s in dataset.samples} == {("train", "train"), ("test", "test")}
    assert {s.split for s in opened(str(root / "test" / "0.tar")).samples} == {"test"}
    (root / "test" / "classes.txt").write_text("a cat\na dog\n")
    with pytest.raises(DataError, match=r"wds_pets and .*test hold different lists of classes; give them one"):
        opened(str(root / "{train,test}" / "0.tar"))


def test_a_list_of_classes_in_a_shard(opened: Open, toys: Any) -> None:
    files = {"classes.txt": "cat\ndog\nelk\n", "1.png": toys.png("red", 1), "1.cls": 1, "2.png": b"", "2.cls": 0}
    dataset = opened(files, txt="other\nnames\n")
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.samples) == 2
    assert dataset.notes == ("Left out 1 of 3 classes: they have no sample here.",)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"1.cls": "dog"}, "1.cls: 'dog' is no class number; names go into a .json, as 'label'"),
        ({"1.cls": -2}, "1.cls: class number -2; they count from 0, and -1 is none"),
        ({"1.json": "{"}, "1.json: is not JSON (Expecting property name"),
        ({"1.json": ["dog"]}, "1.json: a JSON object was expected, not list"),
        ({"1.json": {"label": ["dog"]}}, "1.json: 'label' is a list; text or a whole number was expected"),
        ({"1.json": {"tags": [1]}}, "1.json: 'tags' is no list of words"),
        ({"1.cls": 1, "1.json": {"label": 2}}, "1.cls and 1.json: two class numbers, 1 and 2"),
        ({"1.json": {"label": "a", "class": "b"}}, "1.json: two class names, 'a' and 'b'"),
        ({f"{i}.cls": "x" for i in range(5)}, "; and 2 more"),
        ({"1.cls": 2, "classes.txt": "a\nb"}, "/1: class number 2, but the list has 2 classes, from 0"),
        ({"1.json": {"label": "c"}, "classes.txt": "a\nb"}, "/1: class 'c' is not in the list of 2 classes"),
        ({"1.cls": 1, "1.json": {"label": "a"}, "classes.txt": "a\nb"}, "class 1 is 'a' there, but 'b' in the list"),
        ({"classes.txt": "a\n\nb"}, "classes.txt: a line has no name"),
        (
            {"classes.txt": "a\nb\na"},
            "classes.txt: 'a' is there 2 times, for classes 0 and 2; give each a name of its own",
        ),
        ({"classes.json": {"a": 1}}, 'classes.json: a list of class names was expected, as ["cat", "dog"]'),
        ({"1.cls": 1, "2.json": {"label": "a"}}, "/2: class 'a' has no number, but others have numbers alone; put a"),
        ({"1.json": {"label": "a", "class": 1}, "2.json": {"label": "b", "class": 1}}, "class 1 is 'b' there, but 'a'"),
        ({"1.json": {"label": "a", "class": 1}, "2.json": {"label": "a", "class": 2}}, "has number 2 there, but 1"),
    ],
)
def test_facts_that_do_not_fit(files: dict[str, Any], said: str, opened: Open, toys: Any) -> None:
    pictures = {f"{number}.png": toys.png("red", number) for number in (1, 2)}
    with pytest.raises(DataError) as caught:
        opened({**pictures, **files})
    assert said in str(caught.value)
    assert "some.tar" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-000", "train"),
        ("imagenet_val", "val"),
        ("Validation.12", "val"),
        ("cifar10-test-7", "test"),
        ("latest", None),
        ("train-test", None),
        ("shards-000", None),
    ],
)
def test_split_by_the_name_of_the_shard(name: str, split: str | None, opened: Open, toys: Any) -> None:
    files = {"1.png": toys.png("red", 1), "2.png": toys.png("red", 2), "2.json": {"split": "pool"}}
    assert [sample.split for sample in opened(files, f"{name}.tar").samples] == [split, "pool"]


def test_patterns(shards: str, opened: Open, toys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    whole = opened(shards)
    assert whole.name == "data"
    assert len(whole.samples) == 48
    assert [sample.split for sample in whole.samples[::12]] == ["train", "train", "val", "test"]
    assert whole.classes == ("blue", "green", "red")
    by_name = opened(str(folder / "*.tar"))
    assert {str(s.item) for s in by_name.samples} == {str(s.item) for s in whole.samples}
    assert str(by_name.samples[0].item) == f"{folder}/test-0.tar/0036.png"
    monkeypatch.chdir(folder)
    train = opened("train-{0..1}.tar")
    assert train.name == "data" and len(train.samples) == 24
    assert train.samples[0].item.path == Path("train-0.tar")
    assert opened("val-0.tar").name == "val-0"
    assert len(opened("{train-?,train-0}.tar").samples) == 24, "a shard counts once"
    for name in ("a{0,1}.tar", "b[1].tar"):
        toys.write_tar(folder / name, {"1.png": toys.png("red", 1)})
        assert opened(name).samples[0].item.path == Path(name), "such a file goes before the pattern"


@pytest.mark.parametrize(
    ("stems", "name"),
    [
        (("animals-train", "animals-test"), "animals"),
        (("cifar10-train-000", "cifar10-train-001"), "cifar10-train"),
        (("part00", "part01"), "part"),
        (("train-0", "val-0"), "pets"),
        (("train-0", "train-1"), "pets"),
        (("000", "001"), "pets"),
        (("train-000",), "train-000"),
    ],
)
def test_names(stems: tuple[str, ...], name: str) -> None:
    assert dataset_name([Path("pets", f"{stem}.tar") for stem in stems]) == name


def test_the_same_name_in_two_folders(opened: Open, toys: Any, tmp_path: Path) -> None:
    for name in "ab":
        toys.write_tar(tmp_path / name / "0.tar", {"1.png": toys.png("red", 1), "1.txt": name})
    assert {s.pair for s in opened(str(tmp_path / "{a,b}" / "0.tar")).samples} == {"a/0/1", "b/0/1"}


def test_missing_shards(shards: str, opened: Open, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        opened(shards.replace("0..1", "0..3"))
    said = (
        f"{tmp_path}/data/train-2.tar: no such file; of the 6 shards of {shards.replace('0..1', '0..3')} 2 are missing"
    )
    assert str(caught.value) == said
    with pytest.raises(DataError, match=r"vel-\*.tar: no file has such a name$"):
        opened(str(tmp_path / "data" / "vel-*.tar"))
    with pytest.raises(DataError, match=r"vel-0.tar: no such file or folder; did you mean .*val-0.tar\?$"):
        opened(str(tmp_path / "data" / "vel-0.tar"))
    with pytest.raises(DataError, match="a brace is open; write it as"):
        opened(str(tmp_path / "data" / "{val-0.tar"))


def test_what_is_refused(shards: str, opened: Open, toys: Any, tmp_path: Path) -> None:
    packed = tmp_path / "data" / "packed.tar.gz"
    packed.write_bytes(gzip.compress((tmp_path / "data" / "val-0.tar").read_bytes()))
    for source in (packed, packed.with_name("p{a,b}.tar.gz")):
        with pytest.raises(DataError, match=r"is compressed; unpack it \(gunzip\), then give .*\.tar$"):
            opened(str(source))
    misnamed = packed.rename(packed.with_name("misnamed.tar"))
    with pytest.raises(DataError, match=r"misnamed.tar: is compressed, .* unpack it first \(gunzip\)$"):
        opened(str(misnamed))
    for source in ("pipe:cat train-{0..1}.tar", "https://example.org/train-{0..1}.tar", "s3://bucket/train-0.tar"):
        with pytest.raises(UsageError, match=r"data are read from disk; store the files first, then give their path$"):
            opened(source)
    with pytest.raises(DataError, match=r"no file of a known suffix in it \(known: .*\.png"):
        opened({"1.npy": b"1"})


def test_damaged_shards(shards: str, opened: Open, tmp_path: Path) -> None:
    good = (tmp_path / "data" / "val-0.tar").read_bytes()
    bad = tmp_path / "data" / "bad.tar"
    header = good.index(b"0026.png")
    damages = {
        "empty": (b"", "is no tar, or cut short"),
        "text": (b"hello " * 1000, "is no tar, or cut short"),
        "cut in a file": (good[: header + 600], "is no tar, or cut short"),
        "cut in a header": (good[: header + 100], f"is damaged at byte {header:,}"),
        "a header": (good[:header] + b"x" + good[header + 1 :], f"is damaged at byte {header:,}"),
    }
    for name, (content, said) in damages.items():
        bad.write_bytes(content)
        with pytest.raises(DataError) as caught:
            opened(str(bad))
        assert f"{bad}: {said}" in str(caught.value), name
    bad.write_bytes(good[: good.rindex(b"ustar")][:-257] + bytes(10))
    assert len(opened(str(bad)).samples) == 12, "a tar may end without empty blocks"


def test_the_index_is_kept(
    shards: str, opened: Open, toys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    import xm_datasets.webdataset.index as index

    read: list[Path] = []
    members = index.members
    monkeypatch.setattr(index, "members", lambda path: read.append(path) or members(path))
    first = opened(shards)
    assert len(read) == 4
    assert opened(shards) == first
    assert len(read) == 4, "read again"
    shard = tmp_path / "data" / "val-0.tar"
    os.utime(shard, ns=(1, 1))
    assert opened(shards) == first
    assert read[4:] == [shard]
    kept = sorted((tmp_path / "cache" / "webdataset").iterdir())
    assert len(kept) == 5 and all(path.suffix == ".json" for path in kept)
    for damage in ("", "[]", '{"items": {}}'):
        for path in kept:
            path.write_text(damage)
        assert opened(shards) == first
        assert "damaged, and made again" in caplog.text
        caplog.clear()
    blocked = tmp_path / "a file"
    blocked.touch()
    with caplog.at_level(logging.WARNING):
        assert open_dataset(shards, manager(), blocked) == first
    assert "can't be kept" in caplog.text


def test_items_are_members(shards: str, opened: Open) -> None:
    item = opened(shards).samples[0].item
    assert isinstance(item, Member)
    assert item.read_bytes().startswith(b"\x89PNG")
