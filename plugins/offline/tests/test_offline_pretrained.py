"""What the four say of their weights: the file that is read, in the package that carries it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from xm.plugins import manager


@pytest.mark.parametrize(
    ("name", "folder", "file"),
    [
        ("efficientnet-lite0", "efficientnet", "efficientnet-lite0-57934424.pth"),
        ("minilm", "minilm", "model.safetensors"),
        ("yamnet", "yamnet", "YamNet_w8a8.onnx.zip"),
    ],
)
def test_weights_are_the_packages(name: str, folder: str, file: str) -> None:
    spec = manager().encoders.find(name)
    if reason := spec.why_not():
        pytest.skip(reason)
    [found] = spec.load()("").pretrained()
    assert [path.name for path in found.paths] == [file]
    assert found.size == found.paths[0].stat().st_size and found.source == "package" and found.get is None
    assert "\n" not in found.licence
    module = import_module(f"xm_offline.{folder}.weights")
    read = {"efficientnet": "weight_file", "yamnet": "model_file"}.get(folder)
    assert found.paths[0] == (getattr(module, read)() if read else module.model_file(file))


def test_of_a_package_with_other_models_the_two_that_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xm_offline.speech.weights import carried

    info = tmp_path / "openwakeword-0.5.1.dist-info"
    info.mkdir()
    files = ["alexa_v0.1.onnx", "embedding_model.onnx", "embedding_model.tflite", "melspectrogram.onnx"]
    for name in files:
        (tmp_path / name).write_bytes(b"1234")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: openwakeword\nVersion: 0.5.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = carried()
    assert {path.name for path in found.paths} == {"embedding_model.onnx", "melspectrogram.onnx"} and found.size == 8
