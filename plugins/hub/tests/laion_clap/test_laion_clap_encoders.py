"""The encoders `laion-clap` and `laion-clap-text`, with a tiny ClapModel of random weights in the published layout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from xm import Dataset, EncoderSpec, ItemError, PluginError, UsageError
from xm.encoders import EncoderChoice, FeatureStore, make_encoder
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_hub.laion_clap import hub

RATE = 48_000
WEIGHTS = "model.safetensors"
CPU = torch.device("cpu")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 614596545\n"
TEXTS = ["the sound of a dog", "rain", "a church bell, far away, and then nothing at all"]


def build(folder: Path, *, fusion: bool = False) -> Path:
    """A model of 24 dimensions for sounds of 1 s, with its extractor and a byte-level tokenizer."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    sizes = {"num_hidden_layers": 2, "hidden_size": 32}
    config = ClapConfig(
        text_config={**sizes, "vocab_size": 300, "num_attention_heads": 2, "intermediate_size": 64,
                     "max_position_embeddings": 66, "pad_token_id": 1},
        audio_config={**sizes, "spec_size": 64, "num_mel_bins": 16, "window_size": 4, "patch_size": 4,
                      "patch_stride": [4, 4], "patch_embeds_hidden_size": 16, "depths": [1, 1],
                      "num_attention_heads": [2, 2], "enable_fusion": fusion},
        projection_dim=24,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ClapModel(config).eval()
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    truncation = "fusion" if fusion else "rand_trunc"
    ClapFeatureExtractor(feature_size=16, max_length_s=1, frequency_min=50, truncation=truncation).save_pretrained(
        folder
    )
    words = ["<s>", "<pad>", "</s>", "<unk>", *sorted(ByteLevel.alphabet()), "th", "the", "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RobertaTokenizer"}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("fused"), fusion=True)


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(200, 4000) * t)
    return (0.2 * tone + 0.05 * rng.standard_normal(len(t))).astype(np.float32)


@lru_cache
def theirs(folder: Path) -> Any:
    from transformers import ClapModel

    return ClapModel.from_pretrained(folder).eval()


def directly(folder: Path, samples: NDArray[np.float32]) -> torch.Tensor:
    """Unit vector (24,) of a sound, by transformers alone."""
    from transformers import ClapFeatureExtractor

    given = ClapFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=RATE, return_tensors="pt")
    given["is_longer"] = torch.zeros(1, 1, dtype=torch.bool)  # it calls one of each batch longer, at random
    with torch.no_grad():
        out = theirs(folder).get_audio_features(**given)
    return torch.nn.functional.normalize(getattr(out, "pooler_output", out), dim=-1)[0]


class _Tiny(EncoderConformance):
    @pytest.fixture(autouse=True)
    def _use(self, folder: Path) -> None:
        self.argument = str(folder)


class TestAudio(_Tiny):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("laion-clap")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        path = tmp_path / "bell.flac"
        soundfile.write(path, sound(0.7), RATE)
        return [path, (sound(3.3, 1), RATE), str(path), (sound(0.2, 2), 16_000), (sound(1, 3), RATE)]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        path = tmp_path / "text.wav"
        path.write_text("this is no sound")
        return path


class TestFusedAudio(TestAudio):
    """A model of the fused kind, and another policy."""

    @pytest.fixture(autouse=True)
    def _use(self, fused: Path) -> None:
        self.argument = f"{fused}?length=crop-loop"


class TestText(_Tiny):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("laion-clap-text")

    @pytest.fixture
    def items(self, tmp_path: Path) -> Sequence[Any]:
        path = tmp_path / "name.txt"
        path.write_text("a cat")
        return [*TEXTS, path]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "nowhere.txt"


def made(reference: str) -> Any:
    return make_encoder(reference, manager(), CPU)


@pytest.mark.parametrize("seconds", (0.3, 1.0))
@pytest.mark.parametrize("kind", ("folder", "fused"))
def test_short_sounds_agree_with_transformers(kind: str, seconds: float, request: pytest.FixtureRequest) -> None:
    where = request.getfixturevalue(kind)
    samples = sound(seconds)
    ours = made(f"laion-clap:{where}").encode([(samples, RATE)])[0]
    torch.testing.assert_close(ours, directly(where, samples), atol=1e-5, rtol=0)


