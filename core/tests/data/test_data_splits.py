from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from xm.data import DEFAULT_FRACTIONS, Dataset, Sample, group_by, split_dataset
from xm.foundation.errors import DataError, UsageError


def dataset(samples: Sequence[Sample], classes: int = 3) -> Dataset:
    return Dataset("d", tuple(f"c{k}" for k in range(classes)), tuple(samples))


def items(n: int, label: int | None = 0, modality: str = "image", **more: str) -> list[Sample]:
    return [Sample(Path(f"{modality}/{label}/{more.get('group')}/{i}"), modality, label, **more) for i in range(n)]


def folds(n: int, each: int = 2, classes: int = 3, modality: str = "audio") -> list[Sample]:
    return [s for g in range(n) for c in range(classes) for s in items(each, c, modality, group=f"g{g}")]


def groups(data: Dataset, split: str) -> set[str | None]:
    return {s.group for s in data.samples if s.split == split}


def test_by_class_and_fractions() -> None:
    data = split_dataset(dataset([*items(100, 0), *items(20, 1), *items(10, 1, "audio")]))
    counts = Counter((s.modality, s.label, s.split) for s in data.samples)
    assert counts == {
        ("image", 0, "train"): 50,
        ("image", 0, "val"): 20,
        ("image", 0, "test"): 30,
        ("image", 1, "train"): 10,
        ("image", 1, "val"): 4,
        ("image", 1, "test"): 6,
        ("audio", 1, "train"): 5,
        ("audio", 1, "val"): 2,
        ("audio", 1, "test"): 3,
    }
    assert data.notes == ("Splits were drawn by class: train 50%, val 20%, test 30%.",)


@pytest.mark.parametrize(
    ("n", "fractions", "expected"),
    [
        (1, DEFAULT_FRACTIONS, {"train": 1}),
        (2, DEFAULT_FRACTIONS, {"train": 1, "test": 1}),
        (3, DEFAULT_FRACTIONS, {"train": 1, "val": 1, "test": 1}),
        (2, (0.4, 0.4, 0.2), {"train": 1, "test": 1}),
        (2, (0.1, 0, 0.9), {"train": 1, "test": 1}),
        (2, (0.9, 0, 0.1), {"train": 1, "test": 1}),
        (100, (0.29, 0.01, 0.7), {"train": 29, "val": 1, "test": 70}),
    ],
)
def test_small_classes(n: int, fractions: tuple[float, ...], expected: dict[str, int]) -> None:
    assert Counter(s.split for s in split_dataset(dataset(items(n)), fractions=fractions).samples) == expected


def test_seed_and_class_alone_decide() -> None:
    def train(data: Dataset, seed: int) -> set[object]:
        return {s.item for s in split_dataset(data, seed=seed).samples if s.split == "train" and s.label == 0}

    some, more = dataset(items(50)), dataset([*items(9, 2), *items(50), *items(7, 0, "audio")])
    assert train(some, 0) == {i for i in train(more, 0) if "image" in str(i)}
    assert train(some, 0) != train(some, 1)
    assert train(some, 0) == train(some, 0)


def test_given_splits_are_kept() -> None:
    given_ = [*items(3, 0, split="pool"), *items(4, 1, split="test"), *items(10, 2)]
    data = split_dataset(dataset(given_))
    assert [s.split for s in data.samples[:7]] == ["pool"] * 3 + ["test"] * 4
    assert {s.split for s in data.samples[7:]} == {"train", "val", "test"}
    done = dataset([*items(2, 0, split="train"), *items(2, 1, split="test")])
    assert split_dataset(done) is done


def test_five_folds_take_turns() -> None:
    data = dataset(folds(5))
    trained: list[str] = []
    for seed in range(5):
        split = split_dataset(data, fractions=(0.2, 0, 0.8), seed=seed)
        assert len(groups(split, "train")) == 1 and len(groups(split, "test")) == 4
        assert not groups(split, "train") & groups(split, "test")
        trained += map(str, groups(split, "train"))
    assert sorted(trained) == ["g0", "g1", "g2", "g3", "g4"]
    assert split.notes == ("Splits were drawn by whole groups: train 20%, val 0%, test 80%.",)


