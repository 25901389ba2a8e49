"""Embedding: read ahead in threads, in batches of like sizes."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from xm.encoders.encoder import Derived, Encoder, Preparing, Tail, compute, prepare
from xm.encoders.pipeline import AHEAD, WINDOW, Encoded, encode
from xm.foundation.errors import ItemError, PluginError
from xm.learning.stream import Inputs


class Counting(Preparing):
    """Numbers; -1 can't be read. Keeps what it was asked."""

    modality, space, dim, batch_size = "number", "numbers", 1, 4

    def __init__(self, *, sized: bool = False) -> None:
        self.sized = sized
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.caller = threading.get_ident()
        self.by_caller: list[int] = []
        self.prepared = 0
        self.most_ahead = 0

    def fingerprint(self) -> str:
        return "numbers"

    def prepare(self, item: int) -> int:
        self.threads.add(threading.get_ident())
        if threading.get_ident() == self.caller:
            self.by_caller.append(item)
        if item < 0:
            raise ItemError(item, "is negative")
        self.prepared += 1
        return item

    def size(self, prepared: int) -> int:
        return prepared % 7

    def compute(self, prepared: Sequence[int]) -> Inputs:
        time.sleep(0.001)  # lets readers go ahead
        self.batches.append(list(prepared))
        self.most_ahead = max(self.most_ahead, self.prepared - sum(map(len, self.batches)))
        return {"features": torch.tensor(prepared, dtype=torch.float32)[:, None]}


class Plain(Encoder):
    """The same without reading ahead."""

    modality, space, dim, batch_size = "number", "numbers", 1, 4

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def fingerprint(self) -> str:
        return "numbers"

    def trunk(self, items: Sequence[Any]) -> Inputs:
        self.batches.append(list(items))
        if min(items) < 0:
            raise ItemError(min(items), "is negative")
        return {"features": torch.tensor(items, dtype=torch.float32)[:, None]}


def gathered(parts: Sequence[Encoded]) -> tuple[dict[int, float], dict[int, str]]:
    values: dict[int, float] = {}
    failed: dict[int, str] = {}
    for part in parts:
        assert not set(part.rows) & values.keys() and not part.failed.keys() & failed.keys(), "an item came twice"
        values |= {row: float(part.x["features"][i]) for i, row in enumerate(part.rows)}
        failed |= {row: str(error) for row, error in part.failed.items()}
    return values, failed


@pytest.mark.parametrize("encoder", [Counting(), Counting(sized=True), Plain()], ids=["ahead", "sized", "plain"])
@pytest.mark.parametrize("n", [0, 1, 4, 23, 150])
def test_every_item_comes_once(encoder: Encoder, n: int) -> None:
    items = [-1 if i % 10 == 3 else 5 * i + 1 for i in range(n)]
    values, failed = gathered(list(encode(encoder, items)))
    assert values == {i: float(item) for i, item in enumerate(items) if item >= 0}
    assert failed == {i: "-1: is negative" for i, item in enumerate(items) if item < 0}


def test_it_is_read_ahead_in_threads_and_no_further_than_promised() -> None:
    encoder = Counting()
    list(encode(encoder, list(range(200)), workers=3))
    assert len(encoder.threads - {threading.get_ident()}) in (1, 2, 3)
    assert encoder.by_caller == [0], "what loads on first use is loaded once, by the caller"
    assert 0 < encoder.most_ahead <= AHEAD * encoder.batch_size
    assert all(len(batch) == 4 for batch in encoder.batches), "batches are full"


def test_like_sizes_are_computed_together() -> None:
    encoder = Counting(sized=True)
    items = list(range(WINDOW * 4))
    list(encode(encoder, items))
    spreads = [max(map(encoder.size, batch)) - min(map(encoder.size, batch)) for batch in encoder.batches]
    assert sum(spreads) <= 7, "batches hold items of many sizes"
    assert sorted(item for batch in encoder.batches for item in batch) == items


def test_without_reading_ahead_the_fellows_of_a_bad_item_are_encoded_alone() -> None:
    encoder = Plain()
    list(encode(encoder, [1, -1, 2, 3, 4]))
    assert encoder.batches == [[1, -1, 2, 3], [1], [-1], [2], [3], [4]]


def test_lack_of_memory_ends_it_and_the_threads() -> None:
    class Broken(Counting):
        def prepare(self, item: int) -> int:
            if item == 5:
                raise MemoryError
            return super().prepare(item)

    before = threading.active_count()
    with pytest.raises(MemoryError):
        list(encode(Broken(), list(range(100))))
    assert threading.active_count() == before


