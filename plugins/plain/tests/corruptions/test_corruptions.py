"""What each view does, by numbers, and that encoders are given it."""

from __future__ import annotations

import colorsys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from xm import ItemError, UsageError
from xm.data import View, check_view
from xm.encoders import known_views, make_encoder
from xm.media.images import read_image
from xm.media.sounds import read_sound
from xm.plugins import manager
from xm_plain.corruptions.images import SIDE


def array(height: int = 60, width: int = 90, seed: int = 1) -> NDArray[np.uint8]:
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(60, 196, (6, 9, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height)))


def seen(item: Any, text: str) -> NDArray[np.float64]:
    return np.asarray(read_image(View.of(item, text)), dtype=np.float64)


def heard(samples: Tensor, text: str, rate: int = 16000) -> Tensor:
    return read_sound(View.of((samples.numpy(), rate), text), rate)


def tone(hertz: float, seconds: float = 1.0, rate: int = 16000) -> Tensor:
    return 0.2 * torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("strength", [0.08, 0.18])
def test_noise_is_gaussian_of_that_deviation(strength: float) -> None:
    item = np.full((200, 220, 3), 128, np.uint8)
    difference = (seen(item, f"noise:{strength}") - item) / 255
    assert abs(difference.std() - strength) < 0.01 and abs(difference.mean()) < 0.01


def test_noise_is_one_draw_at_every_strength_and_another_for_each_name_and_image() -> None:
    item = np.full((40, 50, 3), 128, np.uint8)
    weak, strong, other = (seen(item, text) - 128 for text in ("noise:0.02", "noise:0.04", "noise2:0.02"))
    assert np.abs(strong - 2 * weak).max() <= 2
    assert np.corrcoef(weak.ravel(), other.ravel())[0, 1] < 0.1
    assert not np.array_equal(seen(item + 1, "noise:0.02") - 129, weak)


def test_without_a_strength_it_is_the_third_of_imagenet_c() -> None:
    for kind, third in {"noise": 0.18, "blur": 3, "jpeg": 15, "brightness": 0.3, "contrast": 0.2}.items():
        assert np.array_equal(seen(array(), kind), seen(array(), f"{kind}:{third}")), kind


def test_jpeg_is_pillows() -> None:
    file = BytesIO()
    Image.fromarray(array()).save(file, "JPEG", quality=10)
    assert np.array_equal(seen(array(), "jpeg:10"), np.asarray(Image.open(file)))


def test_contrast_and_brightness_by_hand() -> None:
    item = array()
    mean = item.mean(axis=(0, 1))
    assert np.abs(seen(item, "contrast:0.2") - (mean + 0.2 * (item - mean))).max() <= 1
    raised = seen(item, "brightness:0.1")
    for y, x in ((0, 0), (20, 50), (59, 89)):
        hue, saturation, value = colorsys.rgb_to_hsv(*(item[y, x] / 255))
        wanted = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.1)))
        assert np.abs(raised[y, x] - wanted).max() < 8, "Pillow's hue has 8 bits"


