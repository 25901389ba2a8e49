"""Networks of the user's code: the conformance kit, preprocessing, weights, and the open network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import normalize

from xm import Encoder, EncoderSpec, PluginError, UsageError
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_own.torch.encoder import own

CODE = """
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 4, stride=4)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 5)
        self.dim = 6
        with torch.random.fork_rng():
            torch.manual_seed(0)
            for value in self.parameters():
                nn.init.normal_(value)

    def forward(self, x):
        return self.head(self.norm(self.convolution(x)).mean(dim=(2, 3)))


def net():
    return Net()


net.preprocessing = {"size": 8, "mean": 0.5, "std": 0.5}
ready = Net()
body = nn.Sequential(ready.convolution, ready.norm)


def numbers(image):
    values = torch.from_numpy(np.asarray(image.resize((8, 8)), dtype=np.float32))
    return values.permute(2, 0, 1) / 127.5 - 1


def own():
    return Net()


own.preprocessing = numbers


def wrong():
    return Net()


wrong.preprocessing = lambda image: 7


class Several(nn.Module):
    def forward(self, x):
        return {"features": x.mean(dim=(2, 3))}


class Picky(nn.Module):
    def forward(self, x):
        raise ValueError("no such size")
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_net.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in list(sys.modules):
        if name.startswith(("own_", "_xm_own_own_")):
            del sys.modules[name]


class TestNetwork(EncoderConformance):
    argument = "own_net:net"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("torch")

    @pytest.fixture
    def items(self, images: list[Path]) -> list[Any]:
        return [*images, str(images[0]), Image.open(images[1]), np.zeros((20, 30, 3), np.uint8)]

    @pytest.fixture
    def bad_item(self, broken: Path) -> Path:
        return broken

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert spec.suffixes == () and ".png" in encoder.suffixes
        assert (encoder.modality, encoder.dim, encoder.accepts_names) == ("image", 5, False)


def test_it_is_the_network(images: list[Path]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    encoder, network = own("own_net:net"), sys.modules["own_net"].Net().eval()
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(encoder.trunk([picture])["features"], network(pixels))
    [made] = encoder.networks()
    assert not made.training and own("own_net:net").networks()[0] is made
    torch.testing.assert_close(own("own_net:own").encode([picture]), encoder.encode([picture]))


def test_settings_are_typed_or_attributes() -> None:
    net, typed = own("own_net:net"), own("own_net.py:ready?size=8&mean=0.5,0.5,0.5&std=0.5&space=mine")
    assert typed.space == "mine" and net.space == f"torch:{net.fingerprint()[:12]}"
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    torch.testing.assert_close(net.encode([picture]), typed.encode([picture]))
    prints = {own(f"own_net:net?{more}").fingerprint() for more in ("crop=0.9", "crop=1", "resize=squash")}
    assert len(prints | {net.fingerprint()}) == 3


def test_maps_are_averaged() -> None:
    encoder = own("own_net:body?size=8")
    assert encoder.dim == 6 and encoder.encode([np.ones((9, 9, 3), np.uint8)]).shape == (1, 6)


def test_weights_are_part_of_the_fingerprint() -> None:
    before = own("own_net:ready").fingerprint()
    assert own("own_net:ready").fingerprint() == before
    with torch.no_grad():
        sys.modules["own_net"].ready.head.bias[0] += 1
    assert own("own_net:ready").fingerprint() != before


def test_all_of_it_opens_as_a_copy(images: list[Path]) -> None:
    encoder = own("own_net:net")
    trunk, tail = encoder.split(-1)
    before = encoder.encode(images)
    tail.train()
    x = trunk(images)
    torch.testing.assert_close(tail(x), before, atol=1e-5, rtol=1e-5)
    optimiser = torch.optim.SGD(tail.parameters(), lr=0.1)
    tail(x).square().sum(dim=1).sub(tail(x)[:, 0]).sum().backward()
    optimiser.step()
    assert not torch.allclose(tail(x), before) and torch.equal(encoder.encode(images), before)
    with pytest.raises(UsageError, match=r"own_net:net can't be split at depth 1; depths are 0 \(frozen\) and -1"):
        encoder.split(1)


def test_made_in_inference_mode_it_can_be_trained(images: list[Path]) -> None:
    with torch.inference_mode():
        encoder = own("own_net:net")
        encoder.encode(images)
    tail = encoder.split(-1)[1]
    tail({"pixels": torch.ones(1, 3, 8, 8)}).sum().backward()
    assert all(value.grad is not None for value in tail.parameters())


@pytest.mark.parametrize(
    ("argument", "modality", "kind", "said"),
    [
        ("own_net:net", "audio", UsageError, "a torch.nn.Module is given images; for audio write a function"),
        ("own_net:net?sise=8", "image", UsageError, r"unknown setting 'sise' \(did you mean 'size'\?\)"),
        ("own_net:wrong", "image", PluginError, "preprocessing of own_net:wrong: gives int, not a tensor"),
        ("own_net:Several", "image", PluginError, r"own_net:Several: gives dict for 1 images, not a tensor \(n, dim\)"),
        ("own_net:Picky", "image", PluginError, r"own_net:Picky \(own_net\.py, line \d+\): fails: ValueError: no such"),
    ],
)
def test_what_is_wrong_is_one_line(argument: str, modality: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        own(argument, modality).encode([np.zeros((9, 9, 3), np.uint8)])
    assert "\n" not in str(caught.value)


def test_rows_are_at_unit_length_by_the_tail_alone() -> None:
    encoder = own("own_net:net")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    torch.testing.assert_close(encoder.encode([picture]), normalize(encoder.trunk([picture])["features"], dim=-1))
    assert isinstance(encoder.split(-1)[1], nn.Module)
