"""Batches from several streams."""

from __future__ import annotations

from itertools import islice

import pytest
import torch
from hypothesis import given, strategies as st

from xm import Stream, UsageError
from xm.learning.sampler import batch_counts, batches, shares_of


def stream(n: int, modality: str = "image") -> Stream:
    return Stream(modality, {"features": torch.arange(n, dtype=torch.float32)[:, None]}, torch.arange(n))


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, count: int, batch_number: int, seed: int = 1) -> list[list[int]]:
    source = batches({"image": stream(n)}, {"image": count}, generator(seed))
    return [batch["image"].y.tolist() for batch in islice(source, batch_number) if batch["image"].y is not None]


@pytest.mark.parametrize(
    ("names", "shares"),
    (
        (("image",), {"image": 1.0}),
        (("image", "text"), {"image": 0.5, "text": 0.5}),
        (("image", "text", "audio"), {"image": 0.5, "text": 0.25, "audio": 0.25}),
        (("text",), {"text": 1.0}),
        (("text", "audio"), {"text": 0.5, "audio": 0.5}),
    ),
)
def test_half_target_half_auxiliary(names: tuple[str, ...], shares: dict[str, float]) -> None:
    assert shares_of(dict.fromkeys(names, stream(1)), "image") == shares


def test_another_share() -> None:
    found = shares_of(dict.fromkeys(("image", "text", "audio"), stream(1)), "image", auxiliary=0.2)
    assert found == {"image": 0.8, "text": 0.1, "audio": 0.1}


@pytest.mark.parametrize(
    ("shares", "size", "counts"),
    (
        ({"image": 0.5, "text": 0.5}, 8, {"image": 4, "text": 4}),
        ({"image": 0.5, "text": 0.25, "audio": 0.25}, 8, {"image": 4, "text": 2, "audio": 2}),
        ({"image": 0.5, "text": 0.5}, 7, {"image": 4, "text": 3}),
        ({"image": 0.99, "text": 0.01}, 8, {"image": 7, "text": 1}),
        ({"image": 0.01, "text": 0.94, "audio": 0.05}, 8, {"image": 1, "text": 6, "audio": 1}),
        ({"image": 1.0}, 32, {"image": 32}),
    ),
)
def test_counts(shares: dict[str, float], size: int, counts: dict[str, int]) -> None:
    assert batch_counts(shares, size) == counts


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.integers(6, 64))
def test_every_stream_is_in_every_batch(parts: list[float], size: int) -> None:
    counts = batch_counts({str(i): part / sum(parts) for i, part in enumerate(parts)}, size)
    assert sum(counts.values()) == size
    assert min(counts.values()) >= 1


def test_a_batch_smaller_than_the_streams_is_refused() -> None:
    with pytest.raises(UsageError, match="batch_size=2 is too small for 3 streams"):
        batch_counts({"image": 0.5, "text": 0.25, "audio": 0.25}, 2)


def test_each_pass_is_shuffled_anew_and_its_rest_dropped() -> None:
    """Of 10 samples in fours a pass gives two batches; nothing twice in a pass."""
    drawn = rows(10, 4, 40)
    assert all(len(batch) == 4 for batch in drawn)
    passes = [drawn[i] + drawn[i + 1] for i in range(0, 40, 2)]
    assert all(len(set(one)) == 8 for one in passes)
    assert len({tuple(one) for one in passes}) == 20
    assert {row for one in passes for row in one} == set(range(10))


def test_streams_pass_at_their_own_pace() -> None:
    """Every batch has both; the short stream is through twice as often."""
    source = batches({"image": stream(8), "text": stream(4, "text")}, {"image": 2, "text": 2}, generator())
    drawn = list(islice(source, 4))
    assert [list(batch) for batch in drawn] == [["image", "text"]] * 4
    images = [row for batch in drawn for row in batch["image"].x["features"].flatten().tolist()]
    assert sorted(images) == list(range(8))
    for first, second in (drawn[:2], drawn[2:]):
        texts = torch.cat([first["text"].x["features"], second["text"].x["features"]]).flatten()
        assert sorted(texts.tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("n", (3, 4))
def test_a_short_stream_gives_all_it_has(n: int) -> None:
    assert rows(n, 4, 3) == [list(range(n))] * 3


def test_the_generator_decides() -> None:
    assert rows(20, 4, 9) == rows(20, 4, 9)
    assert rows(20, 4, 9) != rows(20, 4, 9, seed=2)


def test_rows_keep_their_labels_and_weights() -> None:
    given = Stream("image", {"features": torch.arange(6.0)[:, None]}, torch.arange(6), torch.arange(6.0))
    batch = next(batches({"image": given}, {"image": 3}, generator()))["image"]
    assert batch.y is not None and batch.weight is not None
    assert batch.y.tolist() == batch.weight.tolist() == batch.x["features"].flatten().tolist()


def test_shares_by_name() -> None:
    streams = dict.fromkeys(("image", "text", "audio"), stream(1))
    assert shares_of(streams, "image", {"text": 0.1, "video": 0.9}) == pytest.approx(
        {"image": 0.65, "text": 0.1, "audio": 0.25}
    )
    with pytest.raises(UsageError, match=r"nothing is left for image \(text 0\.8, audio 0\.25\)"):
        shares_of(streams, "image", {"text": 0.8})
    del streams["image"]
    assert shares_of(streams, "image", {"text": 0.75}) == {"text": 0.75, "audio": 0.25}
