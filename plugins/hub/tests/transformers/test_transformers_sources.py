"""What is typed, and what is wrong with it: a line each, and nothing of the network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm import Dataset, PluginError, UsageError
from xm.encoders import EncoderChoice, FeatureStore, make_encoder
from xm.plugins import manager
from xm_hub.pretrained.loading import RELEASE

Tiny = Callable[[str], Path]
CPU = torch.device("cpu")
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 614596545\n"


def made(reference: str) -> Any:
    return make_encoder(reference, manager(), CPU)


def refused(reference: str, item: Any, said: str, kind: type[Exception] = UsageError) -> None:
    with pytest.raises(kind, match=said) as caught:
        made(reference).encode([item])
    assert "\n" not in str(caught.value)


def test_towers_are_siblings_in_one_space(tiny: Tiny) -> None:
    data = Dataset(name="none", classes=("a", "b"), samples=())
    for name, target, model in (("transformers", "image", "siglip"), ("transformers-video", "video", "xclip")):
        choice = EncoderChoice(manager(), data, CPU, {target: f"{name}:{tiny(model)}"})
        text = choice["text"]
        assert text.reference == f"transformers-text:{tiny(model)}"
        assert text.why == f"it shares the space of the {target} encoder" and text.encoder.accepts_names
        assert text.encoder.space == choice[target].encoder.space
    alone = EncoderChoice(manager(), data, CPU, {"image": f"transformers:{tiny('convnext')}"})
    assert not alone["text"].reference.startswith("transformers"), "a model with one tower has no fellow"


def test_fingerprints_say_weights_preprocessing_and_pooling(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny("dinov2")
    other = shutil.copytree(folder, tmp_path / "other")
    one = made(f"transformers:{folder}").fingerprint()
    assert made(f"transformers:{other}").fingerprint() == one
    assert made(f"transformers:{other}").space == made(f"transformers:{folder}").space
    found = {one, made(f"transformers:{folder}?pool=mean").fingerprint()}
    path = other / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_normalize": False}))
    found.add(made(f"transformers:{other}").fingerprint())
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    found.add(made(f"transformers:{other}").fingerprint())
    assert len(found) == 4


def test_the_hubs_cache_is_used_by_revision(monkeypatch: pytest.MonkeyPatch, tiny: Tiny, tmp_path: Path) -> None:
    home = tmp_path / "models--some--siglip"
    shutil.copytree(tiny("siglip"), home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    (home / "refs" / "v1").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    image, text = made("transformers:some/siglip"), made("transformers-text:some/siglip")
    assert image.space == text.space == "transformers:some/siglip"
    assert made("transformers:some/siglip@v1").space == "transformers:some/siglip@v1"
    assert torch.equal(image.encode([PICTURE]), made(f"transformers:{tiny('siglip')}").encode([PICTURE]))
    assert image.fingerprint() == made(f"transformers:{tiny('siglip')}").fingerprint()
    (weights,) = text.pretrained()
    assert weights.here and weights.name == "some/siglip" and weights.source == "huggingface.co"


def test_offline_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("transformers", "transformers-text", "transformers-audio", "transformers-video"):
        refused(f"{name}:some/model", "x", r"HF_HUB_OFFLINE is set: copy .*, or name a folder", PluginError)


def test_encoders_say_what_to_type() -> None:
    for name in ("transformers", "transformers-text", "transformers-audio", "transformers-video"):
        assert f" {name}:" in (manager().encoders.find(name).why_not() or "")


def test_towers_that_there_are_not(tiny: Tiny) -> None:
    refused(f"transformers-audio:{tiny('clip')}", "x", "clip model has no tower for audio; type --image-encoder trans")
    refused(f"transformers:{tiny('bert')}", PICTURE, "bert model has no tower for image; type --text-encoder")
    refused("transformers:nowhere", PICTURE, r"no such folder, and no ORG/NAME of the hub as in transformers:google/")


@pytest.mark.parametrize(
    ("option", "said"),
    [("pool=last", "pool"), ("pole=cls", "did you mean 'pool'"), ("cls", "NAME=VALUE"), ("code=yes", "code")],
)
def test_wrong_options(tiny: Tiny, option: str, said: str) -> None:
    refused(f"transformers:{tiny('clip')}?{option}", PICTURE, said)


def _fewer(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def _other(folder: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, folder / "model.safetensors", metadata={"format": "pt"})


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weights": Path("x")}, folder / "pytorch_model.bin")


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "config.json").unlink(), r"no config\.json"),
        (lambda f: (f / "config.json").write_text("["), r"config\.json: is no JSON"),
        (
            lambda f: (f / "preprocessor_config.json").unlink(),
            r"no preprocessor_config\.json or processor_config\.json",
        ),
        (lambda f: (f / "preprocessor_config.json").write_text("{"), "its preprocessing does not load"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors or"),
        (lambda f: (f / "model.safetensors").write_bytes(POINTER), "is a Git LFS pointer"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "holds no weights of this model"),
        (_fewer, r"lacks 1 of the model's tensors, such as visual_projection\.weight"),
        (_other, "holds no weights of this model"),
        (_pickle, "could run code"),
        (_config(projection_dim=48), "size mismatch for .*_projection"),
        (_config(model_type="nonesuch", architectures=[]), "nonesuch"),
    ],
)
def test_damaged_folders_are_told_in_a_line(tiny: Tiny, tmp_path: Path, spoil: Any, said: str) -> None:
    other = shutil.copytree(tiny("clip"), tmp_path / "damaged")
    spoil(other)
    refused(f"transformers:{other}", PICTURE, said)


def test_tokenizers_that_are_not_there(tiny: Tiny, tmp_path: Path) -> None:
    other = shutil.copytree(tiny("clip"), tmp_path / "damaged")
    (other / "tokenizer.json").write_text("{}")
    refused(f"transformers-text:{other}", "a", "its tokenizer does not load")
    (other / "tokenizer.json").unlink()
    refused(f"transformers-text:{other}", "a", r"no tokenizer\.json or vocab\.json")


CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

class OwnConfig(PretrainedConfig):
    model_type = "own-thing"

class OwnModel(PreTrainedModel):
    config_class = OwnConfig
    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(3, 6)
        self.post_init()
    def forward(self, pixel_values):
        pooled = self.layer(pixel_values.mean(dim=(2, 3)))
        return BaseModelOutputWithPooling(last_hidden_state=pooled[:, None], pooler_output=pooled)
"""


