"""The conformance kit, on the tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xm import EncoderSpec, ItemError
from xm.testing import EncoderConformance
from xm_openclip import encoders
from xm_openclip.image import ImageEncoder
from xm_openclip.text import TextEncoder


class TestImage(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _argument(self, folder: Path) -> None:
        self.argument = f"local-dir:{folder}"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, images: list[Path]) -> list[Any]:
        return [*images, str(images[0]), Image.open(images[1]), np.zeros((20, 30, 3), np.uint8)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        (tmp_path / "no-image.png").write_bytes(b"\x89PNG\r\n\x1a\nand nothing else")
        return tmp_path / "no-image.png"


class TestText(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _argument(self, folder: Path) -> None:
        self.argument = f"local-dir:{folder}"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[1]

    @pytest.fixture
    def items(self, texts: list[str], tmp_path: Path) -> list[Any]:
        (tmp_path / "long.txt").write_text("words and more words " * 50)
        return [*texts, tmp_path / "long.txt"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.txt"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (np.zeros((4, 4, 3), np.float32), "expected uint8"),
        (np.zeros((4, 4, 2), np.uint8), "<array 4x4x2 uint8>"),
        (np.zeros((0, 4, 3), np.uint8), "<array 0x4x3 uint8>"),
        (7, "<7>: is no image"),
        ("missing.png", "missing.png: no such file"),
    ],
)
def test_unreadable_images(folder: Path, item: Any, says: str) -> None:
    with pytest.raises(ItemError) as caught:
        ImageEncoder(f"local-dir:{folder}").encode([item])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_pil_image(folder: Path, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(images[0].read_bytes()[:2000])
    with pytest.raises(ItemError, match="<image 64x40 RGB>: is damaged"):
        ImageEncoder(f"local-dir:{folder}").encode([Image.open(tmp_path / "cut.png")])


def test_unreadable_texts(folder: Path, tmp_path: Path) -> None:
    encoder = TextEncoder(f"local-dir:{folder}")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(ItemError, match=r"latin.txt: is not UTF-8 at byte 2"):
        encoder.encode([tmp_path / "latin.txt"])
    with pytest.raises(ItemError, match="<3>: is not a text"):
        encoder.encode([3])
