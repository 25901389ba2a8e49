"""What a user has at first: no JSON, the recipe of the page; and trainings from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

import xm
from xm import UsageError
from xm_own.onnx import encoder as own, graph, settings

Save = Callable[..., Path]
PAGE = Path(own.__file__).with_name("README.md")
FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


@pytest.mark.parametrize(
    ("kind", "dims", "said"),
    [
        (FLOAT, ("n", 3, 224, 224), {"modality": "image", "size": 224, "layout": "NCHW"}),
        (FLOAT, (1, 240, 320, 3), {"modality": "image", "size": [240, 320], "layout": "NHWC"}),
        (FLOAT, ("n", 3, "h", "w"), {"modality": "image", "size": 224}),
        (FLOAT, ("n", 1, 28, 28), {"modality": "image", "size": 28, "channels": "L", "mean": 0.5}),
        (FLOAT, ("n", 3, 16, 112, 112), {"modality": "video", "frames": 16, "size": 112, "layout": "NCTHW"}),
        (FLOAT, ("n", 8, 3, 224, 224), {"modality": "video", "frames": 8, "layout": "NTCHW"}),
        (FLOAT, ("n", 8, 96, 96, 3), {"modality": "video", "frames": 8, "size": 96, "layout": "NTHWC"}),
        (FLOAT, ("n", 48_000), {"modality": "audio", "rate": 16_000, "window": 3.0}),
        (FLOAT, ("n", 1, "samples"), {"modality": "audio", "window": 10.0}),
        (FLOAT, ("n", 64, "frames"), {"modality": "audio", "form": "log-mel", "mels": 64}),
        (INT, ("n", 77), {"modality": "text", "tokens": 77}),
        (INT, ("n", "length"), {"modality": "text", "tokenizer": "tokenizer.json"}),
    ],
)
def test_without_json_the_error_says_what_to_write(
    save: Save, model: Any, kind: int, dims: tuple[int | str, ...], said: dict[str, Any]
) -> None:
    nodes = [helper.make_node("Shape", ["x"], ["y"])]
    path = save(model(nodes, [("x", kind, *dims)], [("y", "n", "tokens", 6)], []), None)
    with pytest.raises(UsageError, match=r"there is no net\.json beside it that says its preprocessing") as caught:
        own.Onnx(str(path))
    line = str(caught.value)
    written = json.loads(line[line.index("such as: ") + 9 :])
    assert said.items() <= written.items() and "\n" not in line and written["pool"] == "mean"
    path.with_suffix(".json").write_text(json.dumps(written))
    assert settings.read(graph.look(path)).modality == said["modality"]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 4, 16, stride=16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = self.convolution(x).mean(dim=(2, 3))
        return mean


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_recipe_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: list[Path]) -> None:
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    network = Net().eval()
    exec(block[1], {"model": network})
    encoder = own.Onnx("model.onnx")
    pixels = torch.stack([torch.from_numpy(encoder.prepare(image)[0][0]) for image in images])
    with torch.no_grad():
        torch.testing.assert_close(encoder.trunk(images)["features"], network(pixels), atol=1e-5, rtol=1e-5)
    assert pixels.shape[1:] == (3, 224, 224) and encoder.dim == 4


def test_the_page_has_every_setting() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for kind in settings.KINDS.values():
        assert not [name for name in kind.model_fields if f"`{name}`" not in text]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, colour in (("red", (200, 30, 30)), ("green", (30, 200, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = np.clip(np.array(colour) + rng.normal(0, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_as_target_and_auxiliary(
    save: Save, image_model: Any, text_model: Any, tokenizer: Path, photos: Path, tmp_path: Path
) -> None:
    """Two files of one space, in one training; zero-shot is there, as the space is shared."""
    image = save(image_model(1), {"modality": "image", "size": 8, "space": "tiny"}, "image")
    text = save(text_model(), {"modality": "text", "pool": "mean", "space": "tiny"}, "text")
    encoders = {"image": f"onnx:{image}", "text": f"onnx:{text}"}
    how: dict[str, Any] = {"shots": [1], "seeds": [1], "data": str(photos), "encoders": encoders}
    report = xm.train("image", aux=["text"], out=tmp_path / "run", **how)
    assert {(s.aux, s.shots) for s in report.summary} == {((), 1), (("text",), 0), (("text",), 1)}
    found = xm.load(tmp_path / "run").predict([photos / "red" / "0.png"])
    assert len(found) == 1
