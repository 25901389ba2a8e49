from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from xm.data import content_key, item_name
from xm.data.content import identity
from xm.foundation.errors import ItemError, UsageError


def test_files_by_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 3_000_000)
    (tmp_path / "c").write_bytes(b"x" * 2_999_999 + b"y")
    a, b, c = (content_key(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 32 and int(a, 16)


def test_layout_of_keys(tmp_path: Path) -> None:
    """Caches on other machines rest on it."""

    def digest(data: bytes) -> str:
        return hashlib.blake2b(data, digest_size=16).hexdigest()

    (tmp_path / "file").write_bytes(b"abc")
    assert content_key(tmp_path / "file") == digest(b"file:abc")
    assert content_key("dög") == digest(b"text 4:d\xc3\xb6g")
    assert content_key(np.array([[1, 2]], dtype="<i2")) == digest(b"array <i2 (1, 2) 4:\1\0\2\0")


def test_what_differs(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "dog").write_bytes(b"dog")
    zeros = np.zeros((2, 8), np.float32)
    image = pillow.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    palette = image.convert("P")
    other = palette.copy()
    other.putpalette([255 - v for v in range(256)] * 3)
    items = [
        tmp_path / "dog",
        "dog",
        b"dog",
        "",
        (),
        ("dog",),
        ("do", "g"),
        ("d", "og"),
        zeros,
        zeros.reshape(4, 4),
        zeros.astype(np.int32),
        np.zeros(()),
        np.zeros(1),
        (zeros, 16000),
        (zeros, 8000),
        (zeros, 16000.0),
        image,
        image.resize((2, 8)),
        palette,
        other,
    ]
    keys = [content_key(item) for item in items]
    assert len(set(keys)) == len(items)
    assert keys == [content_key(item) for item in items]


def test_equal_content() -> None:
    array = np.arange(12).reshape(3, 4)
    assert content_key(array.T) == content_key(np.ascontiguousarray(array.T))
    assert content_key((array, 1)) == content_key([array, 1])


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ItemError) as caught:
        content_key(tmp_path / "gone.jpg")
    assert str(caught.value) == f"{tmp_path / 'gone.jpg'}: no such file"
    with pytest.raises(ItemError, match="can't be read: Is a directory"):
        content_key(tmp_path)


def test_unknown_type() -> None:
    with pytest.raises(UsageError, match="type dict"):
        content_key({"a": 1})
    with pytest.raises(UsageError, match="type object"):
        content_key(("x", object()))
    with pytest.raises(UsageError, match="Python objects"):
        content_key(np.array([None]))


def test_names() -> None:
    pillow = pytest.importorskip("PIL.Image")
    assert item_name(Path("a/b.jpg")) == "a/b.jpg"
    assert item_name("two\n  lines") == "two lines"
    long = item_name("word " * 40)
    assert len(long) == 60 and long.endswith("…")
    assert item_name("x" * 60) == "x" * 60
    assert item_name(np.zeros((8, 8), np.uint8)) == "<array 8x8 uint8>"
    assert item_name((np.zeros(4, np.float32), 16000)) == "<array 4 float32, 16000>"
    assert item_name(b"abc") == "<bytes 3>"
    assert item_name(pillow.new("RGB", (4, 3))) == "<image 4x3 RGB>"
    assert item_name({}) == "<dict>"


def test_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert identity(Path("a/../b.jpg")) == identity(tmp_path / "b.jpg") != identity("b.jpg")
    array = np.zeros(2)
    assert identity(array) == identity(array) != identity(np.zeros(2))
