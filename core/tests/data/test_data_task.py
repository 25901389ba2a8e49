from __future__ import annotations

import logging
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from xm.data import Dataset, Draws, Sample, Task, group_by, split_dataset
from xm.foundation.errors import DataError, UsageError

CLASSES = ("cat", "dog", "emu")


def items(n: int, split: str, modality: str = "image", classes: int = 3) -> list[Sample]:
    return [
        Sample(Path(f"root/{split}/{modality}/{c}/{i}"), modality, c, split) for c in range(classes) for i in range(n)
    ]


def dataset(train: int = 20, val: int = 6, test: int = 5, audio: int = 4) -> Dataset:
    samples = [
        *items(train, "train"),
        *items(val, "val"),
        *items(test, "test"),
        *items(audio, "train", "audio"),
    ]
    return Dataset("d", CLASSES, tuple(samples))


def count(task: Task) -> dict[str, dict[str, int]]:
    return {split: {m: len(x) for m, x in by.items()} for split, by in task.samples.items()}


def test_what_is_drawn() -> None:
    data = dataset()
    task = Draws(data).task(target="image", aux=["audio", "text"], shots=2, seed=1, names={"text"})
    assert (task.dataset, task.classes, task.target) == ("d", CLASSES, "image")
    assert (task.shots, task.aux_shots, task.seed) == (2, 2, 1)
    assert count(task) == {
        "train": {"image": 6, "audio": 6, "text": 3},
        "val": {"image": 6},
        "test": {"image": 15},
    }
    assert set(Counter(s.label for s in task.samples["train"]["image"]).values()) == {2}
    assert {s.split for s in task.samples["val"]["image"]} == {"val"}
    assert [(s.item, s.label) for s in task.samples["train"]["text"]] == [("cat", 0), ("dog", 1), ("emu", 2)]


def test_defaults_of_shots() -> None:
    data = dataset()
    zero = Draws(data).task(target="image", aux=["audio"], shots=0, seed=0)
    assert count(zero) == {"train": {"image": 0, "audio": 3}, "val": {"image": 3}, "test": {"image": 15}}
    many = Draws(data).task(target="image", aux=["audio"], shots=16, seed=0)
    assert count(many)["val"]["image"] == 12 and many.aux_shots == 16
    told = Draws(data).task(target="image", aux=["audio"], shots=16, seed=0, aux_shots=1, val_shots=0)
    assert count(told) == {"train": {"image": 48, "audio": 3}, "val": {"image": 0}, "test": {"image": 15}}


def test_seeds_and_modalities_differ() -> None:
    data = dataset()
    draws = {Draws(data).task(target="image", shots=4, seed=seed).samples["train"]["image"] for seed in range(6)}
    assert len(draws) == 6


def test_names_in_templates() -> None:
    data = replace(dataset(), templates=("a {}.", "the {}"))
    task = Draws(data).task(target="image", aux=["text"], shots=1, seed=0, names=["text"])
    assert [s.item for s in task.samples["train"]["text"]][:3] == ["a cat.", "the cat", "a dog."]


def test_names_come_to_what_is_drawn() -> None:
    data = dataset()
    data = replace(data, samples=data.samples + tuple(items(3, "train", "text")))
    task = Draws(data).task(target="image", aux=["text"], shots=2, seed=0, names=["text"])
    assert [isinstance(s.item, str) for s in task.samples["train"]["text"]] == [False] * 6 + [True] * 3


def test_auxiliary_replaces_draws_and_names() -> None:
    told = (Sample("zero", "text", 0), Sample("nil", "text", 0))
    data = replace(dataset(), auxiliary={"text": told, "audio": told[:1]})
    task = Draws(data).task(target="image", aux=["text", "audio"], shots=1, seed=0, names=["text"])
    assert task.samples["train"]["text"] == told and task.samples["train"]["audio"] == told[:1]


def test_val_from_the_rest_of_train() -> None:
    data = dataset(val=0)
    vals = []
    for shots in (4, 8, 16):
        task = Draws(data).task(target="image", shots=shots, seed=3)
        assert not set(task.samples["train"]["image"]) & set(task.samples["val"]["image"])
        vals.append(task.samples["val"]["image"])
    assert vals[0] == vals[1] == vals[2] and len(vals[0]) == 12