def test_trains_of_one_round_are_disjoint_and_rounds_differ() -> None:
    data = dataset(folds(12, each=1))
    trains = [groups(split_dataset(data, fractions=(0.25, 0.25, 0.5), seed=k), "train") for k in range(8)]
    assert all(len(train) == 3 for train in trains)
    assert set().union(*trains[:4]) == set().union(*trains[4:]) == {f"g{k}" for k in range(12)}
    assert trains[:4] != trains[4:]


def test_every_split_with_a_fraction_gets_a_group() -> None:
    split = split_dataset(dataset(folds(3)), fractions=(0.9, 0.05, 0.05))
    assert [len(groups(split, name)) for name in ("train", "val", "test")] == [1, 1, 1]


def test_too_few_groups() -> None:
    with pytest.raises(DataError, match=r"2 groups \('g0', 'g1'\) can't fill 3 splits") as caught:
        split_dataset(dataset(folds(2)))
    assert "\n" not in str(caught.value)
    assert len(groups(split_dataset(dataset(folds(2)), fractions=(0.5, 0, 0.5)), "test")) == 1


def test_a_group_spans_modalities() -> None:
    data = split_dataset(dataset([*folds(5, modality="audio"), *folds(5, modality="image")]), seed=3)
    by_group = defaultdict(set)
    for s in data.samples:
        by_group[s.group].add(s.split)
    assert all(len(found) == 1 for found in by_group.values())


def test_modalities_with_groups_of_their_own_are_split_apart() -> None:
    image = [replace(s, group=f"i{s.group}") for s in folds(4, modality="image")]
    for seed in range(6):
        data = split_dataset(dataset([*folds(4), *image]), seed=seed)
        for modality in ("audio", "image"):
            assert {s.split for s in data.samples if s.modality == modality} == {"train", "val", "test"}


def test_groups_of_one_class_each_are_split_class_by_class() -> None:
    samples = [s for c in range(3) for g in range(4) for s in items(2, c, group=f"clip{c}-{g}")]
    for seed in range(8):
        data = split_dataset(dataset(samples), seed=seed)
        for split in ("train", "test"):
            assert {s.label for s in data.samples if s.split == split} == {0, 1, 2}


def test_pairs_stay_together_by_class() -> None:
    pairs = [
        s
        for c in range(3)
        for i in range(4)
        for s in (
            Sample(Path(f"{c}{i}.jpg"), "image", c, pair=f"{c}{i}"),
            Sample(f"{c} {i}", "text", None, pair=f"{c}{i}"),
        )
    ]
    data = split_dataset(dataset(pairs))
    assert all(a.split == b.split for a, b in zip(data.samples[::2], data.samples[1::2], strict=True))
    counts = Counter((s.label, s.split) for s in data.samples[::2])
    assert {counts[c, "train"] for c in range(3)} == {2}


def test_a_pair_joins_groups() -> None:
    linked = [Sample("a", "text", 0, group="g0", pair="p"), Sample("b", "text", 1, pair="p")]
    for seed in range(4):
        data = split_dataset(dataset([*folds(4, modality="audio"), *linked]), seed=seed)
        assert data.samples[-1].split == data.samples[-2].split == data.samples[0].split


def test_members_follow_a_given_split() -> None:
    samples = folds(4)
    samples[0] = replace(samples[0], split="test")
    for seed in range(4):
        data = split_dataset(dataset(samples), seed=seed)
        assert {s.split for s in data.samples if s.group == "g0"} == {"test"}


@pytest.mark.parametrize("rest", [None, "val"])
def test_given_splits_that_cut_a_group(rest: str | None) -> None:
    samples = [*items(1, 0, group="g", split="train"), *items(1, 1, group="g", split="test")]
    samples += items(3, 2) if rest is None else items(3, 2, split=rest)
    with pytest.raises(DataError) as caught:
        split_dataset(dataset(samples))
    assert str(caught.value).startswith("image/1/g/0 is in test, image/0/g/0 in train, but group 'g' must not be")