def test_spectrograms_agree_with_transformers(folder: Path, fused: Path) -> None:
    from transformers import ClapFeatureExtractor

    from xm_hub.pretrained.mel import log_mel

    samples = sound(1.0, 5)
    samples[:20_000] = 0
    for where in (folder, fused):
        extractor = ClapFeatureExtractor.from_pretrained(where)
        expected = extractor(samples, sampling_rate=RATE, return_tensors="pt")["input_features"]
        torch.testing.assert_close(log_mel(torch.from_numpy(samples)[None], extractor), expected, atol=1e-3, rtol=0)


def test_long_sounds_are_means_of_their_chunks(folder: Path) -> None:
    samples = sound(2.25, 7)
    parts = [directly(folder, samples[start : start + RATE]) for start in (0, RATE, 2 * RATE)]
    expected = parts[0] * 1 / 2.25 + parts[1] * 1 / 2.25 + parts[2] * 0.25 / 2.25
    ours = made(f"laion-clap:{folder}").trunk([(samples, RATE)])["features"][0]
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    cropped = made(f"laion-clap:{folder}?length=crop").encode([(samples, RATE)])[0]
    torch.testing.assert_close(cropped, directly(folder, samples[30_000:78_000]), atol=1e-5, rtol=0)


def test_many_threads_may_be_the_first(folder: Path) -> None:
    """In a process of its own, where transformers is not imported yet: its lazy imports fail in threads."""
    code = (
        "import sys, numpy as np; from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "from xm_hub.laion_clap.encoder import AudioEncoder\n"
        "encoder, item = AudioEncoder(sys.argv[1]), (np.ones(4800, np.float32), 48_000)\n"
        "with Pool(8) as pool: print(len(list(pool.map(encoder.prepare, [item] * 16))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("16", 0), done.stderr


def test_policies_of_short_sounds(folder: Path) -> None:
    """0.4 s by hand: repeated twice and then zeros, as published; all zeros; repeated to the end."""
    samples = sound(0.4, 8)
    by_hand = {
        "repeatpad": np.pad(np.tile(samples, 2), (0, 9600)),
        "pad": np.pad(samples, (0, 28_800)),
        "loop": np.tile(samples, 3)[:RATE],
        "crop": np.pad(np.tile(samples, 2), (0, 9600)),
    }
    for policy, whole in by_hand.items():
        ours = made(f"laion-clap:{folder}?length={policy}").encode([(samples, RATE), (whole, RATE)])
        torch.testing.assert_close(ours[0], ours[1], atol=1e-6, rtol=0)
    assert made(f"laion-clap:{folder}").policy.name == "chunks-repeatpad"


def test_texts_agree_with_transformers(folder: Path) -> None:
    from transformers import AutoTokenizer

    given = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        out = theirs(folder).get_text_features(**given)
    expected = torch.nn.functional.normalize(getattr(out, "pooler_output", out), dim=-1)
    torch.testing.assert_close(made(f"laion-clap-text:{folder}").encode(TEXTS), expected, atol=1e-5, rtol=0)


def test_long_texts_are_cut_at_the_last_position(folder: Path) -> None:
    long = "x" * 300
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(made(f"laion-clap-text:{folder}"), [long, long[:63], long[:62], "a short one"])
    assert [line.partition(";")[0] for line in heard] == [
        "text: 2 of 4 items are longer than the 64 tokens that the encoder reads"
    ]
    x = made(f"laion-clap-text:{folder}").encode([long, long[:62], long[:61]])
    torch.testing.assert_close(x[0], x[1], atol=1e-5, rtol=0)
    assert not torch.allclose(x[1], x[2], atol=1e-5)


def test_the_towers_are_siblings_in_one_space(folder: Path) -> None:
    data = Dataset(name="none", classes=("a", "b"), samples=())
    reference = f"laion-clap:{folder}?length=crop"
    choice = EncoderChoice(manager(), data, CPU, {"audio": reference})
    audio, text = choice["audio"].encoder, choice["text"].encoder
    assert audio.space == text.space and (audio.dim, text.dim) == (24, 24)
    assert choice["text"].why == "it shares the space of the audio encoder" and text.accepts_names
    assert make_encoder(reference, manager(), CPU, "text").fingerprint() == text.fingerprint()


def test_fingerprints_say_weights_preprocessing_and_policy(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    same = [made(f"laion-clap:{where}").fingerprint() for where in (folder, other)]
    assert same[0] == same[1] and made(f"laion-clap:{other}").space == made(f"laion-clap:{folder}").space
    text = made(f"laion-clap-text:{other}").fingerprint()
    found = {same[0], text}
    found |= {made(f"laion-clap:{folder}?length={p}").fingerprint() for p in ("crop", "loop", "chunks")}
    assert len(found) == 4, "'chunks' is the default, the others are not"
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps(settings | {"frequency_min": 0}))
    assert made(f"laion-clap:{other}").fingerprint() not in found
    assert made(f"laion-clap-text:{other}").fingerprint() == text
    (other / "merges.txt").write_text("#version: 0.2\nt h\n")
    assert made(f"laion-clap-text:{other}").fingerprint() != text
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert made(f"laion-clap:{other}").space != made(f"laion-clap:{folder}").space


def test_pickled_weights_are_read_as_tensors_only(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    other = shutil.copytree(folder, tmp_path / "pickled")
    state = load_file(other / "model.safetensors")
    (other / "model.safetensors").unlink()
    older = {k: v for k, v in state.items() if not k.endswith(("token_type_ids", "relative_position_index"))}
    torch.save(older, other / "pytorch_model.bin")
    expected = made(f"laion-clap-text:{folder}").encode(TEXTS)
    assert torch.equal(made(f"laion-clap-text:{other}").encode(TEXTS), expected)
    torch.save({"weights": Path("x")}, other / "pytorch_model.bin")
    with pytest.raises(UsageError, match="could run code") as caught:
        made(f"laion-clap-text:{other}").encode(TEXTS)
    assert "\n" not in str(caught.value)


def test_half_precision_is_widened(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(folder, tmp_path / "half")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"dtype": "float16", "torch_dtype": "float16"}))
    state = load_file(other / "model.safetensors")
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(halves, other / "model.safetensors", {"format": "pt"})
    item = (sound(0.7), RATE)
    for name, given in (("laion-clap", [item]), ("laion-clap-text", TEXTS)):
        half, whole = (made(f"{name}:{where}").encode(given) for where in (other, folder))
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, whole, atol=1e-2, rtol=0)


