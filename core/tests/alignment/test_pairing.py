"""Which items belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from xm.alignment.pairing import (
    Paired,
    by_label_or_tag,
    by_line,
    by_stem,
    describe,
    labelled_in_pairs,
    open_pairs,
    paired,
    readable,
    rule,
)
from xm.data.types import Dataset, Sample
from xm.foundation.errors import DataError, UsageError

SUFFIXES = {".toy": "image", ".snd": "audio", ".txt": "text"}


def sample(item: str, modality: str, pair: str | None, label: int | None = 0) -> Sample:
    return Sample(item, modality, label, "pool", None, pair)


def words(pairs: Paired) -> list[tuple[str, str]]:
    return [(str(one.item), str(other.item)) for one, other in zip(pairs.left, pairs.right, strict=True)]


def two_sided(n: int, m: int, classes: int = 1) -> Dataset:
    sides = (("image", n), ("audio", m))
    samples = [
        Sample(f"{kind[0]}{k}-{i}", kind, k) for kind, size in sides for k in range(classes) for i in range(size)
    ]
    return Dataset("d", tuple(f"class {k}" for k in range(classes)), tuple(samples))


def test_pairs_as_the_data_say() -> None:
    a, b = sample("a", "image", "1"), sample("b", "audio", "1", None)
    c, d = sample("c", "audio", "1"), sample("d", "image", "2", None)
    e, f = sample("e", "audio", "2"), sample("f", "image", "lonely")
    data = Dataset("d", ("x",), (a, b, c, d, e, f))
    pairs = paired(data, "image", "audio")
    assert words(pairs) == [("a", "b"), ("a", "c"), ("d", "e")]
    assert pairs.keys == ("1", "1", "2")
    assert pairs.group is not None and pairs.group.tolist() == [0, 0, 1], "b and c belong to a crosswise"
    assert words(paired(data, "audio", "image")) == [("b", "a"), ("c", "a"), ("e", "d")]
    assert labelled_in_pairs(data, "image") == [a] and labelled_in_pairs(data, "audio") == [c, e]
    assert paired(Dataset("d", ("x",), (a, d, b, e)), "image", "audio").group is None, "each pair stands for itself"
    assert len(paired(Dataset("d", ("x",), (a, e)), "image", "audio")) == 0
    assert describe(pairs) == "3 pairs of 2 and 3 items"


def test_pairs_by_file_name() -> None:
    names = ("a/one.toy", "b/one.snd", "a/two.toy", "b/three.snd")
    data = Dataset("d", (), (*(Sample(Path(n), SUFFIXES[n[-4:]]) for n in names), Sample("one", "audio")))
    assert words(paired(data, "image", "audio", by_stem)) == [("a/one.toy", "b/one.snd")]
    classes = [Sample(Path(f"{k}/0.toy"), "image", k) for k in range(2)] + [Sample(Path("1/0.snd"), "audio", 1)]
    data = Dataset("d", ("cat", "dog"), tuple(classes))
    assert words(paired(data, "image", "audio", by_stem)) == [("1/0.toy", "1/0.snd")], "files of other classes paired"


def test_weak_pairs_share_a_label_or_a_tag() -> None:
    def tagged(item: str, modality: str, label: int | None, *tags: str) -> Sample:
        return Sample(item, modality, label, tags=tags)

    samples = (
        tagged("a", "image", 0),
        tagged("b", "image", None, "sea"),
        tagged("c", "image", 1, "sea", "cat"),
        tagged("x", "audio", 0),
        tagged("y", "audio", None, "sea"),
        tagged("z", "audio", None, "nothing"),
    )
    pairs = paired(Dataset("d", ("dog", "cat"), samples), "image", "audio", by_label_or_tag)
    assert words(pairs) == [("a", "x"), ("b", "y"), ("c", "y")]
    assert pairs.keys == ("dog", "sea", "sea")


@pytest.mark.parametrize(("n", "m"), [(3, 8), (8, 3), (5, 5), (1, 4)])
@pytest.mark.parametrize("partners", [1, 2, 9])
def test_partners_are_drawn_evenly(n: int, m: int, partners: int) -> None:
    pairs = paired(two_sided(n, m), "image", "audio", by_label_or_tag, partners, seed=3)
    assert len(set(words(pairs))) == len(pairs) == min(n * m, partners * max(n, m) if partners < min(n, m) else n * m)
    for side, other in ((pairs.left, pairs.right), (pairs.right, pairs.left)):
        counts = [sum(s is mine for s in side) for mine in {id(s): s for s in side}.values()]
        assert max(counts) - min(counts) <= partners, "some items serve much more often than others"
        assert len({id(s) for s in other}) == (m if other is pairs.right else n), "an item is left out"
    again = paired(two_sided(n, m), "image", "audio", by_label_or_tag, partners, seed=3)
    assert words(again) == words(pairs)


def test_held_out_pairs_share_no_item_with_the_others() -> None:
    weak = paired(two_sided(10, 7, classes=3), "image", "audio", by_label_or_tag, 4)
    one_to_one = paired(
        Dataset("d", (), tuple(Sample(f"{m}{i}", m, pair=str(i)) for m in ("image", "audio") for i in range(20))),
        "image",
        "audio",
    )
    chained = Paired(
        tuple(shared := [Sample(str(i), "image") for i in range(6)])[:4] + tuple(shared[:2]),
        tuple(Sample(f"s{i}", "audio") for i in range(6)),
        tuple("abcdef"),
    )
    for pairs in (weak, one_to_one, chained):
        kept, held = pairs.split(0.3, seed=1)
        assert len(kept) and len(held)
        assert not {id(s) for s in (*kept.left, *kept.right)} & {id(s) for s in (*held.left, *held.right)}
    kept, held = weak.split(0.3, seed=1)
    assert set(kept.keys) == set(held.keys) == {"class 0", "class 1", "class 2"}
    kept, held = one_to_one.split(0.3, seed=1)
    assert (len(kept), len(held)) == (14, 6)
    assert one_to_one.split(0, seed=1) == (one_to_one, Paired())
    assert [words(p) for p in one_to_one.split(0.3, seed=1)] == [words(kept), words(held)]
    assert words(one_to_one.split(0.3, seed=2)[1]) != words(held)


def test_unreadable_pairs_are_dropped() -> None:
    pairs = paired(two_sided(2, 2), "image", "audio", by_label_or_tag)
    assert words(readable(pairs, {1: ValueError()})) == [words(pairs)[i] for i in (0, 2, 3)]
    with pytest.raises(DataError, match="no pair can be read: gone"):
        readable(pairs, dict.fromkeys(range(4), ValueError("gone")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.toy", "b.toy", "c.snd", "d.snd"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_a_table_of_two_columns(folder: Path) -> None:
    table = folder / "pairs.csv"
    table.write_text("image,audio\na.toy,c.snd\n\nb.toy, d.snd\na.toy,d.snd\n")
    data = open_pairs(table, SUFFIXES, lambda modality: False)
    pairs = paired(data, "audio", "image", by_line)
    assert sorted(words(pairs)) == [(str(folder / f"{a}.snd"), str(folder / f"{b}.toy")) for a, b in ("ca", "da", "db")]
    assert len({id(s) for s in (*pairs.left, *pairs.right)}) == 4, "a file is one sample, however often it stands there"
    assert pairs.group is None
    assert torch.tensor(pairs.components()).unique().numel() == 1, "all are linked by files in common"
    tabs = folder / "pairs.tsv"
    tabs.write_text("text\timage\na cow, far away\ta.toy\n")
    pairs = paired(open_pairs(tabs, SUFFIXES, lambda modality: modality == "text"), "text", "image", by_line)
    assert words(pairs) == [("a cow, far away", str(folder / "a.toy"))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: expected two modalities, such as image,audio"),
        ("image,smell\na,b", r"line 1: .*known: audio, image, text"),
        ("image,image\na.toy,b.toy", "line 1: expected two modalities"),
        ("image,audio\n", "has no pairs"),
        (
            "image,audio\na.toy\nb.toy,d.snd,c.snd",
            "line 2: expected two cells, not 1; line 3: expected two cells, not 3",
        ),
        ("image,audio\nz.toy,c.snd", r"line 2: .*z.toy: no such file"),
        ("image,audio\n" + "z.toy,c.snd\n" * 5, r"line 4: .*; and 2 more"),
    ],
)
def test_a_wrong_table_is_one_line(folder: Path, text: str, said: str) -> None:
    table = folder / "pairs.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        open_pairs(table, SUFFIXES, lambda modality: False)
    assert str(caught.value).startswith(str(table)) and "\n" not in str(caught.value)


def test_other_errors(folder: Path) -> None:
    with pytest.raises(DataError, match=r"did you mean .*a\.toy"):
        open_pairs(folder / "aa.toy", SUFFIXES, lambda modality: False)
    (folder / "latin.csv").write_bytes(b"image,audio\n\xe9.toy,c.snd\n")
    with pytest.raises(DataError, match="is not UTF-8"):
        open_pairs(folder / "latin.csv", SUFFIXES, lambda modality: False)
    with pytest.raises(UsageError, match="--pairs week: no such file, and none of own, stems, weak"):
        rule("week")