def test_copies_stay_together() -> None:
    samples = [Sample(text, "text", 0) for text in "abcdefgh" for _ in range(2)]
    for seed in range(5):
        data = split_dataset(dataset(samples), seed=seed)
        assert all(a.split == b.split for a, b in zip(data.samples[::2], data.samples[1::2], strict=True))


def test_unlabelled() -> None:
    lone, paired = (
        items(4, None),
        [Sample(Path(f"{i}"), m, None, pair=f"{i}") for i in range(9) for m in ("x", "y")],
    )
    data = split_dataset(dataset([*lone, *paired]))
    assert {s.split for s in data.samples[:4]} == {"unlabelled"}
    assert {s.split for s in data.samples[4:]} == {"train", "val", "test"}


@pytest.mark.parametrize(
    "fractions",
    [(0.5, 0.5), (0.5, 0.2, 0.2), (0, 0.5, 0.5), (0.5, 0.5, 0), (1.2, -0.5, 0.3), (float("nan"), 0.5, 0.5)],
)
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="split fractions"):
        split_dataset(dataset(items(9)), fractions=fractions)


def test_group_by() -> None:
    data = dataset([Sample(Path("a/1-x.wav"), "audio", 0), Sample("speaker 7: hello", "text", 1)])
    assert [s.group for s in group_by(data, r"(\d)[-:]").samples] == ["1", "7"]
    assert [s.group for s in group_by(data, r"\d[-:]").samples] == ["1-", "7:"]
    with pytest.raises(DataError) as caught:
        group_by(data, r"(\d)-")
    assert str(caught.value) == r"speaker 7: hello: --group-by '(\\d)-' does not match"
    with pytest.raises(UsageError, match="not a regular expression"):
        group_by(data, "(")
    with pytest.raises(DataError, match="<object>: has no path"):
        group_by(dataset([Sample(object(), "x", 0)]), "a")


def word(n: int) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.integers(0, n - 1).map(str))


sample = st.builds(
    Sample,
    item=st.integers(0, 40).map(lambda i: Path(f"{i}.jpg")),
    modality=st.sampled_from(["image", "audio"]),
    label=st.one_of(st.none(), st.integers(0, 2)),
    group=word(12),
    pair=word(40),
)
shares = st.sampled_from(
    [DEFAULT_FRACTIONS, (0.2, 0.0, 0.8), (0.9, 0.05, 0.05), (0.4, 0.4, 0.2), (1 / 3, 1 / 3, 1 / 3)]
)


@given(st.lists(sample, max_size=40), shares, st.integers(0, 9))
def test_nothing_is_lost_and_nothing_is_cut(samples: list[Sample], fractions: tuple[float, ...], seed: int) -> None:
    data = dataset(samples)
    try:
        split = split_dataset(data, fractions=fractions, seed=seed)
    except DataError as error:
        assert "can't fill" in str(error)
        return
    assert [replace(s, split=None) for s in split.samples] == samples
    allowed = {"train", "test", "unlabelled"} | ({"val"} if fractions[1] else set())
    assert {s.split for s in split.samples} <= allowed
    for key in ("group", "pair"):
        found = defaultdict(set)
        for s in split.samples:
            if getattr(s, key) is not None:
                found[getattr(s, key)].add(s.split)
        assert all(len(splits) == 1 for splits in found.values())
    copies = defaultdict(set)
    for s in split.samples:
        copies[s.modality, s.item].add(s.split)
    assert all(len(splits) == 1 for splits in copies.values())
    assert split_dataset(data, fractions=fractions, seed=seed) == split


@given(st.integers(2, 60), shares, st.integers(0, 9))
def test_every_class_of_two_can_be_learned_and_scored(n: int, fractions: tuple[float, ...], seed: int) -> None:
    counts = Counter(s.split for s in split_dataset(dataset(items(n)), fractions=fractions, seed=seed).samples)
    assert counts["train"] >= 1 and counts["test"] >= 1 and counts.total() == n
    assert all(abs(counts[k] - n * f) <= 1 for k, f in zip(("train", "val", "test"), fractions, strict=True))