def test_what_a_processor_of_today_saves(folder: Path, tmp_path: Path) -> None:
    """transformers 5 writes processor_config.json and tokenizer.json; older releases the files of `build`."""
    from transformers import AutoTokenizer, ClapFeatureExtractor, ClapProcessor

    other = tmp_path / "new"
    shutil.copytree(folder, other, ignore=lambda _, names: {n for n in names if n not in ("config.json", WEIGHTS)})
    processor = ClapProcessor(ClapFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))
    processor.save_pretrained(other)
    if not (other / "processor_config.json").is_file():
        pytest.skip("this release of transformers writes the older files")
    (other / "preprocessor_config.json").unlink(missing_ok=True)
    item = (sound(0.4), RATE)
    assert torch.equal(made(f"laion-clap:{other}").encode([item]), made(f"laion-clap:{folder}").encode([item]))
    texts = (made(f"laion-clap-text:{where}").encode(TEXTS) for where in (other, folder))
    torch.testing.assert_close(next(texts), next(texts), atol=1e-6, rtol=0)


def test_files_that_change_are_read_again(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "changing")
    item = (sound(0.7), RATE)
    before = made(f"laion-clap:{other}").encode([item]), made(f"laion-clap-text:{other}").encode(["the"])
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps(settings | {"frequency_min": 2000}))
    (other / "merges.txt").write_text("#version: 0.2\nt h\n")
    after = made(f"laion-clap:{other}").encode([item]), made(f"laion-clap-text:{other}").encode(["the"])
    assert not any(torch.allclose(x, y, atol=1e-4) for x, y in zip(before, after, strict=True))


def test_silence_is_refused_and_silent_windows_do_not_count(folder: Path) -> None:
    encoder = made(f"laion-clap:{folder}")
    with pytest.raises(ItemError, match="is silent: its peak of 1e-05 is under -80 dB"):
        encoder.encode([(np.full(RATE, 1e-5, np.float32), RATE)])
    loud = sound(1, 4)
    trailing = np.concatenate([loud, np.zeros(2 * RATE, np.float32)])
    alone, both = encoder.encode([(loud, RATE), (trailing, RATE)])
    torch.testing.assert_close(alone, both, atol=1e-6, rtol=0)
    with pytest.raises(ItemError, match="is silent at its centre, which is cropped: its peak of 0 is"):
        made(f"laion-clap:{folder}?length=crop").encode([(trailing, RATE)])