def test_val_takes_what_train_leaves(caplog: pytest.LogCaptureFixture) -> None:
    task = Draws(dataset(train=5, val=0)).task(target="image", shots=4, seed=0)
    assert count(task)["val"]["image"] == 3
    assert caplog.messages == ["d: fewer image items for val than 4: 'cat' has 1, 'dog' has 1, 'emu' has 1"]
    assert count(Draws(dataset(train=4, val=0)).task(target="image", shots=4, seed=0))["val"]["image"] == 0


def test_copies_in_train_do_not_reach_val() -> None:
    copies = [Sample("same", "text", c, "train") for c in (0, 1) for _ in range(3)]
    others = [Sample(f"{c} {i}", "text", c, split) for c in (0, 1) for i, split in enumerate(["train", "test"])]
    data = Dataset("d", ("a", "b"), (*copies, *others))
    for seed in range(8):
        task = Draws(data).task(target="text", shots=1, seed=seed)
        train, val = ({s.item for s in task.samples[k]["text"]} for k in ("train", "val"))
        assert not train & val


def test_few_items_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    data = dataset()
    draws = Draws(replace(data, samples=data.samples[3:]))
    with caplog.at_level(logging.WARNING, "xm.data"):
        for seed in range(3):
            task = draws.task(target="image", shots=18, seed=seed)
    assert len(task.samples["train"]["image"]) == 17 + 18 + 18
    assert caplog.messages == ["d: fewer image items in train than the 18 shots asked for: 'cat' has 17"]


def published(data: Dataset, *at: int) -> dict[str, tuple[Sample, ...]]:
    """A draw of train's and val's items of each class at these places."""
    images = [s for s in data.samples if s.modality == "image"]
    return {k: tuple(s for s in images if s.split == k and int(s.item.name) in at) for k in ("train", "val")}


def test_a_published_draw_is_used_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    data = dataset()
    draw = published(data, 3, 5)
    draws = Draws(replace(data, draws={(2, 7): draw}))
    task = draws.task(target="image", aux=["audio"], shots=2, seed=7)
    assert task.samples["train"]["image"] == draw["train"] and task.samples["val"]["image"] == draw["val"]
    assert (
        task.samples["train"]["audio"]
        == Draws(data).task(target="image", aux=["audio"], shots=2, seed=7).samples["train"]["audio"]
    )
    assert len(task.samples["test"]["image"]) == 15 and not caplog.messages
    assert task.digest != Draws(data).task(target="image", aux=["audio"], shots=2, seed=7).digest
    told = draws.task(target="image", shots=2, seed=7, val_shots=1)
    assert told.samples["train"]["image"] == draw["train"] and len(told.samples["val"]["image"]) == 3


def test_what_was_not_published_is_drawn_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    data = dataset()
    draws = Draws(replace(data, draws={(2, 7): published(data, 3, 5)}))
    for shots, seed in ((2, 8), (4, 7)):
        usual = Draws(data).task(target="image", shots=shots, seed=seed)
        assert draws.task(target="image", shots=shots, seed=seed) == usual
    assert caplog.messages == [
        "d: no draw of image was published for shots 2, seed 8; it is drawn here, as is all that was not published"
    ]
    assert draws.task(target="image", shots=0, seed=7).samples["train"]["image"] == ()


def test_a_published_draw_without_val_leaves_its_items_out_of_val() -> None:
    data = dataset(train=5, val=0)
    for at in range(5):
        draw = {"train": published(data, at)["train"]}
        task = Draws(replace(data, draws={(1, 1): draw})).task(target="image", shots=1, seed=1, val_shots=4)
        train, val = (task.samples[split]["image"] for split in ("train", "val"))
        assert train == draw["train"] and len(val) == 12 and not set(train) & set(val)


