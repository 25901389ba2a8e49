"""What may follow the colon, what it resolves to, and the errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip  # type: ignore[import-untyped]
import pytest
import torch

from xm import PluginError, UsageError, XMError
from xm_openclip import available, catalogue, encoders
from xm_openclip.image import ImageEncoder
from xm_openclip.reference import resolve
from xm_openclip.text import TextEncoder


@pytest.mark.parametrize(
    ("argument", "space"),
    [
        ("ViT-B-32/laion2b_s34b_b79k", "openclip:ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-32/laion2b-s34b-B79K", "openclip:ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-32/openai", "openclip:ViT-B-32-quickgelu/openai"),
        ("ViT-B-32-quickgelu/openai", "openclip:ViT-B-32-quickgelu/openai"),
        ("ViT-B-32-quickgelu/random:07", "openclip:ViT-B-32-quickgelu/random:7"),
    ],
)
def test_space(argument: str, space: str) -> None:
    assert ImageEncoder(argument).space == TextEncoder(argument).space == space
    assert ImageEncoder(argument).dim == 512


@pytest.mark.parametrize("name", ["openai", "random:0"])
def test_spellings_of_quickgelu_are_one(name: str) -> None:
    one, other = resolve(f"ViT-B-32-quickgelu/{name}"), resolve("ViT-B-32/openai")
    assert one.config == other.config


@pytest.mark.parametrize(("model", "tag"), open_clip.list_pretrained()[::7])
def test_tags_resolve_as_open_clip_says(model: str, tag: str) -> None:
    found, reference = open_clip.get_pretrained_cfg(model, tag), resolve(f"{model}/{tag}")
    config = json.loads(reference.config)
    assert config["quick_gelu"] or not found.get("quick_gelu")
    assert reference.dim == open_clip.get_model_config(model)["embed_dim"]
    preprocess = json.loads(reference.preprocess)
    for key in ("mean", "std", "interpolation", "resize_mode"):
        assert preprocess[key] == (list(found[key]) if key in ("mean", "std") else found[key])
    assert found["hf_hub"].startswith(reference.weights.repo)  # type: ignore[union-attr]


def test_preprocessing_default_is_open_clips() -> None:
    default = open_clip.transform.PreprocessCfg()
    for name, value in catalogue.preprocessing({}).items():
        assert getattr(default, name) == (tuple(value) if isinstance(value, list) else value), name


def test_plain_checkpoint_gets_the_preprocessing_of_its_models_tags() -> None:
    assert catalogue.usual_preprocessing("ViT-B-16-SigLIP")["mean"] == [0.5, 0.5, 0.5]
    assert catalogue.usual_preprocessing("ViT-B-32") == catalogue.preprocessing({})


def test_default_and_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("XM_OPENCLIP", raising=False)
    assert ImageEncoder().space == f"openclip:{available.DEFAULT}"
    monkeypatch.setenv("XM_OPENCLIP", f"local-dir:{folder}")
    assert ImageEncoder().space == TextEncoder("").space == ImageEncoder(f"local-dir:{folder}").space


def test_available(hub: Path, as_hub: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XM_OPENCLIP", raising=False)
    image, text = encoders()
    assert image.why_not() == (
        "no open_clip weights on this machine; name a model to download it: "
        "--image-encoder openclip:ViT-B-32/laion2b_s34b_b79k"
    )
    assert "--text-encoder openclip-text:ViT-B-32" in str(text.why_not())
    monkeypatch.setenv("XM_OPENCLIP", "ViT-B-32/openai")
    assert image.why_not() is text.why_not() is None
    monkeypatch.delenv("XM_OPENCLIP")
    as_hub(available.DEFAULT_REPO, folder)
    assert image.why_not() is text.why_not() is None


def test_default_is_open_clips_repository() -> None:
    found = open_clip.get_pretrained_cfg(*available.DEFAULT.split("/"))
    assert found["hf_hub"] == f"{available.DEFAULT_REPO}/"


def _run(code: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_availability_imports_nothing_heavy() -> None:
    code = (
        "import sys, json; from xm_openclip import encoders; [spec.why_not() for spec in encoders()]; "
        "heavy = ('torch', 'open_clip', 'huggingface_hub', 'numpy'); "
        "print(json.dumps([m for m in heavy if m in sys.modules]))"
    )
    assert _run(code) == []


def test_construction_does_not_import_open_clip() -> None:
    code = (
        "import sys, json; from xm_openclip.image import ImageEncoder; "
        "from xm_openclip.text import TextEncoder; "
        "e = ImageEncoder('ViT-L-14/openai'); TextEncoder('RN50/cc12m'); "
        "print(json.dumps([e.space, e.dim, e._reference.config, 'open_clip' in sys.modules]))"
    )
    here = resolve("ViT-L-14/openai")
    assert _run(code) == [here.space, here.dim, here.config, False]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/b"}, "/b"),
        ({"HF_HOME": "/c"}, "/c/hub"),
        ({"XDG_CACHE_HOME": "/d"}, "/d/huggingface/hub"),
        ({"HOME": "/e"}, "/e/.cache/huggingface/hub"),
    ],
)
def test_cache_folder_is_the_clients(variables: dict[str, str], expected: str) -> None:
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    code = (
        f"import os, json; [os.environ.pop(n, None) for n in {names}]; os.environ.update({variables}); "
        "from xm.plugins.hub import cache_dir; from huggingface_hub import constants; "
        "print(json.dumps([str(cache_dir()), constants.HF_HUB_CACHE]))"
    )
    assert _run(code) == [expected, expected]


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("ViT-B-33/openai", "unknown open_clip model 'ViT-B-33'; nearest of .*ViT-B-32"),
        ("ViT-B-32/opnai", "'ViT-B-32' has no weights 'opnai'; nearest of .*: openai"),
        ("ViT-B-32", "names no weights; write openclip:ViT-B-32/TAG .*openai"),
        ("ViT-B-32/random:x", "expected a seed"),
        ("ViT-B-32/missing.pt", "no such checkpoint: missing.pt"),
        ("local-dir:/no/such", "openclip:local-dir:/no/such: no such folder"),
        ("local-dir:", "openclip:local-dir:: no such folder"),
        ("hf-hub:name", "expected openclip:hf-hub:ORG/NAME"),
    ],
)
def test_errors(argument: str, says: str) -> None:
    for make in (ImageEncoder, TextEncoder):
        with pytest.raises(UsageError, match=says) as caught:
            make(argument)
        assert "\n" not in str(caught.value)


def test_absolute_path_with_one_slash(registered: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "w.pt")
    with pytest.raises(UsageError, match=f"write openclip:{registered}/{tmp_path}/w.pt"):
        resolve(f"{registered}{tmp_path}/w.pt")


def test_name_that_says_quickgelu(registered: str, tmp_path: Path) -> None:
    torch.save({}, tmp_path / "ViT-OpenAI.pt")
    with pytest.raises(UsageError, match=f"write openclip:{registered}-quickgelu/{tmp_path}"):
        resolve(f"{registered}/{tmp_path}/ViT-OpenAI.pt")
    assert "quickgelu" in resolve(f"{registered}-quickgelu/{tmp_path}/ViT-OpenAI.pt").space


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        ("{", "not an open_clip configuration"),
        ("{}", "not an open_clip configuration: KeyError: 'model_cfg'"),
        ('{"model_cfg": {"embed_dim": 1}}', "model_cfg lacks text_cfg, vision_cfg"),
    ],
)
def test_bad_folder(content: str | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "open_clip_config.json").write_text(content)
    with pytest.raises(UsageError, match=says):
        resolve(f"local-dir:{tmp_path}")


def test_folder_needs_one_checkpoint(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_bytes((folder / "open_clip_config.json").read_bytes())
    with pytest.raises(UsageError, match=r"expected one checkpoint, .*found none"):
        resolve(f"local-dir:{tmp_path}")
    for name in ("b.pt", "a.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
    with pytest.raises(UsageError, match=r"found a.safetensors, b.pt"):
        resolve(f"local-dir:{tmp_path}")
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"preferred")
    assert resolve(f"local-dir:{tmp_path}").weights.path.name == "open_clip_model.safetensors"  # type: ignore[union-attr]


@pytest.mark.parametrize("argument", ["ViT-B-32/openai", "hf-hub:org/name"])
def test_offline(hub: Path, argument: str) -> None:
    with pytest.raises(PluginError, match="is not on this machine and HF_HUB_OFFLINE is set: copy") as caught:
        ImageEncoder(argument).fingerprint()
    assert "openclip:local-dir:FOLDER" in str(caught.value) and "\n" not in str(caught.value)


def test_hub_errors(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub's client raises, in one line each."""
    import huggingface_hub
    from huggingface_hub import errors

    def answer(error: type[Exception]) -> Callable[..., str]:
        def download(repo: str, name: str, revision: str) -> str:
            raise error.__new__(error)

        return download

    cases: list[tuple[type[Exception], type[XMError], str]] = [
        (errors.RepositoryNotFoundError, UsageError, "no public repository 'org/name'"),
        (errors.GatedRepoError, PluginError, "hf auth login"),
        (errors.EntryNotFoundError, UsageError, "has no open_clip_config.json"),
        (
            errors.LocalEntryNotFoundError,
            PluginError,
            "open_clip_config.json of org/name is not on this machine",
        ),
        (ConnectionError, PluginError, "huggingface.co can't be reached"),
    ]
    monkeypatch.delenv("HF_HUB_OFFLINE")
    for raised, expected, says in cases:
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer(raised))
        with pytest.raises(expected, match=says):
            ImageEncoder("hf-hub:org/name")


def test_weights_are_told(hub: Path, as_hub: Callable[..., str], folder: Path) -> None:
    assert ImageEncoder("ViT-B-32/random:0").pretrained() == ()
    [local] = TextEncoder(f"local-dir:{folder}").pretrained()
    assert local.source == "file" and local.paths == (folder / "open_clip_model.safetensors",)
    [absent] = ImageEncoder("ViT-B-32/laion2b_s34b_b79k").pretrained()
    assert (absent.name, absent.source) == (available.DEFAULT_REPO, "huggingface.co")
    assert not absent.here and absent.get is not None
    with pytest.raises(PluginError, match="openclip:local-dir:FOLDER"):
        absent.get()
    as_hub("org/tiny", folder)
    [held] = TextEncoder("hf-hub:org/tiny").pretrained()
    assert held.name == "org/tiny" and held.size == local.size and held.here
