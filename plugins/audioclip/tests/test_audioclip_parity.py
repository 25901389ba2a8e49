"""Against the official code's outputs, and open_clip's, on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import adaptive_max_pool2d, normalize

from xm_audioclip import clip, network
from xm_audioclip.checkpoint import Checkpoint, look
from xm_audioclip.clip import ImageEncoder, TextEncoder
from xm_audioclip.fbsp import Wavelets, log_power
from xm_audioclip.network import AudioTower, adaptive_max
from xm_audioclip.reference import AMPLITUDES

Shapes = dict[str, tuple[int, ...]]
WeightsOf = Callable[[Shapes], dict[str, Tensor]]


@pytest.fixture(scope="module")
def published(official: dict[str, Any]) -> Shapes:
    """Names and shapes of the published checkpoint."""
    shapes = [tuple(int(n) for n in text.split(",") if n) for text in official["shapes"].tolist()]
    return dict(zip(official["keys"].tolist(), shapes, strict=True))


class Drawn(Checkpoint):
    """The full-size audio head with drawn weights, without a file."""

    weights: dict[str, Tensor] = {}  # noqa: RUF012 - filled by the fixture

    def audio(self) -> dict[str, Tensor]:
        return self.weights


@pytest.fixture(scope="module")
def drawn(published: Shapes, weights_of: WeightsOf) -> Drawn:
    weights = weights_of({key: shape for key, shape in published.items() if key.startswith("audio.")})
    Drawn.weights = {key.removeprefix("audio."): value for key, value in weights.items()}
    return Drawn(Path("drawn"), "drawn", 1024, 224, 77)


def unit_error(found: Tensor, expected: Any) -> float:
    return float((normalize(found, dim=-1) - normalize(torch.from_numpy(expected), dim=-1)).abs().max())


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("amplitude", ["16-bit", "unit"])
def test_audio_is_the_official_codes(
    drawn: Drawn, official: dict[str, Any], official_sounds: Tensor, amplitude: str, mode: str
) -> None:
    """At full size: 32 million weights."""
    tower = network.load(drawn, mode == "train", "cpu")
    with torch.no_grad():
        found = tower(official_sounds * AMPLITUDES[amplitude])
    expected = official[f"audio {amplitude} {mode}"]
    assert unit_error(found, expected) < 1e-4
    assert float((found - torch.from_numpy(expected)).abs().max()) < 1e-4 * float(np.abs(expected).max())
    apart = normalize(torch.from_numpy(expected), dim=-1)
    assert float((apart[0] - apart[1]).abs().max()) > 0.01, "a tower that ignores its input would pass"


def test_names_and_shapes_are_the_published(published: Shapes) -> None:
    audio = AudioTower([3, 4, 6, 3], 32, 4, 1024, 1025, 1654).state_dict()
    towers = open_clip.create_model("RN50-quickgelu", pretrained=None, device="meta").state_dict()
    ours = {f"audio.{key}": tuple(value.shape) for key, value in audio.items()}
    ours |= {key: tuple(value.shape) for key, value in towers.items()}
    assert ours | {"logit_scale_ai": (), "logit_scale_at": ()} == published
    assert len(published) == 861


def test_sizes_come_from_the_checkpoint(drawn: Drawn) -> None:
    tower = network.load(drawn, False, "cpu")
    assert (tower.layer3[5].conv2.groups, tower.layer4[0].conv2.in_channels) == (32, 1024)
    assert tower.state_dict().keys() == drawn.weights.keys()
    assert all(torch.equal(value, drawn.weights[key]) for key, value in tower.state_dict().items())


def test_image_is_the_official_codes(checkpoint: Path, official: dict[str, Any], official_pixels: Tensor) -> None:
    found = clip.load(look(checkpoint), "cpu").encode_image(official_pixels)
    assert unit_error(found, official["image"]) < 1e-5


def test_text_is_the_official_codes(checkpoint: Path, official: dict[str, Any]) -> None:
    found = TextEncoder(str(checkpoint)).encode(official["texts"].tolist())
    assert unit_error(found, official["text"]) < 1e-5


def test_clip_towers_are_open_clips(checkpoint: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    """open_clip loads the same weights and prepares the same image; so QuickGELU and preprocessing are CLIP's."""
    theirs = open_clip.CLIP(
        24,
        {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64},
        {"width": 64, "heads": 1, "layers": 2},
        quick_gelu=True,
    )
    theirs.load_state_dict({k: v for k, v in state.items() if not k.startswith(("audio.", "logit_scale_a"))})
    theirs.eval()
    transform = open_clip.image_transform(64, is_train=False)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)).save(tmp_path / "a.png")
    with torch.no_grad():
        image = theirs.encode_image(transform(Image.open(tmp_path / "a.png"))[None], normalize=True)
        text = theirs.encode_text(open_clip.tokenize(["a dog", "rain"]), normalize=True)
    torch.testing.assert_close(ImageEncoder(str(checkpoint)).encode([tmp_path / "a.png"]), image, atol=1e-6, rtol=0)
    torch.testing.assert_close(TextEncoder(str(checkpoint)).encode(["a dog", "rain"]), text, atol=1e-6, rtol=0)


