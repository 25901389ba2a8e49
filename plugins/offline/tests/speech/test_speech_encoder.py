"""The encoder `speech`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from xm import EncoderSpec, ItemError, PluginError, UsageError
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_offline.speech import weights

RATE = 16_000


@pytest.fixture(scope="module")
def speech() -> Any:
    if reason := weights.why_not():
        pytest.skip(reason)
    from xm_offline.speech.encoder import Speech

    return Speech


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def words(seconds: float, *pitches: float) -> NDArray[np.float32]:
    """Tones one after the other, with harmonics."""
    t = np.arange(int(seconds * RATE / len(pitches))) / RATE
    return np.concatenate([sum(0.2 / k * np.sin(2 * np.pi * k * p * t) for k in (1, 2, 3)) for p in pitches]).astype(
        np.float32
    )


def spoken(every: int) -> tuple[list[Path], list[int]]:
    if not os.environ.get("XM_DATA"):
        pytest.skip("XM_DATA is not set: no spoken digits at hand")
    paths = sorted(Path(os.environ["XM_DATA"], "fsdd").rglob("*.wav"))[::every]
    return paths, [int(path.name[0]) for path in paths]


class TestSpeech(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("speech")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        path = tmp_path / "word.flac"
        soundfile.write(path, words(0.5, 220, 180), RATE)
        return [path, (noise(2.5), RATE), str(path), (words(0.9, 300, 120, 240), 22_050), (noise(0.001, 1), RATE)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        path = tmp_path / "text.wav"
        path.write_text("this is no sound")
        return path

    @pytest.fixture
    def labelled(self) -> tuple[Sequence[Any], Sequence[int]]:
        return spoken(7)


@pytest.mark.skipif(weights.why_not() is not None, reason=f"speech: {weights.why_not()}")
class TestCropped(TestSpeech):
    argument = "length=crop-loop"


def test_agrees_with_the_package_it_comes_from(speech: Any) -> None:
    """openwakeword 0.5.1, utils.AudioFeatures._get_embeddings, derived anew: 16-bit samples, dB / 10 + 2, 76/8."""
    import onnxruntime

    heard = np.round(noise(3.3) * 32768)
    heard[RATE : RATE + 8000] *= 1e-4  # under the floor of 80 dB
    mel, embed = (onnxruntime.InferenceSession(str(f)) for f in (weights.mel_file(), weights.embedding_file()))
    frames = mel.run(None, {"input": heard[None].astype(np.float32)})[0].reshape(-1, 32) / 10 + 2
    starts = range(0, len(frames) - 75, 8)
    expected = embed.run(None, {"input_1": np.stack([frames[s : s + 76] for s in starts])[..., None]})[0].reshape(
        -1, 96
    )

    ours = speech().trunk([((heard / 32768).astype(np.float32), RATE)])["features"][0]
    np.testing.assert_allclose(ours[:96], expected.mean(0), atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(ours[96:], expected.std(0), atol=1e-4, rtol=1e-4)


def test_long_sounds_are_read_in_parts_with_equal_outcome(speech: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from xm_offline.speech import network

    item = (np.concatenate([noise(4), 1e-3 * noise(3)]), RATE)
    whole = speech().encode([item])
    monkeypatch.setattr(network, "_BLOCK", 97)
    monkeypatch.setattr(network, "_RUN", 5)
    torch.testing.assert_close(speech().encode([item]), whole, atol=1e-6, rtol=1e-5)


def test_policies_by_hand(speech: Any) -> None:
    """A sound filled up or cut by hand is as one that the policy fills up or cuts."""
    word, long = words(0.5, 220, 180), noise(3)
    centred = np.pad(word, 8000)
    made = {name: speech(f"length={name}") for name in ("centre", "pad", "loop", "crop", "chunks")}
    x = {name: encoder.encode([(word, RATE), (long, RATE)]) for name, encoder in made.items()}

    def direct(samples: NDArray[np.float32]) -> torch.Tensor:
        return speech().encode([(samples, RATE)])[0]

    torch.testing.assert_close(x["centre"][0], direct(centred))
    torch.testing.assert_close(x["pad"][0], direct(np.pad(word, (0, 16_000))))
    torch.testing.assert_close(x["loop"][0], direct(np.tile(word, 3)))
    torch.testing.assert_close(x["crop"][1], direct(long[12_000:36_000]))
    assert torch.equal(x["chunks"], x["centre"]) and torch.equal(
        x["chunks"], speech().encode([(word, RATE), (long, RATE)])
    )
    assert torch.equal(x["loop"][1], x["pad"][1]), "what fills up a short sound touched a long one"


def test_fingerprints_say_the_policy(speech: Any) -> None:
    prints = {a: speech(a).fingerprint() for a in ("", "length=chunks-centre", "?length=crop", "length=loop")}
    assert prints[""] == prints["length=chunks-centre"]
    assert len(set(prints.values())) == 3


def test_silence_is_refused_and_silent_windows_do_not_count(speech: Any) -> None:
    with pytest.raises(ItemError, match="is silent"):
        speech().encode([(np.zeros(RATE, np.float32), RATE)])
    word = words(2, 220, 180)
    quiet = np.concatenate([word, np.zeros(3 * RATE, np.float32)])
    both = speech().encode([(word, RATE), (quiet, RATE)])
    assert both[0] @ both[1] > 0.93


def test_what_no_window_reaches_is_not_heard(speech: Any) -> None:
    quiet = np.zeros(3 * RATE, np.float32)
    quiet[-100:] = 0.5
    with pytest.raises(ItemError, match="is silent: its peak of 0 is"):
        speech().encode([(quiet, RATE)])


@pytest.mark.parametrize("length", [1, 16, 23_999, 24_000, 24_001, 12 * RATE])
def test_very_short_and_long(speech: Any, length: int) -> None:
    out = speech().encode([(noise(12)[:length] + np.float32(0.1), RATE)])
    assert out.shape == (1, 192) and bool(torch.isfinite(out).all())


@pytest.mark.parametrize(("argument", "said"), [("large", "takes no 'large'"), ("length=long", "length policy 'long'"),
                                                ("large?length=crop", "takes no 'large'")])  # fmt: skip
def test_wrong_arguments(speech: Any, argument: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        speech(argument)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = weights.find_spec
    monkeypatch.setattr(weights, "find_spec", lambda name: None if name == "openwakeword" else real(name))
    assert "pip install --no-deps openwakeword==0.5.1" in (weights.why_not() or "")
    with pytest.raises(PluginError, match=r"melspectrogram\.onnx is not installed; try: pip install"):
        weights.mel_file()
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert "pip install onnx onnxruntime" in (weights.why_not() or "")


def test_digits_of_unseen_speakers(speech: Any) -> None:
    """Nearest centroid of five speakers' digits, the sixth's told: measured 94 % over the six, 100 % of this one's."""
    paths, labels = spoken(2)
    x, y = speech().encode(paths), torch.tensor(labels)
    held = torch.tensor([path.stem.split("_")[1] == "theo" for path in paths])
    centroids = torch.stack([x[~held & (y == c)].mean(0) for c in range(10)])
    assert float(((x[held] @ centroids.T).argmax(1) == y[held]).float().mean()) > 0.85
