"""Wrong labels, on purpose."""

from __future__ import annotations

from collections import Counter

import pytest

from xm.data.noise import corrupted
from xm.data.types import Sample

SAMPLES = [Sample(str(i), "image", i % 5) for i in range(50)]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.3, 15), (0.31, 16), (1.0, 50)])
def test_exactly_the_share_is_wrong(share: float, count: int) -> None:
    found = corrupted(SAMPLES, 5, share, 1)
    assert sum(one.label != other.label for one, other in zip(SAMPLES, found, strict=True)) == count
    assert [one.item for one in found] == [one.item for one in SAMPLES]
    assert all(one is other for one, other in zip(SAMPLES, found, strict=True) if one.label == other.label)


def test_every_other_class_is_as_likely() -> None:
    counts = Counter(s.label for seed in range(200) for s in corrupted(SAMPLES[:1], 5, 1.0, seed))
    assert set(counts) == {1, 2, 3, 4} and min(counts.values()) > 30


def test_the_draw_depends_on_the_key_alone() -> None:
    one, other, same = ([s.label for s in corrupted(SAMPLES, 5, 0.5, *key)] for key in ((1, 2), (1, 3), (1, 2)))
    assert one == same != other


def test_what_has_no_label_or_no_other_class_stays() -> None:
    bare = [Sample("a", "image"), Sample("b", "image", 0)]
    assert corrupted(bare, 3, 1.0)[0] is bare[0]
    assert corrupted(bare, 3, 1.0)[1].label in (1, 2)
    assert corrupted(bare, 1, 1.0) == tuple(bare)
