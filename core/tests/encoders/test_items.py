"""What encoders share for decoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xm.encoders.items import read_text
from xm.foundation.errors import ItemError


def test_a_string_is_the_text_and_a_path_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\n an umbrella\n", encoding="utf-8-sig")
    assert read_text(path) == "an umbrella"
    assert read_text(str(path)) == str(path)
    assert read_text(" spaced ") == " spaced "


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("", "'': holds no text"),
        (" \n\t", "holds no text"),
        (7, "<7>: is not a text"),
        (np.zeros(3), "<array 3 float64>: is not a text"),
        (Path("no/such.txt"), "no/such.txt: no such file"),
        (Path("/"), "/: can't be read: Is a directory"),
    ],
)
def test_what_is_no_text(item: object, said: str) -> None:
    with pytest.raises(ItemError) as caught:
        read_text(item)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_hold_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content, said in ((b" \n", "holds no text"), ("né".encode("latin-1"), "is not UTF-8 at byte 1")):
        path.write_bytes(content)
        with pytest.raises(ItemError) as caught:
            read_text(path)
        assert f"{path}: {said}" in str(caught.value)


def test_images(tmp_path: Path) -> None:
    images, pillow = pytest.importorskip("xm.media.images"), pytest.importorskip("PIL.Image")
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    exif = pillow.Exif()
    exif[0x0112] = 6  # a quarter turn
    path = tmp_path / "a.png"
    pillow.fromarray(pixels).save(path, exif=exif)
    assert images.read_image(path).size == (4, 6)
    assert images.read_image(path, upright=False).size == (6, 4)
    for item in (str(path), pillow.open(path), pixels):
        assert np.array_equal(np.asarray(images.read_image(item, upright=False)), pixels)
    text, cut = tmp_path / "text.png", tmp_path / "cut.png"
    text.write_text("hello")
    pillow.effect_noise((64, 64), 50).save(cut)
    cut.write_bytes(cut.read_bytes()[:600])
    for item, said in (
        (text, f"{text}: is not an image that Pillow reads"),
        (cut, f"{cut}: is damaged ("),
        (pillow.open(cut), "<image 64x64 L>: is damaged ("),
        (tmp_path / "gone.png", "gone.png: no such file"),
        (tmp_path, "no such file"),
        (np.zeros((4, 4)), "<array 4x4 float64>: expected uint8 of shape"),
        (7, "<7>: is no image"),
    ):
        with pytest.raises(ItemError) as caught:
            images.read_image(item)
        assert said in str(caught.value) and "\n" not in str(caught.value)


def test_sounds(tmp_path: Path) -> None:
    sounds, soundfile = pytest.importorskip("xm.media.sounds"), pytest.importorskip("soundfile")
    wave = (0.4 * np.sin(np.arange(16_000) / 9)).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([wave, wave], 1), 16_000, subtype="FLOAT")
    for item in (path, str(path), (wave, 16_000), [wave.astype(np.float64), 16_000.0]):
        assert torch.equal(sounds.read_sound(item, 16_000), torch.from_numpy(wave))
    assert len(sounds.read_sound(path, 8000)) == 8000
    whole = path.read_bytes()
    cut, header = tmp_path / "cut.wav", tmp_path / "header.wav"
    cut.write_bytes(whole[:-4])  # one sample
    header.write_bytes(whole[:4] + (len(whole) - 1008).to_bytes(4, "little") + whole[8:-1000])  # RIFF's size fits
    for item, said in (
        (cut, f"{cut}: is cut short"),
        (header, f"{header}: is cut short"),
        ((wave[:0], 16_000), "is empty"),
        ((wave.astype(np.int16), 16_000), "divide integers"),
        ((wave, 16_000.5), "a whole number of Hz"),
        ((wave, "fast"), "a whole number of Hz"),
        ((wave, 44_101), "no short ratio"),
        ((wave,), "is no sound"),
        ((np.full(99, np.nan), 16_000), "not finite"),
    ):
        with pytest.raises(ItemError) as caught:
            sounds.read_sound(item, 16_000)
        assert said in str(caught.value) and "\n" not in str(caught.value)
