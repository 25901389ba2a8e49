"""The encoder `timm`, with the smallest models that timm has, of random weights, saved as it saves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from xm import Dataset, EncoderSpec, PluginError, UsageError
from xm.encoders import EncoderChoice, make_encoder
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_hub.timm import labels

timm = pytest.importorskip("timm")

CPU = torch.device("cpu")


def save(folder: Path, name: str = "test_vit.r160_in1k", **arguments: Any) -> Path:
    """A model of random weights, by timm itself."""
    from timm.models._hub import save_for_hf

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, **arguments)
    save_for_hf(model, str(folder), safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("conv"), "test_convnext.r160_in1k", num_classes=7)


def made(argument: str) -> Any:
    return make_encoder(f"timm:{argument}", manager(), CPU, "image")


def pictures(n: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (40 + i, 64, 3), dtype=np.uint8) for i in range(n)]


class _Kit(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("timm")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        first, *rest = pictures()
        Image.fromarray(first).save(tmp_path / "a.png")
        return [tmp_path / "a.png", *rest, Image.new("L", (30, 20))]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.png"


class TestVisionTransformer(_Kit):
    @pytest.fixture(autouse=True)
    def _use(self, vit: Path) -> None:
        self.argument = str(vit)


class TestConvNet(_Kit):
    @pytest.fixture(autouse=True)
    def _use(self, conv: Path) -> None:
        self.argument = str(conv)


def test_equals_timm_itself(vit: Path) -> None:
    from timm.data.config import resolve_model_data_config
    from timm.data.transforms_factory import create_transform

    model = timm.create_model(f"local-dir:{vit}", pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(model), is_training=False)
    pixels = torch.stack([transform(Image.fromarray(item)) for item in pictures()])
    with torch.no_grad():
        expected = model.forward_head(model.forward_features(pixels), pre_logits=True)
        chances = model(pixels).softmax(dim=1)
    x = made(str(vit)).trunk(pictures())
    torch.testing.assert_close(x["features"], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(x["scores"], chances, atol=1e-5, rtol=1e-5)


def test_prototypes_have_imagenets_names(vit: Path, conv: Path, tmp_path: Path) -> None:
    found = made(str(vit)).prototypes()
    assert found.names[:2] == ("tench", "goldfish")
    assert sum("," in name for name in found.names) < 20, "names of several words where one would be of two classes"
    assert made(str(conv)).prototypes() is None, "seven classes without names"
    own = shutil.copytree(conv, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"label_names": list("abcdefg")}))
    assert made(str(own)).prototypes().names == tuple("abcdefg")
    assert made("test_vit/random:0").prototypes() is None, "random weights know no classes"


@pytest.mark.parametrize(
    ("tag", "classes", "subset"),
    [
        ("augreg_in21k_ft_in1k", 1000, "imagenet-1k"),
        ("augreg_in21k", 21843, "imagenet-21k-goog"),
        ("fb_in22k", 21841, "imagenet-22k"),
        ("sw_in12k", 11821, "imagenet-12k"),
        ("", 1000, "imagenet-1k"),
        ("webvision", 1000, None),
        ("a1_in1k", 10, None),
        ("augreg_in21k", 1000, None),
        ("openai", 0, None),
    ],
)
def test_which_imagenet(tag: str, classes: int, subset: str | None) -> None:
    assert labels.imagenet(tag, classes) == subset


def test_every_part_of_imagenet_has_its_number_of_names() -> None:
    for classes, (name, _) in labels.SUBSETS.items():
        assert len(labels._of_imagenet(name)) == classes


@pytest.mark.parametrize("depth", [1, 3, -1])
@pytest.mark.parametrize("name", ["vit", "conv"])
def test_front_and_tail_are_the_encoder(request: pytest.FixtureRequest, name: str, depth: int) -> None:
    encoder = made(str(request.getfixturevalue(name)))
    whole = encoder.encode(pictures())
    trunk, tail = encoder.split(depth)
    rows = [trunk([item]) for item in pictures()]
    x = {key: torch.cat([row[key] for row in rows]) for key in rows[0]}
    out = tail.train()(x)
    torch.testing.assert_close(out, whole, atol=1e-5, rtol=1e-4)
    (out @ torch.randn(encoder.dim)).sum().backward()
    assert all(parameter.grad is not None for parameter in tail.parameters())
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.mul_(0.5)
    assert torch.equal(encoder.encode(pictures()), whole), "training the tail changed the encoder"
    assert all(len(value) == 0 for value in trunk([]).values())


def test_wrong_depths_are_told(vit: Path, conv: Path) -> None:
    with pytest.raises(UsageError, match=r"at depth 99; depths are 0 \(frozen\), 1 to 6 and -1"):
        made(str(vit)).split(99)
    with pytest.raises(UsageError, match=r"ConvNeXt can't .* 1 to 4 and -1"):
        made(str(conv)).split(5)


def test_places_of_an_average_are_pooled() -> None:
    encoder = made("test_resnet/random:0")
    x = encoder.places(pictures())
    assert encoder.pooled and x["tokens"].shape == (3, 25, 96)
    mean = torch.nn.functional.normalize(x["tokens"].mean(dim=1), dim=1)
    torch.testing.assert_close(mean, encoder.encode(pictures()), atol=1e-5, rtol=1e-5)
    assert x["grid"][0, 1].tolist() == pytest.approx([0.1, 0.3])


def test_checkpoints_with_any_head(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    torch.manual_seed(1)
    states = {n: timm.create_model("test_vit", num_classes=n).state_dict() for n in (0, 5, 1000)}
    save_file(states[5], tmp_path / "five.safetensors")
    torch.save({"state_dict": states[1000], "epoch": 3}, tmp_path / "all.pth")
    save_file(states[0], tmp_path / "none.safetensors")
    found = {name: made(f"test_vit/{tmp_path}/{name}") for name in ("five.safetensors", "all.pth", "none.safetensors")}
    assert {name: encoder.prototypes() is not None for name, encoder in found.items()} == {
        "five.safetensors": False,
        "all.pth": True,
        "none.safetensors": False,
    }
    assert len({encoder.space for encoder in found.values()}) == 3
    assert all(encoder.encode(pictures()).shape == (3, 64) for encoder in found.values())
    with pytest.raises(UsageError, match=r"all\.pth does not fit timm:test_resnet/.*: ") as caught:
        made(f"test_resnet/{tmp_path}/all.pth").encode(pictures())
    assert "\n" not in str(caught.value)
    torch.save({"state_dict": Path("x")}, tmp_path / "code.pth")
    with pytest.raises(UsageError, match="could run code"):
        made(f"test_vit/{tmp_path}/code.pth").encode(pictures())


def test_the_hubs_cache_is_used_without_its_client(monkeypatch: Any, vit: Path, tmp_path: Path) -> None:
    home = tmp_path / "models--timm--test_vit.r160_in1k"
    shutil.copytree(vit, home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    named, repo, pinned = made("test_vit"), made("timm/test_vit.r160_in1k"), made("timm/test_vit.r160_in1k@abc")
    assert named.space == repo.space == "timm:timm/test_vit.r160_in1k" and pinned.space.endswith("@abc")
    expected = made(str(vit)).encode(pictures())
    for encoder in (named, repo, pinned):
        torch.testing.assert_close(encoder.encode(pictures()), expected)
    assert named.prototypes().names[0] == "tench"
    assert [weights.here for weights in named.pretrained()] == [True]


def test_offline_is_told_at_once(monkeypatch: Any, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    encoder = made("test_vit.r160_in1k")
    assert not encoder.pretrained()[0].here
    for fails in (lambda: encoder.encode(pictures()), lambda: made("some/model")):
        with pytest.raises(PluginError, match=r"HF_HUB_OFFLINE is set: copy .*, or name a folder") as caught:
            fails()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("", "timm needs a model"),
        ("vit_smal_patch16_224", "did you mean 'vit_small_patch16_224'"),
        ("test_vit.r160_in2k", "did you mean 'r160_in1k'"),
        ("test_coatnet", r"has no weights .*; name a file"),
        ("gcvit_tiny", r"not on the hub; download https://"),
        ("test_vit/random:x", "expected a seed"),
        ("test_vit/no/such.pth", "no such checkpoint: no/such.pth"),
        ("a/b/c", "no such folder, and neither"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(argument: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(argument)
    assert "\n" not in str(caught.value)


def _pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "config.json").unlink(), r"no config\.json"),
        (lambda f: (f / "config.json").write_text('{"model_type": "vit"}'), "type transformers:"),
        (lambda f: (f / "config.json").write_text('{"architecture": "vit_none"}'), "unknown timm model"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "does not fit"),
        (_pointer, "git lfs pull"),
    ],
)
def test_damaged_folders_are_told_in_a_line(vit: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    folder = shutil.copytree(vit, tmp_path / "damaged")
    spoil(folder)
    with pytest.raises(UsageError, match=said) as caught:
        made(str(folder)).encode(pictures())
    assert "\n" not in str(caught.value)


def test_fingerprints_say_weights_and_preprocessing(vit: Path, tmp_path: Path) -> None:
    other = shutil.copytree(vit, tmp_path / "other")
    assert made(str(other)).fingerprint() == made(str(vit)).fingerprint()
    config = json.loads((other / "config.json").read_text())
    config["pretrained_cfg"]["crop_pct"] = 0.5
    (other / "config.json").write_text(json.dumps(config))
    assert made(str(other)).fingerprint() != made(str(vit)).fingerprint()
    assert made("test_vit/random:0").fingerprint() != made("test_vit/random:1").fingerprint()


def test_as_target_and_as_auxiliary(vit: Path) -> None:
    data = Dataset(name="none", classes=("a", "b"), samples=())
    choice = EncoderChoice(manager(), data, CPU, {"image": f"timm:{vit}", "text": "minilm"})
    assert choice["image"].encoder.space != choice["text"].encoder.space


def test_a_checkpoint_without_its_model(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(vit.parent)
    file = f"{vit.name}/model.safetensors"
    with pytest.raises(UsageError, match=f"type the model before the file: timm:MODEL/{file}$"):
        made(file)
