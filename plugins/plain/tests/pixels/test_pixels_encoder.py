"""The encoder `pixels`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from xm import EncoderSpec, ItemError, UsageError
from xm.encoders import encode
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_plain.pixels.encoder import Pixels


@pytest.fixture(scope="module")
def scans() -> Any:
    return load_digits()


class TestConformance(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("pixels")

    @pytest.fixture
    def items(self, scans: Any) -> Sequence[Any]:
        return [*scans.images[:3], Image.fromarray(scans.images[4] * 15).convert("RGB").resize((50, 40))]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Any:
        path = tmp_path / "broken.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\n no more")
        return path

    @pytest.fixture
    def labelled(self, scans: Any) -> tuple[Sequence[Any], Sequence[int]]:
        return list(scans.images[:200]), scans.target[:200].tolist()


def test_an_exported_scan_is_the_same_as_its_array(scans: Any, tmp_path: Path) -> None:
    array = scans.images[7]
    path = tmp_path / "scan.png"
    Image.fromarray(np.round(array * (255 / 16)).astype(np.uint8)).save(path)
    x = Pixels().trunk([array, path, str(path), array * 1000, array - 3])["features"]
    assert x.min() == 0 and x.max() == 1
    torch.testing.assert_close(x[0], torch.from_numpy(array / array.max()).flatten().float())
    torch.testing.assert_close(x[1:], x[:1].expand(4, -1), atol=1 / 255, rtol=0)


def test_large_pictures_are_averaged_over_cells() -> None:
    picture = np.zeros((16, 24))
    picture[:2, :3] = 4.0  # the first of 8x8 cells
    picture[2:4, 0] = 6.0  # a third of the cell below
    x = Pixels().trunk([picture])["features"][0]
    assert x[0] == 1 and x[8] == 0.5 and x.sum() == 1.5


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    deep = (np.arange(64).reshape(8, 8) * 1000).astype(np.uint16)
    path = tmp_path / "deep.png"
    Image.fromarray(deep).save(path)
    torch.testing.assert_close(Pixels().encode([path]), Pixels().encode([deep]))


def test_lab_and_icons_and_floats(tmp_path: Path) -> None:
    grey = Image.fromarray((np.eye(8) * 200 + 20).astype(np.uint8))
    colours = Image.merge("RGB", [grey] * 3)
    lab, icon, floats = tmp_path / "lab.tif", tmp_path / "icon.png", tmp_path / "floats.tif"
    colours.convert("LAB").save(lab)
    Image.merge("LA", [Image.new("L", (8, 8)), Image.eval(grey, lambda level: 255 - level)]).save(icon)
    Image.fromarray(np.asarray(grey, np.float32) * 77).save(floats)
    x = Pixels().encode([grey, lab, icon, floats])
    torch.testing.assert_close(x[1:], x[:1].expand(3, -1), atol=0.02, rtol=0)


def test_argument_is_the_side() -> None:
    encoder = Pixels("28")
    assert (encoder.dim, encoder.space) == (784, "pixels-28x28")
    assert encoder.encode([np.eye(28)]).shape == (1, 784)
    assert encoder.fingerprint() != Pixels().fingerprint()
    for wrong in ("0", "9999", "8x8", "-3", "²"):
        with pytest.raises(UsageError, match="pixels:28"):
            Pixels(wrong)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (np.zeros((8, 8)), "black all over"),
        (np.full((8, 8), np.nan), "not finite"),
        (np.zeros((8, 8, 3)), "expected a grey picture"),
        (np.zeros((0, 8)), "expected a grey picture"),
        ({"a": 1}, "expected a path"),
        (Path("/nowhere/there.png"), "no such file"),
    ],
)
def test_bad_items(item: Any, reason: str) -> None:
    with pytest.raises(ItemError, match=reason) as caught:
        Pixels().encode([item])
    assert "\n" not in str(caught.value)


def test_truncated_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ItemError, match="damaged") as caught:
        Pixels().encode([path])
    assert str(path) in str(caught.value)


def test_pictures_are_read_ahead_in_threads(scans: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, readers, read = Pixels(), set(), Pixels.prepare

    def prepare(self: Pixels, item: Any) -> Any:
        readers.add(threading.get_ident())
        return read(self, item)

    monkeypatch.setattr(Pixels, "prepare", prepare)
    items = []
    for i in range(20):
        items.append(tmp_path / f"{i}.png")
        Image.fromarray((scans.images[i] * 15).astype(np.uint8)).save(items[-1])
    parts = list(encode(encoder, [*items, tmp_path / "none.png"], workers=2))
    assert readers - {threading.get_ident()}, "all were read by the thread that computes"
    assert [str(error) for part in parts for error in part.failed.values()] == [
        f"{tmp_path / 'none.png'}: no such file"
    ]
    found = {row: part.x["features"][i] for part in parts for i, row in enumerate(part.rows)}
    alone = torch.cat([encoder.trunk([item])["features"] for item in items])
    assert torch.equal(torch.stack([found[i] for i in range(20)]), alone)
