"""The conformance kit on a tiny checkpoint, one space for three encoders, length policy and batch statistics."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from xm import Dataset, Encoder, EncoderSpec, ItemError, UsageError
from xm.encoders import EncoderChoice, FeatureStore, make_encoder
from xm.foundation import autocast
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_audioclip import encoders
from xm_audioclip.audio import LENGTH, AudioEncoder, runs
from xm_audioclip.clip import ImageEncoder, TextEncoder


class TestAudio(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _argument(self, checkpoint: Path) -> None:
        self.argument = str(checkpoint)

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, sounds: list[Any], tmp_path: Path) -> list[Any]:
        stereo = np.stack([sounds[0][0], sounds[0][0] / 2], axis=1)
        soundfile.write(tmp_path / "stereo.wav", stereo, 44_100)
        soundfile.write(tmp_path / "long.flac", np.tile(sounds[3][0], 3), 44_100)
        soundfile.write(tmp_path / "slow.ogg", sounds[1][0], 16_000)
        return [*sounds, *(str(tmp_path / name) for name in ("stereo.wav", "long.flac", "slow.ogg"))]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        (tmp_path / "none.wav").write_bytes(b"RIFF and nothing else")
        return tmp_path / "none.wav"


class TestAudioByBatchStatistics(TestAudio):
    @pytest.fixture(autouse=True)
    def _argument(self, checkpoint: Path) -> None:
        self.argument = f"{checkpoint}?batch_statistics=10&amplitude=unit"

    def test_batch_size_does_not_matter(self, encoder: Encoder, items: Any) -> None:
        """It does: that is what the statistics of a batch are."""
        whole, first = encoder.encode(items), encoder.encode(items[:3])
        assert not torch.allclose(whole[:3], first, atol=1e-3)


class TestImage(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _argument(self, checkpoint: Path) -> None:
        self.argument = str(checkpoint)

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[1]

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[Any]:
        draw = np.random.default_rng(0)
        pixels = [draw.integers(0, 64 * (i + 1), (70, 90 + i, 3), np.uint8) for i in range(3)]
        Image.fromarray(pixels[0][:, :, 0]).save(tmp_path / "grey.png")
        return [*pixels, tmp_path / "grey.png"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.png"


class TestText(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _argument(self, checkpoint: Path) -> None:
        self.argument = str(checkpoint)

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[2]

    @pytest.fixture
    def items(self) -> list[str]:
        return ["a dog barks", "rain", "words and more words " * 60]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.txt"


def test_three_encoders_share_a_space(checkpoint: Path, state: dict[str, Tensor], save: Callable[[Any], Path]) -> None:
    audio, image, text = (kind(str(checkpoint)) for kind in (AudioEncoder, ImageEncoder, TextEncoder))
    assert audio.space == image.space == text.space == AudioEncoder(f"{checkpoint}?batch_statistics=2").space
    assert len({audio.fingerprint(), image.fingerprint(), text.fingerprint()}) == 3
    assert text.accepts_names and not audio.accepts_names
    other = AudioEncoder(str(save(state | {"audio.fc.bias": state["audio.fc.bias"] + 1})))
    assert other.space != audio.space and other.fingerprint() != audio.fingerprint()


def test_a_copy_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.pt").write_bytes(checkpoint.read_bytes())
    one, other = AudioEncoder(str(checkpoint)), AudioEncoder(str(tmp_path / "copy.pt"))
    assert (one.space, one.fingerprint()) == (other.space, other.fingerprint())


@pytest.mark.parametrize("settings", ["", "?batch_statistics=10"])
def test_fellows_are_found(checkpoint: Path, settings: str) -> None:
    """With the audio encoder named, image and text come from the same checkpoint."""
    dataset = Dataset.__new__(Dataset)
    object.__setattr__(dataset, "encoders", {})
    choice = EncoderChoice(manager(), dataset, torch.device("cpu"), {"audio": f"audioclip:{checkpoint}{settings}"})
    for modality, kind in (("image", ImageEncoder), ("text", TextEncoder)):
        assert isinstance(choice[modality].encoder, kind)
        assert choice[modality].why == "it shares the space of the audio encoder"
    named = choice.namer()
    assert named is not None and isinstance(named.encoder, TextEncoder)
    sibling = make_encoder(f"audioclip:{checkpoint}", manager(), torch.device("cpu"), "text")
    assert isinstance(sibling, TextEncoder)


def test_settings_are_in_the_fingerprint(checkpoint: Path) -> None:
    settings = (
        "",
        "?batch_statistics=10",
        "?batch_statistics=5",
        "?amplitude=unit",
        "?length=crop",
        "?length=loop",
        "?batch_statistics=5&amplitude=unit",
    )
    assert len({AudioEncoder(f"{checkpoint}{s}").fingerprint() for s in settings}) == len(settings)
    plain = AudioEncoder(f"{checkpoint}?length=chunks").fingerprint()
    assert plain == AudioEncoder(f"{checkpoint}?amplitude=16-bit").fingerprint()
    assert TextEncoder(str(checkpoint)).fingerprint() == TextEncoder(f"{checkpoint}?batch_statistics=5").fingerprint()


def filled(encoder: AudioEncoder, samples: int) -> tuple[Tensor, Tensor]:
    """What is prepared of a sound of ones, whose windows tell how they were filled up."""
    return encoder.prepare((np.ones(samples, np.float32), 44_100))


def test_windows(checkpoint: Path) -> None:
    """Chunks of 5 s, the last one padded with zeros, and averaged by what they hold; or as the setting says."""
    cut, weights = filled(AudioEncoder(str(checkpoint)), 2 * LENGTH + LENGTH // 2)
    assert cut.shape == (3, LENGTH) and cut.sum(dim=1).tolist() == [LENGTH, LENGTH, LENGTH // 2]
    torch.testing.assert_close(weights, torch.tensor([0.4, 0.4, 0.2]))
    cut, weights = filled(AudioEncoder(f"{checkpoint}?length=crop-centre"), 2 * LENGTH)
    assert cut.shape == (1, LENGTH) and weights.tolist() == [1]
    cut, _ = filled(AudioEncoder(f"{checkpoint}?length=centre"), 100)
    assert cut.shape == (1, LENGTH) and cut[0].nonzero().flatten()[[0, -1]].tolist() == [110_200, 110_299]


def test_a_long_sound_is_the_mean_of_its_windows(checkpoint: Path, sounds: list[Any]) -> None:
    encoder = AudioEncoder(str(checkpoint))
    parts = [np.resize(sounds[0][0], LENGTH), sounds[2][0]]
    whole = encoder.trunk([(np.concatenate(parts), 44_100)])["features"][0]
    each = encoder.encode([(part, 44_100) for part in parts])
    weights = torch.tensor([float(len(part)) for part in parts])
    torch.testing.assert_close(whole, weights / weights.sum() @ each, atol=1e-5, rtol=1e-5)


def test_silence(checkpoint: Path, sounds: list[Any]) -> None:
    encoder = AudioEncoder(str(checkpoint))
    with pytest.raises(ItemError, match="is silent: its peak of 1e-05 is under -80 dB"):
        encoder.encode([(np.full(1000, 1e-5, np.float32), 44_100)])
    loud = np.resize(sounds[0][0], LENGTH)
    alone, with_silence = encoder.encode([(loud, 44_100), (np.concatenate([loud, np.zeros_like(loud)]), 44_100)])
    torch.testing.assert_close(alone, with_silence, atol=1e-5, rtol=1e-5)
    edges = np.concatenate([loud, np.zeros_like(loud), loud])
    with pytest.raises(ItemError, match="is silent at its centre, which is cropped: its peak of 0 is"):
        AudioEncoder(f"{checkpoint}?length=crop").encode([(edges, 44_100)])


def test_amplitude_matters(checkpoint: Path, sounds: list[Any]) -> None:
    one, other = (AudioEncoder(f"{checkpoint}?amplitude={a}").encode(sounds) for a in ("16-bit", "unit"))
    assert not torch.allclose(one, other, atol=1e-2)


def test_groups_follow_the_order(checkpoint: Path, sounds: list[Any]) -> None:
    """Two and two: each group is what it is alone, and not what it is in other company."""
    encoder = AudioEncoder(f"{checkpoint}?batch_statistics=2")
    whole = encoder.encode(sounds)
    torch.testing.assert_close(whole, torch.cat([encoder.encode(sounds[:2]), encoder.encode(sounds[2:])]))
    mixed = encoder.encode([sounds[i] for i in (0, 2, 1, 3)])
    assert not torch.allclose(whole[0], mixed[0], atol=1e-3)
    torch.testing.assert_close(encoder.encode(sounds[:3])[0], encoder.encode(sounds[:3][::-1])[2], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("total", "edges"),
    [(1, [0, 1]), (4, [0, 4]), (5, [0, 5]), (6, [0, 4, 6]), (9, [0, 4, 9]), (12, [0, 4, 8, 12])],
)
def test_no_window_is_left_alone(total: int, edges: list[int]) -> None:
    assert list(runs(total, 4)) == list(pairwise(edges))


def test_batch_size_is_whole_groups(checkpoint: Path) -> None:
    sizes = {n: AudioEncoder(f"{checkpoint}?batch_statistics={n}").batch_size for n in (2, 10, 30, 256)}
    assert sizes == {2: 100, 10: 100, 30: 90, 256: 256}


def test_batch_statistics_are_not_kept(checkpoint: Path, sounds: list[Any], tmp_path: Path) -> None:
    encoder = AudioEncoder(f"{checkpoint}?batch_statistics=2")
    found = FeatureStore(tmp_path / "cache").features(encoder, sounds)
    torch.testing.assert_close(normalize(found.x["features"], dim=-1), encoder.encode(sounds))
    assert not (tmp_path / "cache").exists()
    FeatureStore(tmp_path / "cache").features(AudioEncoder(str(checkpoint)), sounds)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 1


def test_batch_statistics_need_company(checkpoint: Path, sounds: list[Any]) -> None:
    encoder = AudioEncoder(f"{checkpoint}?batch_statistics=2")
    with pytest.raises(UsageError, match="can't encode a single window of 5 s: give one sound more or less, or leave"):
        encoder.encode(sounds[:1])
    assert encoder.encode([(np.resize(sounds[0][0], 2 * LENGTH), 44_100)]).shape == (1, 24)
    found = FeatureStore(None).features(encoder, [*sounds[:3], "missing.wav", sounds[3]])
    assert found.kept.tolist() == [0, 1, 2, 4] and "no such file" in str(found.failed[3])
    torch.testing.assert_close(normalize(found.x["features"], dim=-1), encoder.encode(sounds))


def test_half_precision_keeps_the_spectrogram_whole(checkpoint: Path, sounds: list[Any]) -> None:
    """What convolutions compute in bfloat16 stays near; a spectrogram computed so would not."""
    encoder = AudioEncoder(str(checkpoint))
    whole = encoder.encode(sounds)
    with autocast(torch.device("cpu"), "bfloat16"):
        half = encoder.encode(sounds)
        texts = TextEncoder(str(checkpoint)).encode(["dog"])
    assert half.dtype == texts.dtype == torch.float32
    assert float((half * whole).sum(dim=1).min()) > 0.99


@pytest.mark.parametrize("seconds", [1 / 44_100, 0.01, 61.0])
def test_very_short_and_long(checkpoint: Path, seconds: float) -> None:
    n = int(seconds * 44_100)
    out = AudioEncoder(str(checkpoint)).encode([(np.sin(np.arange(1, n + 1, dtype=np.float32)), 44_100)])
    assert out.shape == (1, 24) and bool(torch.isfinite(out).all())


def test_random_state_stays(state: dict[str, Tensor], save: Callable[[Any], Path], sounds: list[Any]) -> None:
    path = str(save(state | {"logit_scale": state["logit_scale"] + 1}))
    before = torch.get_rng_state()
    AudioEncoder(path).encode(sounds[:1])
    TextEncoder(path).encode(["dog"])
    assert torch.equal(torch.get_rng_state(), before)
