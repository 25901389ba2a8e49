"""Loading: equal to open_clip's own, safe, and shared by the two towers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from xm import Encoder, PluginError, UsageError
from xm_openclip import catalogue, model
from xm_openclip.image import ImageEncoder
from xm_openclip.text import TextEncoder

State = dict[str, Tensor]


def by_open_clip(
    images: list[Path], texts: list[str], name: str, pretrained: str | None = None
) -> tuple[Tensor, Tensor]:
    clip, _, transform = open_clip.create_model_and_transforms(name, pretrained=pretrained)
    clip.eval()
    with torch.no_grad():
        pixels = torch.stack([transform(over_white(Image.open(path))) for path in images])
        return clip.encode_image(pixels), clip.encode_text(open_clip.get_tokenizer(name)(texts))


def over_white(image: Image.Image) -> Image.Image:
    """What is seen of an image; CLIP's own code drops alpha, and shows what it hides."""
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def assert_equal_features(
    argument: str, images: list[Path], texts: list[str], name: str, pretrained: str | None
) -> None:
    image, text = by_open_clip(images, texts, name, pretrained)
    torch.testing.assert_close(ImageEncoder(argument).trunk(images)["features"], image, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(TextEncoder(argument).trunk(texts)["features"], text, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_checkpoint_files(
    suffix: str, registered: str, state: State, images: list[Path], texts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    assert_equal_features(f"{registered}/{path}", images, texts, registered, str(path))
    loaded = ImageEncoder(f"{registered}/{path}")._model().module.state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_folder_with_preprocessing(
    make_folder: Callable[..., Path], config: dict[str, Any], images: list[Path], texts: list[str]
) -> None:
    siglip = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    folder = make_folder(config | {"quick_gelu": True}, preprocess=siglip)
    assert_equal_features(f"local-dir:{folder}", images, texts, f"local-dir:{folder}", None)
    plain = make_folder(config | {"quick_gelu": True})
    assert ImageEncoder(f"local-dir:{folder}").fingerprint() != ImageEncoder(f"local-dir:{plain}").fingerprint()
    assert TextEncoder(f"local-dir:{folder}").fingerprint() == TextEncoder(f"local-dir:{plain}").fingerprint()


def test_hub_cache(
    config: dict[str, Any],
    folder: Path,
    images: list[Path],
    texts: list[str],
    hub: Path,
    as_hub: Callable[..., str],
) -> None:
    """A repository in the cache is used without the network, and its blob's name is its identity."""
    digest = as_hub("org/tiny", folder)
    image, text = ImageEncoder("hf-hub:org/tiny"), TextEncoder("hf-hub:org/tiny")
    assert image.space == text.space == "openclip:hf-hub:org/tiny"
    assert image._reference.weights.identity() == digest
    local = ImageEncoder(f"local-dir:{folder}")
    assert image.fingerprint() == local.fingerprint()
    assert torch.equal(image.encode(images), local.encode(images))
    assert torch.equal(text.encode(texts), TextEncoder(f"local-dir:{folder}").encode(texts))


def test_random(registered: str, images: list[Path]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.load.cache_clear()
    first = ImageEncoder(f"{registered}/random:0").encode(images)
    assert torch.equal(torch.rand(3), expected), "loading a model moved the global random state"
    model.load.cache_clear()
    assert torch.equal(ImageEncoder(f"{registered}/random:0").encode(images), first)
    other = ImageEncoder(f"{registered}/random:1")
    assert not torch.allclose(other.encode(images), first)
    assert other.fingerprint() != ImageEncoder(f"{registered}/random:0").fingerprint()


def test_towers_share_one_model(folder: Path, images: list[Path], texts: list[str]) -> None:
    image, text = ImageEncoder(f"local-dir:{folder}"), TextEncoder(f"local-dir:{folder}")
    model.load.cache_clear()
    image.encode(images)
    text.encode(texts)
    assert model.load.cache_info().misses == 1
    assert image.space == text.space and image.dim == text.dim == 48


def test_moved_weights_are_the_same_space(
    registered: str, state: State, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("a", "b"):
        save_file(state, tmp_path / f"{name}.safetensors")
    a, b = (ImageEncoder(f"{registered}/{tmp_path}/{name}.safetensors") for name in ("a", "b"))
    assert a.space == b.space and a.fingerprint() == b.fingerprint()
    assert str(tmp_path) not in a.space
    c, d = (TextEncoder(f"local-dir:{make_folder()}") for _ in range(2))
    assert c.space == d.space and c.fingerprint() == d.fingerprint()


def test_activation_is_in_space_fingerprint_and_output(
    registered: str,
    state: State,
    make_folder: Callable[..., Path],
    config: dict[str, Any],
    images: list[Path],
    texts: list[str],
    tmp_path: Path,
) -> None:
    save_file(state, tmp_path / "w.safetensors")
    pairs: list[tuple[Encoder, Encoder]] = [
        (
            make(f"{registered}/{tmp_path}/w.safetensors"),
            make(f"{registered}-quickgelu/{tmp_path}/w.safetensors"),
        )
        for make in (ImageEncoder, TextEncoder)
    ]
    quick = make_folder(config | {"quick_gelu": True})
    pairs.append((ImageEncoder(f"local-dir:{make_folder()}"), ImageEncoder(f"local-dir:{quick}")))
    for gelu, quickgelu in pairs:
        assert "quickgelu" in quickgelu.space and "quickgelu" not in gelu.space
        assert gelu.fingerprint() != quickgelu.fingerprint()
        items: list[Any] = images if gelu.modality == "image" else texts
        assert not torch.allclose(gelu.encode(items), quickgelu.encode(items), atol=1e-5)
    name = f"{registered}-quickgelu"
    assert_equal_features(f"{name}/{tmp_path}/w.safetensors", images, texts, name, f"{tmp_path}/w.safetensors")


class Part(nn.Module):
    """Parameters under names with dots, as modules in modules; computes nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def nested(state: State) -> Part:
    root = Part()
    for name, value in state.items():
        *path, last = name.split(".")
        part: nn.Module = root
        for step in path:
            if step not in part._modules:
                part.add_module(step, Part())
            part = part.get_submodule(step)
        part.register_parameter(last, nn.Parameter(value.half()))
    for name in ("input_resolution", "context_length", "vocab_size"):
        root.register_buffer(name, torch.tensor(1))
    return root


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_torchscript(
    registered: str,
    state: State,
    images: list[Path],
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An archive of OpenAI's is read, with QuickGELU; any other is refused."""
    path = tmp_path / "ViT.pt"
    torch.jit.trace(nested(state), torch.zeros(1)).save(str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(UsageError, match="TorchScript archive, and none that OpenAI published"):
        ImageEncoder(f"{registered}/{path}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(catalogue, "openai_archives", lambda: {digest})
    encoder = ImageEncoder(f"{registered}/{path}")
    assert encoder.space == f"openclip:{registered}-quickgelu/{digest[:12]}"
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "w.safetensors")
    same = ImageEncoder(f"{registered}-quickgelu/{tmp_path}/w.safetensors")
    assert torch.equal(encoder.encode(images), same.encode(images))


def test_openai_archives_are_known() -> None:
    known = catalogue.openai_archives()
    assert len(known) == 9 and all(len(digest) == 64 for digest in known)


def test_wrong_checkpoint(registered: str, state: State, tmp_path: Path) -> None:
    fewer = {name: value for name, value in state.items() if "resblocks.1" not in name}
    save_file(fewer, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=r"w.safetensors does not fit .*Missing key.*of another model\?") as caught:
        ImageEncoder(f"{registered}/{tmp_path}/w.safetensors").encode([Image.new("RGB", (9, 9))])
    assert "\n" not in str(caught.value)
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for name in ("list.pt", "junk.safetensors"):
        with pytest.raises(UsageError, match=f"{name} does not fit") as caught:
            ImageEncoder(f"{registered}/{tmp_path}/{name}").encode([Image.new("RGB", (9, 9))])
        assert "\n" not in str(caught.value)


class Trap:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_pickle_is_not_run(registered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Trap()}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match="could run code, so it is not loaded"):
        ImageEncoder(f"{registered}/w.pt").encode([Image.new("RGB", (9, 9))])
    assert not Path("ran").exists()


def test_missing_tokenizer(make_folder: Callable[..., Path], config: dict[str, Any]) -> None:
    config = config | {"text_cfg": config["text_cfg"] | {"hf_tokenizer_name": "org/words"}}
    encoder = TextEncoder(f"local-dir:{make_folder(config)}")
    with pytest.raises(PluginError, match="its tokenizer does not load") as caught:
        encoder.encode(["a"])
    assert "\n" not in str(caught.value)


def test_missing_tower_configuration(make_folder: Callable[..., Path], config: dict[str, Any]) -> None:
    config["text_cfg"] = {"hf_model_name": "org/words", "context_length": 16}
    encoder = TextEncoder(f"local-dir:{make_folder(config)}")
    with pytest.raises(PluginError, match="a tower's configuration is missing") as caught:
        encoder.split(1)
    assert "\n" not in str(caught.value)


def test_bad_model_cfg(make_folder: Callable[..., Path], config: dict[str, Any]) -> None:
    folder = make_folder(config | {"tower": "high"})
    with pytest.raises(UsageError, match=r"rejects its model_cfg.*tower"):
        ImageEncoder(f"local-dir:{folder}").encode([Image.new("RGB", (9, 9))])


def test_precision(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """CUDA computes in half precision, and so has a fingerprint of its own."""
    assert model.precision(torch.device("cpu")) == torch.float32
    on_cpu = ImageEncoder(f"local-dir:{folder}").fingerprint()
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert model.precision(torch.device("cuda")) == torch.bfloat16
    assert ImageEncoder(f"local-dir:{folder}").to("cuda").fingerprint() != on_cpu
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert model.precision(torch.device("cuda")) == torch.float16


def test_tokenizer_files_are_in_the_fingerprint(make_folder: Callable[..., Path], config: dict[str, Any]) -> None:
    config = config | {"text_cfg": config["text_cfg"] | {"hf_tokenizer_name": "org/words"}}
    folder = make_folder(config)
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1"}))
    before = TextEncoder(f"local-dir:{folder}").fingerprint()
    (folder / "tokenizer.json").write_text(json.dumps({"version": "2.0"}))
    assert TextEncoder(f"local-dir:{folder}").fingerprint() != before