def test_a_published_draw_with_fewer_items_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    data = dataset()
    draw = published(data, 3, 5)
    few = {"train": draw["train"][1:], "val": draw["val"]}
    Draws(replace(data, draws={(2, 7): few})).task(target="image", shots=2, seed=7)
    assert caplog.messages == ["d: fewer image items in the published draw than its 2 shots: 'cat' has 1"]


@pytest.mark.parametrize(("split", "other"), [("train", "test"), ("val", "test"), ("val", "train")])
def test_a_published_draw_that_overlaps_another_split(split: str, other: str) -> None:
    data = dataset()
    wrong = {split: tuple(items(1, other))}
    for shots, seed in ((1, 1), (4, 4)):
        with pytest.raises(DataError, match=f"root/{other}/image/0/0: is in {other} and in {split}"):
            Draws(replace(data, draws={(1, 1): wrong})).task(target="image", shots=shots, seed=seed)


def test_published_draws_survive_groups_and_splits() -> None:
    data = dataset()
    data = replace(data, draws={(2, 7): published(data, 3, 5)})
    again = split_dataset(group_by(data, r"[^/]+/[^/]+/\d+/\d+$"))
    task = Draws(again).task(target="image", shots=2, seed=7)
    assert all(a is b for a, b in zip(task.samples["train"]["image"], data.draws[2, 7]["train"], strict=True))


def without(data: Dataset, split: str, label: int) -> Dataset:
    kept = tuple(s for s in data.samples if not (s.split == split and s.label == label and s.modality == "image"))
    return replace(data, samples=kept)


def test_a_label_that_train_never_saw() -> None:
    with pytest.raises(DataError) as caught:
        Draws(without(dataset(), "train", 1)).task(target="image", shots=1, seed=0)
    assert str(caught.value) == (
        "dataset 'd': class 'dog' has 5 image items in test (root/test/image/1/0) but none in train; "
        "add some to train, leave the class out, or name it in a file of unseen classes: --unseen FILE"
    )
    assert Draws(without(dataset(), "train", 1)).task(target="image", shots=0, seed=0).shots == 0


def test_a_class_without_items() -> None:
    data = dataset(val=0)
    for split in ("train", "test"):
        data = without(data, split, 2)
    with pytest.raises(DataError, match="class 'emu' has no labelled image item; add some to train"):
        Draws(data).task(target="image", shots=1, seed=0)


def test_no_test_and_one_class() -> None:
    with pytest.raises(DataError, match=r"no labelled image items in test.*there are some in: train, val"):
        Draws(dataset(test=0)).task(target="image", shots=1, seed=0)
    with pytest.raises(DataError, match="two classes or more are needed; it has only 'a'"):
        Draws(Dataset("d", ("a",), tuple(items(2, "train", classes=1)))).task(target="image", shots=1, seed=0)


def test_wrong_modalities() -> None:
    data = dataset()
    with pytest.raises(UsageError, match="unknown modality 'imgae': did you mean 'image'"):
        Draws(data).task(target="imgae", shots=1, seed=0)
    with pytest.raises(UsageError, match="no labelled text items in train; it has: audio, image"):
        Draws(data).task(target="image", aux=["text"], shots=1, seed=0)
    with pytest.raises(UsageError, match="image is the target"):
        Draws(data).task(target="image", aux=["image"], shots=1, seed=0)
    with pytest.raises(UsageError, match="negative"):
        Draws(data).task(target="image", shots=-1, seed=0)
    with pytest.raises(UsageError, match="no splits yet"):
        Draws(Dataset("d", CLASSES, (Sample("a", "text", 0),))).task(target="text", shots=1, seed=0)


@pytest.mark.parametrize("other", [Path("root/train/image/0/0"), Path("root/test/../train/image/0/0")])
def test_given_splits_that_overlap(other: Path) -> None:
    data = dataset()
    data = replace(data, samples=(*data.samples, Sample(other, "image", 0, "test")))
    with pytest.raises(DataError, match=f"{other}: is in train and in test"):
        Draws(data).task(target="image", shots=1, seed=0)


