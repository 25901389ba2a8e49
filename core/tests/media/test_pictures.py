"""Pictures as every encoder gets them: how deep, how opaque, how large."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xm.data.member import Member
from xm.data.types import View
from xm.foundation.errors import ItemError

Image = pytest.importorskip("PIL.Image")
images = pytest.importorskip("xm.media.images")


def disc(size: int = 32) -> Any:
    """255 in a disc, 0 around it."""
    y, x = np.mgrid[:size, :size] - size / 2
    return Image.fromarray((255 * (x**2 + y**2 < size**2 / 9)).astype(np.uint8))


def black(mode: str) -> Any:
    """A black disc on nothing: what is hidden under alpha 0 is black as well."""
    alpha = disc()
    if mode in ("RGBA", "LA"):
        return Image.merge(mode, [Image.new("L", alpha.size)] * (len(mode) - 1) + [alpha])
    found = Image.fromarray((np.asarray(alpha) > 0).astype(np.uint8))
    found.putpalette([0, 0, 0] * 2)
    found.info["transparency"] = 0
    return found


def reason(item: Any, **how: Any) -> str:
    with pytest.raises(ItemError) as caught:
        images.read_image(item, **how)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("mode", ("RGBA", "LA", "P"))
@pytest.mark.parametrize("saved", (".png", ""))
def test_what_is_transparent_is_laid_over_white(mode: str, saved: str, tmp_path: Path, recwarn: Any) -> None:
    icon: Any = black(mode)
    if saved:
        icon.save(tmp_path / f"a{saved}")
        icon = tmp_path / f"a{saved}"
    found = images.read_image(icon)
    assert found.mode == ("L" if mode == "LA" else "RGB") and "transparency" not in found.info
    assert np.array_equal(np.asarray(found.convert("L")), 255 - np.asarray(disc()))
    assert not recwarn.list


def test_half_of_it_shines_through() -> None:
    half = np.zeros((4, 4, 4), np.uint8)
    half[..., 3] = 128
    assert set(np.asarray(images.read_image(half)).ravel()) == {127}
    colour = Image.new("RGB", (4, 4), (9, 8, 7))
    colour.putpixel((0, 0), (1, 2, 3))
    colour.info["transparency"] = (1, 2, 3)
    assert images.read_image(colour).getpixel((0, 0)) == (255, 255, 255)
    assert images.read_image(colour).getpixel((1, 0)) == (9, 8, 7)


@pytest.mark.parametrize("mode", ("RGBA", "LA", "P", "L", "RGB"))
def test_what_hides_nothing_keeps_its_values(mode: str) -> None:
    grey = np.random.default_rng(0).integers(100, 200, (16, 16), dtype=np.uint8)  # without 300 modulo 256
    given = Image.fromarray(grey).convert(mode)
    if mode in ("P", "L", "RGB"):
        given.info["transparency"] = {"P": bytes([255]) * 256, "L": 300, "RGB": (300, 300, 300)}[mode]
    found = images.read_image(given)
    assert found.mode == {"RGBA": "RGB", "LA": "L"}.get(mode, mode)
    assert np.array_equal(np.asarray(found.convert("RGB")), np.asarray(given.convert("RGBA").convert("RGB")))
    assert ("transparency" in given.info) == (mode in ("P", "L", "RGB")), "the one given stays as it was"


@pytest.mark.parametrize("view", ("", "flip"))
def test_what_is_transparent_all_over_is_refused(view: str, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "a.png")
    item: Any = View.of(tmp_path / "a.png", view) if view else tmp_path / "a.png"
    assert reason(item) == "is transparent all over, so nothing of it is seen; save it without transparency"


@pytest.mark.parametrize("suffix", (".png", ".tif", ".pgm", ".jp2"))
def test_16_bits_are_their_upper_bytes(suffix: str, tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).round().astype(np.uint16).reshape(64, 64)
    path = tmp_path / f"a{suffix}"
    try:
        Image.fromarray(ramp).save(path, **({"irreversible": False} if suffix == ".jp2" else {}))
    except (OSError, KeyError):
        pytest.skip(f"this Pillow does not write {suffix} of 16 bits")
    found = images.read_image(path)
    assert found.mode == "L"
    assert np.abs(np.asarray(found).astype(int) - (ramp >> 8)).max() <= (1 if suffix == ".pgm" else 0)
    deep = np.asarray(images.read_image(path, deep=True))
    assert np.array_equal(deep, ramp), "for encoders that want them"


def test_16_bits_with_a_hidden_value(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 513, 60_000]], np.uint16)).save(tmp_path / "a.png", transparency=513)
    assert np.asarray(images.read_image(tmp_path / "a.png")).tolist() == [[0, 255, 234]]


@pytest.mark.parametrize("mode", ("I", "F"))
def test_values_without_a_range_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (8, 8), 3).save(tmp_path / "a.tif")
    for item in (tmp_path / "a.tif", Image.new(mode, (8, 8))):
        assert reason(item) == f"pixels of mode {mode} have no fixed range; save it with 8 bits a channel"
    assert images.read_image(tmp_path / "a.tif", deep=True).mode == mode


def test_a_turned_one_of_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "a.png", exif=exif)
    assert images.read_image(tmp_path / "a.png").size == (4, 6)


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    for name, how in (("a.png", {}), ("a.jpg", {"progressive": True})):
        Image.new("RGB", (2000, 1000), (9, 200, 9)).save(tmp_path / name, **how)
        assert reason(tmp_path / name).startswith("is too large: 2 million pixels (limit 0 million); save a smaller")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    path = tmp_path / "b.jpg"
    Image.new("RGB", (2000, 1000), (9, 200, 9)).save(path)
    member = Member(path, 0, path.stat().st_size, "b.jpg")
    for item in (path, member):
        found = images.read_image(item)
        assert found.size == (250, 125) and abs(found.getpixel((9, 9))[1] - 200) < 3, "at an eighth"


def test_pillow_prints_no_warnings(tmp_path: Path) -> None:
    """pytest sets filters of its own, so this looks from outside."""
    Image.new("1", (200, 100)).save(tmp_path / "large.png")
    palette = Image.new("P", (8, 8))
    palette.save(tmp_path / "palette.png", transparency=bytes([0, 255]))
    code = f"""
from pathlib import Path
from PIL import Image
from xm.media.images import read_image
Image.MAX_IMAGE_PIXELS = 15_000
print(read_image(Path({str(tmp_path / "large.png")!r})).size)
try: read_image(Path({str(tmp_path / "palette.png")!r}))
except Exception as error: print(type(error).__name__)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (out.stdout, out.stderr) == ("(200, 100)\nItemError\n", "")


def test_heic_names_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xm.media._pixels.find_spec", lambda name: None)
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    assert reason(path) == "is a HEIC picture, which needs pillow-heif; try: pip install pillow-heif"
    assert reason(Member(path, 0, 111, "a.heic")) == reason(path)


def test_conversions_go_by_rgb_or_name_the_item() -> None:
    lab = Image.merge("RGB", [disc()] * 3).convert("LAB")
    assert images.converted(lab, "L", "a.tif").mode == "L"
    with pytest.raises(ItemError, match=r"^a\.tif: its pixels of mode L can't be made unknown; save it as RGB"):
        images.converted(disc(), "unknown", "a.tif")


def test_a_stream_is_not_changed() -> None:
    file = BytesIO()
    disc().save(file, "PNG")
    image = Image.open(file)
    assert images.read_image(image).tobytes() == disc().tobytes() and image.mode == "L"
