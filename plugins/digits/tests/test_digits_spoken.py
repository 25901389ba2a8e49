"""The text encoder `spoken`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from xm import EncoderSpec, ItemError
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_digits import espeak
from xm_digits.encoder import Spoken
from xm_digits.names import CLASSES
from xm_digits.voices import VARIANTS, voice

pytestmark = pytest.mark.skipif("logmel" not in manager().encoders, reason="xm-plain is not installed")


class TestConformance(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("spoken")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        return ["three", "eight", "a cup of tea", "acht"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Any:
        return tmp_path / "missing.txt"


def test_shares_the_space_of_logmel() -> None:
    ear = manager().encoders.find("logmel").load()("")
    encoder = Spoken()
    assert (encoder.space, encoder.dim) == (ear.space, ear.dim)
    assert encoder.accepts_names
    assert encoder.fingerprint() != ear.fingerprint()


def test_names_tell_speech_of_other_voices() -> None:
    names = Spoken().encode(CLASSES)
    jobs = [(name, voice(v)) for v in VARIANTS["test"] for name in CLASSES]
    heard = manager().encoders.find("logmel").load()("").encode([(s, espeak.RATE) for s in espeak.speak(jobs)])
    right = (heard @ names.T).argmax(1) == torch.arange(10).repeat(len(VARIANTS["test"]))
    assert right.float().mean() > 0.9


def test_a_file_is_what_it_says_and_the_past_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "name.txt"
    path.write_text("four\n", encoding="utf-8")
    first = Spoken().encode([path])
    espeak.speak([("noise before", "en+whisper")])
    assert torch.equal(first, Spoken().encode(["four"]))


def test_bad_texts(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("né".encode("latin-1"))
    for item, reason in ((latin, "not UTF-8"), ("", "holds no text"), ("...", "nothing to say"), (3, "is not a text")):
        with pytest.raises(ItemError, match=reason) as caught:
            Spoken().encode([item])
        assert "\n" not in str(caught.value)


def test_why_not_without_logmel(monkeypatch: pytest.MonkeyPatch) -> None:
    from xm_digits import available

    assert available.why_not() is None

    class Nothing:
        encoders: dict[str, EncoderSpec] = {}  # noqa: RUF012

    monkeypatch.setattr(available, "manager", Nothing)
    assert "pip install xm-plain" in (available.why_not() or "")