def test_unlabelled_and_other_splits_stay_out() -> None:
    data = dataset(val=0)
    more = (Sample(Path("u"), "image", None, "train"), Sample(Path("p"), "image", 0, "pool"))
    task = Draws(replace(data, samples=data.samples + more)).task(target="image", shots=20, seed=0)
    assert count(task) == {"train": {"image": 60}, "val": {"image": 0}, "test": {"image": 15}}


def test_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(data: Dataset, **more: int) -> str:
        return Draws(data).task(target="image", shots=more.get("shots", 2), seed=more.get("seed", 0)).digest

    data = dataset()
    assert digest(data) == digest(dataset())
    moved = tuple(replace(s, item=Path("/elsewhere") / s.item) for s in data.samples)
    assert digest(replace(data, samples=moved)) == digest(data)
    others = [
        digest(data, seed=1),
        digest(data, shots=1),
        digest(replace(data, classes=("cat", "dog", "cow"))),
        digest(replace(data, samples=data.samples[:-13])),
        digest(replace(data, samples=tuple(replace(s, item=s.item.with_suffix(".x")) for s in data.samples))),
    ]
    assert len({digest(data), *others}) == 6


def test_digest_of_arrays_is_by_content() -> None:
    def digest(scale: int) -> str:
        samples = [
            Sample(np.full((2, 2), scale * (i + 10 * c)), "image", c, split)
            for c in range(3)
            for i, split in enumerate(["train", "test", "test"])
        ]
        return Draws(Dataset("d", CLASSES, tuple(samples))).task(target="image", shots=1, seed=0).digest

    assert digest(1) == digest(1) != digest(2)


def test_same_draw_in_another_process() -> None:
    code = """
from pathlib import Path
from xm.data import Dataset, Draws, Sample, split_dataset
samples = tuple(Sample(Path(f"r/{c}/{i}"), "image", c) for c in range(4) for i in range(30))
data = split_dataset(Dataset("d", ("a", "b", "ü", "d"), samples), seed=2)
print(Draws(data).task(target="image", aux=["text"], names={"text"}, shots=4, seed=5).digest)
"""
    digests = set()
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_fifteen_tasks_of_five_thousand_samples() -> None:
    samples = tuple(Sample(Path(f"/data/r/{c}/{i}.jpg"), "image", c) for c in range(100) for i in range(50))
    data = split_dataset(Dataset("big", tuple(f"c{c}" for c in range(100)), samples))
    draws = Draws(data)
    tasks = [
        draws.task(target="image", aux=["text"], names={"text"}, shots=shots, seed=seed)
        for shots in (1, 2, 4, 8, 16)
        for seed in (1, 2, 3)
    ]
    assert len({task.digest for task in tasks}) == 15
    assert {len(task.samples["train"]["image"]) for task in tasks} == {100, 200, 400, 800, 1600}
    assert {task.test for task in tasks} == {tasks[0].test}, "test is one for all"


@given(
    sizes=st.lists(st.integers(2, 12), min_size=2, max_size=4),
    fewer=st.integers(0, 8),
    more=st.integers(0, 8),
    seed=st.integers(0, 99),
    fractions=st.sampled_from([(0.5, 0.2, 0.3), (0.5, 0.0, 0.5)]),
)
def test_draws_are_nested_and_disjoint(
    sizes: list[int], fewer: int, more: int, seed: int, fractions: tuple[float, ...]
) -> None:
    samples = tuple(Sample(Path(f"r/{c}/{i}"), "image", c) for c, n in enumerate(sizes) for i in range(n))
    names = tuple(f"c{c}" for c in range(len(sizes)))
    data = split_dataset(Dataset("d", names, samples), fractions=fractions, seed=seed)
    small = Draws(data).task(target="image", shots=fewer, seed=seed)
    large = Draws(data).task(target="image", shots=fewer + more, seed=seed)
    assert set(small.samples["train"]["image"]) <= set(large.samples["train"]["image"])
    assert small.samples["test"] == large.samples["test"]
    for task in (small, large):
        train, val, test = (set(task.samples[k]["image"]) for k in ("train", "val", "test"))
        assert not train & val and not train & test and not val & test
        assert max(Counter(s.label for s in train).values(), default=0) <= task.shots
        assert {s.label for s in test} == set(range(len(sizes)))