def test_stopping_early_ends_the_threads() -> None:
    before = threading.active_count()
    parts = encode(Counting(), list(range(1000)))
    next(iter(parts))
    parts.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


class Late(Counting):
    """Refuses what it can't read only when it computes, as one that stands on an encoder that reads only then."""

    def prepare(self, item: int) -> int:
        return item

    def compute(self, prepared: Sequence[int]) -> Inputs:
        if min(prepared) < 0:
            raise ItemError(min(prepared), "is negative")
        return super().compute(prepared)


@pytest.mark.parametrize("sized", [False, True])
def test_what_is_refused_when_computing_is_left_out(sized: bool) -> None:
    items = [1, 2, -1, 4, 5, 6, 7, 8, -1]
    values, failed = gathered(list(encode(Late(sized=sized), items)))
    assert values == {i: float(item) for i, item in enumerate(items) if item > 0}
    assert failed == {2: "-1: is negative", 8: "-1: is negative"}


@pytest.mark.parametrize("encoder", [Counting(), Plain()])
def test_outputs_can_be_trained_on(encoder: Encoder) -> None:
    [part] = encode(encoder, [1, 2])
    weight = torch.ones(1, requires_grad=True)
    (part.x["features"] * weight).sum().backward()
    assert weight.grad is not None and float(weight.grad) == 3


class Halves(Derived):
    """Numbers by half."""

    space, dim = "halves", 1

    def fingerprint(self) -> str:
        return "halves"

    def derive(self, x: Inputs) -> Inputs:
        return {"features": x["features"] / 2}


def test_what_stands_on_a_preparing_encoder_is_read_ahead_too() -> None:
    base = Counting()
    values, failed = gathered(list(encode(Halves(base), [*range(1, 41), -1])))
    assert values == {i: (i + 1) / 2 for i in range(40)}
    assert failed == {40: "-1: is negative"}
    assert base.most_ahead > 0, "read ahead"


class Opened(Counting):
    def opened(self, depth: int) -> tuple[Any, torch.nn.Module]:
        return lambda prepared: {"features": depth + self.compute(prepared)["features"]}, Tail()


def test_an_opened_encoder_reads_ahead_too() -> None:
    encoder = Opened()
    values, _ = gathered(list(encode(encoder, range(40), depth=3)))
    assert values == {i: i + 3 for i in range(40)}
    assert encoder.most_ahead > 0, "read ahead"
    assert encoder.split(3)[0]([1, 2])["features"].tolist() == [[4], [5]]


@pytest.mark.parametrize("encoder", [Counting(), Plain()])
def test_prepare_and_compute_of_any_encoder(encoder: Encoder) -> None:
    ready = [prepare(encoder, item) for item in (3, 1)]
    assert compute(encoder, ready)["features"].tolist() == [[3], [1]]


class Wrong(Plain):
    """Gives what it is told to."""

    def __init__(self, give: Callable[[Sequence[Any]], Any]) -> None:
        self.give = give

    def trunk(self, items: Sequence[Any]) -> Inputs:
        found: Inputs = self.give(items)
        return found


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda items: torch.ones(len(items), 1), "trunk gives a Tensor, not named tensors; return {'features': x}"),
        (lambda items: {"features": [1.0] * len(items)}, "trunk gives features as list, not as a tensor"),
        (lambda items: {"x": torch.ones(len(items), 1)}, "trunk gives x, without 'features'"),
        (lambda items: {"features": torch.ones(1, 1)}, r"trunk gives features \(1, 1\) for 3 items; a row for each"),
        (lambda items: {"features": torch.ones(len(items), 2)}, r"trunk gives features \(3, 2\), but dim says 1"),
    ],
)
def test_what_breaks_the_contract_is_told_as_that(give: Callable[[Sequence[Any]], Any], said: str) -> None:
    with pytest.raises(PluginError, match=f"^Wrong: {said}"):
        list(encode(Wrong(give), [1, 2, 3]))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "the encoder makes numbers of it that are not finite"),
        (math.inf, "the encoder makes numbers of it that are not finite"),
        (0.0, "the encoder makes nothing of it but zeros"),
    ],
)
def test_rows_that_say_nothing_are_left_out(value: float, said: str) -> None:
    encoder = Wrong(lambda items: {"features": torch.tensor([[value if i == 2 else i] for i in items])})
    values, failed = gathered(list(encode(encoder, [1.0, 2.0, 3.0])))
    assert values == {0: 1, 2: 3}
    assert failed[1].endswith(said)