def test_code_among_the_files_runs_by_the_users_word_alone(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers.dynamic_module_utils as dynamic
    from safetensors.torch import save_file

    monkeypatch.setattr(dynamic, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "own.py").write_text(CODE)
    code = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({"model_type": "own-thing", "auto_map": code}))
    save_file(
        {"layer.weight": torch.randn(6, 3), "layer.bias": torch.randn(6)},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    shutil.copy(tiny("vit") / "preprocessor_config.json", folder)
    refused(f"transformers:{folder}", PICTURE, r"its files bring Python code; if you trust them, type \?code=trust")
    encoder = made(f"transformers:{folder}?code=trust")
    assert encoder.encode([PICTURE]).shape == (1, 6)
    before = encoder.fingerprint()
    (folder / "own.py").write_text(CODE + "\n# changed")
    assert made(f"transformers:{folder}?code=trust").fingerprint() != before


def test_long_texts_are_cut_with_a_word(tiny: Tiny) -> None:
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(made(f"transformers-text:{tiny('clip')}?tokens=5"), ["a " * 9, "a dog"])
    assert heard[0].startswith("text: 1 of 2 items is longer than the 5 tokens")
    short, cut, more = made(f"transformers-text:{tiny('clip')}?tokens=5").encode(["a a a", "a a a dog", "dog a a"])
    assert torch.allclose(short, cut, atol=1e-6) and not torch.allclose(short, more, atol=1e-3)


def test_what_a_processor_of_today_saves(tiny: Tiny, tmp_path: Path) -> None:
    """transformers 5 writes processor_config.json, with a part for each modality; older releases don't read that."""
    if RELEASE < (5, 0):
        pytest.skip("needs transformers 5")
    other = shutil.copytree(tiny("clip"), tmp_path / "new")
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").unlink()
    (other / "processor_config.json").write_text(json.dumps({"image_processor": settings}))
    expected = made(f"transformers:{tiny('clip')}").encode([PICTURE])
    assert torch.equal(made(f"transformers:{other}").encode([PICTURE]), expected)


def test_positions_that_only_the_class_knows(tiny: Tiny, tmp_path: Path) -> None:
    """Published SigLIP configurations leave them out, and tokenizers of SigLIP 2 have no bound."""
    other = shutil.copytree(tiny("siglip2"), tmp_path / "short")
    config = json.loads((other / "config.json").read_text())
    del config["text_config"]["max_position_embeddings"]
    (other / "config.json").write_text(json.dumps(config))
    settings = json.loads((other / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (other / "tokenizer_config.json").write_text(json.dumps(settings))
    assert made(f"transformers-text:{other}")._most == 64


def test_code_is_refused_beside_a_known_class_too(tiny: Tiny, tmp_path: Path) -> None:
    shutil.copytree(tiny("vit"), folder := tmp_path / "own-vit")
    config = json.loads((folder / "config.json").read_text())
    code = {"auto_map": {"AutoModelForImageClassification": "own.Own"}, "model_type": "own-vit"}
    (folder / "config.json").write_text(json.dumps(config | code))
    refused(f"transformers:{folder}", PICTURE, r"its files bring Python code; if you trust them, type \?code=trust")


def test_what_people_type_for_a_folder(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(tiny("clip"), tmp_path / "models" / "clip")
    monkeypatch.chdir(tmp_path)
    for typed, said, kind in (
        ("", "^transformers needs a model: transformers:google/", UsageError),
        (
            ":models/clip/model.safetensors",
            "is a file; type the folder that it is in: transformers:models/clip$",
            UsageError,
        ),
        (":models/clap", r"transformers:FOLDER \(the folder models here holds no clap\)", PluginError),
        (":models/clip@main", r"\(a folder has no revision: transformers:models/clip\)", PluginError),
        (":models/clip?pool=cls", "has towers in one space, .*; leave out [?]pool=", UsageError),
    ):
        refused(f"transformers{typed}", PICTURE, said, kind)