def test_wavelets_of_order_0_are_fouriers() -> None:
    wavelets = Wavelets(33)
    samples = torch.randn(64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = (wavelets.kernel() @ samples.to(torch.complex64)).abs()
    t = torch.linspace(-1, 1, 64)  # both ends included: the period is 63 samples
    expected = torch.stack([(samples * torch.exp(-1j * torch.pi * k * t)).sum().abs() / 8 for k in range(33)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_wavelets_worked_by_hand() -> None:
    wavelets = Wavelets(3)
    with torch.no_grad():
        wavelets.m += 2
        wavelets.fb *= 4
        found = wavelets.kernel()
    t = torch.linspace(-torch.pi, torch.pi, 4, dtype=torch.float64)
    expected = 2 * (torch.sin(2 * t) / (2 * t)) ** 2 * torch.exp(-2j * t) / 2  # sqrt(4), fb t / m = 2 t, sqrt(length)
    torch.testing.assert_close(found[2].to(torch.complex128), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("length", "frames"), [(100, 1), (200, 1), (201, 2), (761, 2), (762, 3)])
def test_frames_cover_the_sound(length: int, frames: int) -> None:
    with torch.no_grad():
        found = log_power(torch.ones(length), torch.ones(200), Wavelets(129).kernel(), 561)
    assert found.shape == (3, 43, frames)
    assert bool(torch.isfinite(found).all())


def test_no_power_at_all() -> None:
    found = log_power(torch.zeros(200), torch.ones(200), Wavelets(129).kernel(), 561)
    assert bool((found == -180).all())


@pytest.mark.parametrize(
    ("given", "wanted"), [((5, 5), (3, 3)), ((43, 49), (22, 25)), ((4, 6), (2, 3)), ((7, 2), (1, 2))]
)
def test_adaptive_maxima_are_torchs(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *given, generator=torch.Generator().manual_seed(0))
    found = adaptive_max(adaptive_max(x, -2, wanted[0]), -1, wanted[1])
    assert torch.equal(found, adaptive_max_pool2d(x, wanted))


def test_batch_norms_of_a_shared_head_stay(drawn: Drawn, official_sounds: Tensor) -> None:
    """Statistics of the batch are used, not learned; and the head with those of training is another."""
    own = network.load(drawn, False, "cpu")
    before = own.bn1.running_mean.clone()
    with torch.no_grad():
        network.load(drawn, True, "cpu")(official_sounds[:2, :22_050])
    assert torch.equal(own.bn1.running_mean, before)
    assert not any(m.training for m in own.modules() if isinstance(m, nn.BatchNorm2d))


def test_every_tensor_is_made_where_the_sounds_are() -> None:
    """On a pretended GPU, whose tensors refuse those of the CPU."""
    with FakeTensorMode():
        with torch.device("cuda"):
            tower = AudioTower([1, 1, 1, 1], 2, 2, 24, 33, 48).eval()
        assert tower(torch.zeros(2, 22_050, device="cuda")).device.type == "cuda"