def test_blur_is_of_an_image_of_224() -> None:
    """A point spreads as a Gaussian, whose deviation grows with the image."""
    for side in (112, 224):
        item = np.zeros((side, side, 3), np.uint8)
        item[side // 2, side // 2] = 255
        item[side // 2 - 1 : side // 2 + 2, side // 2 - 1 : side // 2 + 2] = 255
        row = seen(item, "blur:4")[..., 0].sum(axis=0)
        place = np.arange(side) - (row * np.arange(side)).sum() / row.sum()
        assert abs(np.sqrt((row * place**2).sum() / row.sum()) - 4 * side / 224) < 0.6


def test_a_large_image_is_brought_to_the_size_of_imagenet_c() -> None:
    assert seen(array(600, 900), "noise").shape == (SIDE, 336, 3)
    assert seen(array(60, 90), "noise").shape == (60, 90, 3)


def test_zoom_is_a_part() -> None:
    item = array(40, 50)
    windows = np.lib.stride_tricks.sliding_window_view
    for number in range(1, 9):
        part = seen(item, f"zoom{number}:0.2").astype(np.uint8)
        assert 0.15 * 2000 < part.shape[0] * part.shape[1] <= 2000
        places = windows(item, part.shape)[..., 0, :, :, :]
        mirrored = part[:, ::-1]
        assert any((places == one).all(axis=(2, 3, 4)).any() for one in (part, mirrored))


def test_images_of_one_band() -> None:
    grey = Image.fromarray(array()).convert("L")
    assert read_image(View.of(grey, "noise")).mode == "L"
    deep = Image.fromarray((np.asarray(grey, np.float32) - 100) * 7)
    assert read_image(View.of(deep, "blur"), deep=True).mode == "L", "floats are scaled"


def test_loudness_and_noise_in_decibels() -> None:
    sound = tone(440)
    torch.testing.assert_close(heard(sound, "loudness:-20"), sound / 10)
    assert float(heard(sound, "loudness:40").max()) == 1
    added = heard(sound, "noise:10") - sound
    assert abs(float(10 * torch.log10(sound.square().mean() / added.square().mean())) - 10) < 0.2
    assert torch.equal(heard(torch.zeros(100), "noise"), torch.zeros(100)), "silence has no signal"


def test_a_band_keeps_what_is_within() -> None:
    def left(hertz: float, text: str = "band") -> float:
        return float(heard(tone(hertz), text)[2000:].std() / tone(hertz).std())

    assert left(1000) > 0.9 and left(60) < 0.1 and left(7000) < 0.2
    assert left(2000, "band:500") < 0.1


def test_speed_and_shift() -> None:
    assert abs(len(heard(tone(440), "speed:2")) - 8000) < 10
    sound = tone(440) * torch.linspace(0, 1, 16000)
    moved = heard(sound, "shift:0.1")
    shifts = [n for n in range(-1600, 1601) if torch.equal(sound.roll(n), moved)]
    assert len(shifts) == 1 and shifts != [0]


def test_the_view_is_of_the_item_at_its_own_rate(tmp_path: Path) -> None:
    """So every encoder hears the same noise."""
    soundfile.write(tmp_path / "a.wav", tone(440, rate=8000).numpy(), 8000, subtype="FLOAT")
    item = View.of(tmp_path / "a.wav", "noise:10")
    own = read_sound(item, 8000)
    torch.testing.assert_close(read_sound(item, 16000), read_sound((own.numpy(), 8000), 16000))


@pytest.mark.parametrize("reference", ["pixels:8", "logmel"])
def test_encoders_know_every_view(reference: str, tmp_path: Path) -> None:
    encoder = make_encoder(reference, manager(), torch.device("cpu"))
    items: list[Any] = [array(), tmp_path / "a.png", 16.0 * np.random.default_rng(1).random((8, 8))]
    Image.fromarray(array()).save(tmp_path / "a.png")
    items = [(tone(440).numpy(), 16000)] if encoder.modality == "audio" else items[1:]
    known = known_views(encoder)
    assert {"noise", "flip" if encoder.modality == "image" else "band"} <= set(known)
    for item in items:
        rows = encoder.encode([item, *(View.of(item, kind) for kind in known)])
        assert bool(rows.isfinite().all()) and not torch.allclose(rows[0], rows[1 + known.index("noise")], atol=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "fog",
            "the image encoder has no view 'fog' (it has: blur, brightness, contrast, crop, flip, jpeg, noise, zoom)",
        ),
        (
            "noise:2",
            "view 'noise:2': its strength (standard deviation, of a range of 1; 0.18 if left out) is from 0 to 1",
        ),
        ("flip:2", "view 'flip:2': flip has no strength; type flip"),
        ("noise:much", "view 'noise:much': write a name, and behind a colon its strength, a number: noise:0.2"),
        ("noise:nan", "view 'noise:nan': write a name, and behind a colon its strength"),
        (":2", "view ':2': write a name"),
        ("12", "view '12': write a name"),
    ],
)
def test_what_can_be_typed(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_view(text, "image", known_views(make_encoder("pixels", manager(), torch.device("cpu"))))
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_a_view_of_nothing_names_the_item_and_the_view(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"a\.wav \(fog:2\): of audio there is no view 'fog'; there are band, loudness"):
        soundfile.write(tmp_path / "a.wav", tone(440).numpy(), 16000)
        read_sound(View.of(tmp_path / "a.wav", "fog:2"), 16000)