@pytest.mark.parametrize("seconds", [1 / RATE, 0.001, 12.5])
def test_very_short_and_long(folder: Path, fused: Path, seconds: float) -> None:
    for where in (folder, fused):
        out = made(f"laion-clap:{where}").encode([(np.cos(np.arange(round(seconds * RATE)), dtype=np.float32), RATE)])
        assert out.shape == (1, 24) and bool(torch.isfinite(out).all())


def _without(folder: Path, name: str) -> None:
    (folder / name).unlink()


def _only_a_processor(folder: Path) -> None:
    _without(folder, "preprocessor_config.json")
    (folder / "processor_config.json").write_text('{"processor_class": "ClapProcessor"}')


def _fewer_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["audio_projection.linear1.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _wider(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"projection_dim": 48}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: _without(f, "config.json"), r"no config\.json"),
        (lambda f: _without(f, "preprocessor_config.json"), r"no preprocessor_config\.json or processor_config\.json"),
        (_only_a_processor, r"processor_config\.json: holds no feature_extractor"),
        (lambda f: (f / "preprocessor_config.json").write_text('{"padding": "wrap"}'), r"padding 'wrap' \(known: rep"),
        (lambda f: (f / "model.safetensors").write_bytes(POINTER), "is a Git LFS pointer, .*: git lfs pull"),
        (lambda f: _without(f, "model.safetensors"), r"no model\.safetensors or .* or pytorch_model\.bin"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json: is no JSON"),
        (lambda f: (f / "config.json").write_text('{"model_type": "clip"}'), "model_type 'clip'"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "holds no weights of this model"),
        (_fewer_tensors, r"lacks 1 of the model's tensors, such as audio_projection\.linear1\.weight"),
        (_wider, "size mismatch"),
    ],
)
def test_damaged_folders_are_told_in_a_line(folder: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    other = shutil.copytree(folder, tmp_path / "damaged")
    spoil(other)
    with pytest.raises(UsageError, match=said) as caught:
        made(f"laion-clap:{other}").encode([(sound(0.5), RATE)])
    assert "\n" not in str(caught.value)


def test_a_missing_tokenizer_is_told(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "wordless")
    _without(other, "vocab.json")
    with pytest.raises(UsageError, match=r"no tokenizer\.json or vocab\.json"):
        made(f"laion-clap-text:{other}").encode(TEXTS)


@pytest.mark.parametrize("argument", ("nowhere", "./a/b", "a/b/c"))
def test_what_is_neither_folder_nor_repository(argument: str) -> None:
    with pytest.raises(UsageError, match="no such folder, and no ORG/NAME"):
        made(f"laion-clap:{argument}")


def test_wrong_policies(folder: Path) -> None:
    for name in ("laion-clap", "laion-clap-text"):
        with pytest.raises(UsageError, match="did you mean 'crop'"):
            made(f"{name}:{folder}?length=cropp")


def test_offline_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for reference in ("laion-clap", "laion-clap-text:some/clap"):
        with pytest.raises(PluginError, match=r"HF_HUB_OFFLINE is set: copy .*, or name a folder") as caught:
            made(reference)
        assert "\n" not in str(caught.value)
    assert "no CLAP weights on this machine" in (hub.why_not() or "")


def test_the_hubs_cache_is_used_without_its_client(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "models--laion--clap-htsat-unfused"
    shutil.copytree(folder, home / "snapshots" / "abc")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    audio, text = made("laion-clap"), made("laion-clap-text:laion/clap-htsat-unfused")
    assert audio.space == text.space == "laion-clap:laion/clap-htsat-unfused"
    assert audio.fingerprint() == made(f"laion-clap:{folder}").fingerprint()
    assert text.encode(TEXTS).shape == (3, 24)
    assert hub.why_not() is None


def test_a_tokenizer_is_the_same_whatever_else_the_cache_holds(
    monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    snapshot = tmp_path / "models--some--clap" / "snapshots" / "abc"
    shutil.copytree(folder, snapshot, ignore=shutil.ignore_patterns("vocab.json", "merges.txt"))
    AutoTokenizer.from_pretrained(folder).save_pretrained(snapshot)
    (tmp_path / "models--some--clap" / "refs").mkdir()
    (tmp_path / "models--some--clap" / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    text = made("laion-clap-text:some/clap")
    before = text.fingerprint(), text.encode(TEXTS)
    (snapshot / "special_tokens_map.json").write_text('{"pad_token": "</s>"}')
    (snapshot / "vocab.json").write_text("{}")
    again = made("laion-clap-text:some/clap")
    assert again.fingerprint() == before[0] and torch.equal(again.encode(TEXTS), before[1])
