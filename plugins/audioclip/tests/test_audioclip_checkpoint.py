"""What may follow the colon, and checkpoints that are none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm import PluginError, UsageError
from xm.media.lengths import LengthPolicy
from xm_audioclip import hub
from xm_audioclip.audio import AudioEncoder
from xm_audioclip.checkpoint import look
from xm_audioclip.clip import ImageEncoder, TextEncoder
from xm_audioclip.reference import Reference, resolve

Save = Callable[[Any], Path]
State = dict[str, Tensor]


def test_settings(checkpoint: Path) -> None:
    assert resolve(str(checkpoint)) == Reference(checkpoint)
    assert resolve(f"{checkpoint}?batch_statistics=10") == Reference(checkpoint, 10)
    assert resolve(f"{checkpoint}?amplitude=unit&batch_statistics=3") == Reference(checkpoint, 3, "unit")
    assert resolve(f"{checkpoint}?length=crop").length == LengthPolicy("crop", "pad")


def test_a_name_with_a_question_mark(checkpoint: Path, tmp_path: Path) -> None:
    odd = tmp_path / "which?batch_statistics=one.pt"
    odd.write_bytes(checkpoint.read_bytes())
    assert resolve(str(odd)) == Reference(odd)
    assert resolve(f"{odd}?batch_statistics=4") == Reference(odd, 4)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("?batch_statistic=10", "unknown setting of audioclip 'batch_statistic': did you mean 'batch_statistics'?"),
        ("?batch_statistics=1", "batch_statistics=1: expected a whole number of 2 or more"),
        ("?batch_statistics=", "batch_statistics=: expected a whole number"),
        ("?batch_statistics=-5", "expected a whole number"),
        ("?amplitude=units", "unknown amplitude of audioclip 'units': did you mean 'unit'?"),
        ("?length=cut", "unknown length policy 'cut'"),
        ("?batch_statistics=5&", "unknown setting of audioclip ''"),
        ("?", "unknown setting of audioclip ''"),
        ("?crop", r"unknown setting of audioclip 'crop' \(known: amplitude, batch_statistics, length\)"),
    ],
)
def test_wrong_settings(checkpoint: Path, settings: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        AudioEncoder(f"{checkpoint}{settings}")
    assert "\n" not in str(caught.value)


def test_nothing_named() -> None:
    with pytest.raises(UsageError, match=r"needs a checkpoint, as in audioclip:AudioCLIP-Full-Training.pt .*https://"):
        AudioEncoder()
    with pytest.raises(UsageError, match=r"no such checkpoint: no/such.pt \(download: https://"):
        TextEncoder("no/such.pt")


def without(state: State, *keys: str) -> State:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: {k: v for k, v in s.items() if not k.startswith("audio.")}, "it lacks audio.fc.weight .*CLIP.pt"),
        (lambda s: s | {"audio.fc.weight": torch.zeros(7, 2048)}, r"differ in width \(audio 7, image 24, text 24\)"),
        (lambda s: {"model": s}, "is no state dict"),
        (lambda s: [1, 2], "is no state dict"),
        (lambda s: {"path": Path("x")}, "holds more than tensors"),
    ],
)
def test_no_checkpoint(state: State, save: Save, change: Callable[[State], Any], says: str) -> None:
    path = save(change(state))
    for kind in (AudioEncoder, ImageEncoder, TextEncoder):
        with pytest.raises(UsageError, match=says) as caught:
            kind(str(path))
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no file of torch, .*download it again: https://"),
        (b"<html>not found</html>", "perhaps a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "or a Git LFS pointer"),
        (b"PK\x03\x04", "is damaged or cut short"),
    ],
)
def test_no_torch_file(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UsageError, match=rf"x\.pt {says}" if says.startswith("is") else says) as caught:
        AudioEncoder(str(tmp_path / "x.pt"))
    assert "\n" not in str(caught.value)


def test_a_download_cut_short(checkpoint: Path, tmp_path: Path, state: State) -> None:
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name, content in (("new", checkpoint.read_bytes()), ("old", (tmp_path / "old.pt").read_bytes())):
        (tmp_path / f"{name}-cut.pt").write_bytes(content[: len(content) // 2])
        with pytest.raises(UsageError, match=r"cut\.pt is damaged or cut short") as caught:
            AudioEncoder(str(tmp_path / f"{name}-cut.pt"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: without(s, "audio.att3.bn.bias"), "Missing key.*att3.bn.bias"),
        (lambda s: without(s, "audio.fbsp.fc"), "fbsp.fc"),
        (lambda s: without(s, "audio.layer1.0.conv2.weight"), "layer1.0.conv2.weight"),
        (lambda s: s | {"audio.more": torch.zeros(1)}, "Unexpected key.*more"),
        (lambda s: s | {"audio.fbsp.bias": torch.zeros(33, 2)}, "size mismatch for fbsp.bias"),
    ],
)
def test_wrong_audio_head(
    state: State, save: Save, sounds: list[Any], change: Callable[[State], State], says: str
) -> None:
    encoder = AudioEncoder(str(save(change(state))))
    with pytest.raises(UsageError, match=f"is no checkpoint of AudioCLIP: .*{says}") as caught:
        encoder.encode(sounds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: without(s, "ln_final.bias"), "Missing key.*ln_final.bias"),
        (lambda s: without(s, "visual.layer1.0.conv1.weight"), "it lacks visual.layer1.0.conv1.weight"),
        (lambda s: s | {"token_embedding.weight": torch.zeros(9, 64)}, "it knows 9 tokens, CLIP's tokenizer 49408"),
        (lambda s: s | {"visual.bn1.weight": torch.zeros(9)}, "size mismatch for visual.bn1.weight"),
    ],
)
def test_wrong_clip(state: State, save: Save, change: Callable[[State], State], says: str) -> None:
    encoder = TextEncoder(str(save(change(state))))
    with pytest.raises(UsageError, match=f"is no checkpoint of AudioCLIP: .*{says}") as caught:
        encoder.encode(["dog"])
    assert "\n" not in str(caught.value)


def test_what_training_left_is_ignored(state: State, save: Save) -> None:
    one = TextEncoder(str(save(state))).encode(["dog"])
    more = TextEncoder(str(save(state | {"class_weights": torch.zeros(527)}))).encode(["dog"])
    assert torch.equal(one, more)


def test_older_file_format(state: State, sounds: list[Any], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(state, tmp_path / "new.pt")
    old, new = (AudioEncoder(str(tmp_path / name)).encode(sounds[:1]) for name in ("old.pt", "new.pt"))
    assert torch.equal(old, new)


def test_half_precision_is_widened(state: State, save: Save) -> None:
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    out = TextEncoder(str(save(half))).encode(["dog"])
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, TextEncoder(str(save(state))).encode(["dog"]), atol=1e-2, rtol=0)


def test_construction_loads_no_network(checkpoint: Path) -> None:
    import subprocess

    code = (
        "import sys; from xm_audioclip.audio import AudioEncoder; from xm_audioclip.clip import TextEncoder; "
        "AudioEncoder(sys.argv[1]).fingerprint(); TextEncoder(sys.argv[1]).fingerprint(); "
        "print([m for m in ('open_clip', 'torchvision', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(checkpoint)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_packages_are_named(state: State, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    path = save(state | {"logit_scale": torch.tensor(3.0)})
    with pytest.raises(PluginError, match="open_clip is not installed; try: pip install open_clip_torch"):
        TextEncoder(str(path)).encode(["dog"])
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(PluginError, match="huggingface_hub is not installed"):
        AudioEncoder("hf-hub:org/name/file.pt")


def test_hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = tmp_path / "models--org--name" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--org--name" / "refs").mkdir()
    (tmp_path / "models--org--name" / "refs" / "main").write_text("c0ffee")
    (snapshot / "a.pt").write_bytes(checkpoint.read_bytes())
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert AudioEncoder("hf-hub:org/name/a.pt?batch_statistics=3").space == look(checkpoint).space
    [told], [local] = TextEncoder("hf-hub:org/name/a.pt").pretrained(), ImageEncoder(str(checkpoint)).pretrained()
    assert (told.name, told.source, told.paths) == ("org/name", "huggingface.co", (snapshot / "a.pt",))
    assert (local.source, local.paths, local.size) == ("file", (checkpoint,), told.size)
    with pytest.raises(PluginError, match=r"b\.pt of org/name is not on this machine"):
        hub.fetch("org/name/b.pt")
    with pytest.raises(UsageError, match=r"expected audioclip:hf-hub:ORG/NAME/CHECKPOINT\.pt"):
        hub.fetch("name.pt")


def test_hub_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for kind, says in (
        (errors.GatedRepoError, "hf auth login"),
        (errors.RepositoryNotFoundError, "no public repository 'org/name'"),
        (errors.RemoteEntryNotFoundError, "'org/name' on huggingface.co has no a.pt"),
        (ConnectionError, "can't be reached"),
    ):

        def answer(repo: str, name: str, revision: str, kind: type[Exception] = kind) -> str:
            raise kind.__new__(kind)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)
        with pytest.raises((PluginError, UsageError), match=says):
            hub.fetch("org/name/a.pt")
