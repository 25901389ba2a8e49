"""What class names are written in, and the encoder that follows from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from xm.data.types import Dataset
from xm.encoders import languages
from xm.encoders.choice import EncoderChoice
from xm.encoders.languages import in_words, language_of
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import EncoderSpec

AMONG = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh")
ENGLISH = ("elephant", "camera", "chair", "umbrella", "dolphin", "strawberry", "scissors", "butterfly")
GERMAN = ("elefant", "kamera", "stuhl", "regenschirm", "delfin", "erdbeere", "schere", "schmetterling")
FRENCH = ("éléphant", "appareil photo", "chaise", "parapluie", "dauphin", "fraise", "ciseaux", "papillon")
RUSSIAN = ("слон", "фотоаппарат", "стул", "зонт", "дельфин", "t-shirt")
HINDI = ("हाथी", "कैमरा", "कुर्सी")


def guessing() -> None:
    pytest.importorskip("py3langid")


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        (RUSSIAN, "ru", "are in Cyrillic script"),
        (("象", "椅子", "伞"), "zh", "are in Chinese signs"),
        (("象", "カメラ", "いす"), "ja", "are in Japanese script"),
        (("ｶﾒﾗ", "データ"), "ja", "are in Japanese script"),
        (("코끼리", "의자"), "ko", "are in Hangul script"),
        (HINDI, "hi", "are in Devanagari script"),
    ],
)
def test_a_script_is_sure(names: tuple[str, ...], code: str, said: str) -> None:
    found = language_of(names, AMONG)
    assert found is not None and code in found.codes and found.said == said and found.sure


@pytest.mark.parametrize(("names", "code"), [(ENGLISH, "en"), (GERMAN, "de"), (FRENCH, "fr")])
def test_latin_names_are_guessed_all_together(names: tuple[str, ...], code: str) -> None:
    guessing()
    found = language_of(names, AMONG)
    assert found is not None and found.codes == (code,) and found.said.startswith("look ")
    assert found.sure or code == "en"


def test_what_says_nothing() -> None:
    assert language_of(("0", "1", "747-400"), AMONG) is None, "no letters"
    assert language_of(GERMAN, ("en", "ru")) is None, "one Latin language is no choice"
    assert language_of((), AMONG) is None
    few_greek = language_of(("α-helix", "β-sheet", "random coil"), ("en", "ru"))
    assert few_greek is None, "a letter does not make a language"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "find_spec", lambda name: None)
    languages._guessed.cache_clear()
    assert language_of(GERMAN, AMONG) is None
    languages._guessed.cache_clear()
    assert language_of(RUSSIAN, AMONG) is not None


def test_in_words() -> None:
    assert (in_words(("en",)), in_words(("en", "xx")), in_words(AMONG)) == ("English", "English and xx", "15 languages")


def choice(plugins: PluginManager, *names: str, **asked: str) -> EncoderChoice:
    return EncoderChoice(plugins, Dataset("data", names, (), encoders=asked), torch.device("cpu"), {})


@pytest.fixture
def readers(plugins: PluginManager) -> PluginManager:
    def add(name: str, priority: int, codes: tuple[str, ...], **rest: Any) -> None:
        plugins.encoders[name] = EncoderSpec(
            name=name, target="xm_toy:ToyText", modality="text", priority=priority, languages=codes, **rest
        )

    add("english", 99, ("en",))
    add("missing", 98, AMONG, available="xm_toy:why_not")
    add("many", 97, AMONG)
    return plugins


@pytest.fixture(autouse=True)
def nothing_missing(toy: Any) -> None:
    toy.why_not = lambda: "try: pip install weights"


def test_the_default_reads_the_class_names(readers: PluginManager) -> None:
    found = choice(readers, *RUSSIAN)["text"]
    assert (found.reference, found.why) == ("many", "class names are in Cyrillic script; english reads English")
    assert found.language
    namer = choice(readers, *RUSSIAN).namer(("image",))
    assert namer is not None and namer.reference == "many", "the bridge of names follows"


def test_english_names_change_nothing(readers: PluginManager) -> None:
    for names in (ENGLISH, ("a", "b"), ("0", "1")):
        found = choice(readers, *names)["text"]
        assert (found.reference, found.why, found.language) == ("english", "the best that can be used here", False)


def test_a_latin_language_decides_if_it_is_sure(readers: PluginManager, monkeypatch: pytest.MonkeyPatch) -> None:
    guessing()
    found = choice(readers, *GERMAN)["text"]
    assert (found.reference, found.why) == ("many", "class names look German; english reads English")
    monkeypatch.setattr(languages, "SURE", 1.1)
    found = choice(readers, *GERMAN)["text"]
    assert found.reference == "english"
    assert found.why == (
        "the best that can be used here; english reads English: if class names are German, type --text-encoder many"
    )


def test_a_language_that_none_reads_is_told(readers: PluginManager) -> None:
    found = choice(readers, *HINDI)["text"]
    assert (found.reference, found.language) == ("english", True)
    assert found.why == (
        "the best that can be used here, but class names are in Devanagari script and english reads English: "
        "name one for them by --text-encoder"
    )


def test_what_does_not_say_its_languages_stays(readers: PluginManager) -> None:
    readers.encoders["first"] = EncoderSpec(name="first", target="xm_toy:ToyText", modality="text", priority=100)
    found = choice(readers, *RUSSIAN)["text"]
    assert (found.reference, found.why) == ("first", "the best that can be used here")


def test_named_and_asked_for_go_before(readers: PluginManager) -> None:
    assert choice(readers, *RUSSIAN, text="english")["text"].reference == "english"
