"""The language of class names: by their script, which is sure, and where that is Latin by a guess over all of them.

The guess is py3langid's (Lui and Baldwin, *langid.py*, ACL 2012), a naive Bayes classifier of byte sequences, among few
languages; docs/languages.md has how often it is right. Without the package, Latin names are of no known language.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

SURE = 0.8
"""From this probability on, a guess decides."""

LIKELY = 0.5
"""From this probability on, a guess is told."""

FOREIGN = 0.25
"""The share of letters that are not Latin, from which names are not."""

LATIN = "LATIN"

SCRIPTS = {
    "ARABIC": ("ar", "fa", "ur", "ps", "ug"),
    "ARMENIAN": ("hy",),
    "BENGALI": ("bn", "as"),
    "CJK": ("zh", "ja"),
    "CYRILLIC": ("ru", "uk", "bg", "be", "sr", "mk", "kk", "ky", "mn", "tg"),
    "DEVANAGARI": ("hi", "mr", "ne", "sa"),
    "ETHIOPIC": ("am", "ti"),
    "GEORGIAN": ("ka",),
    "GREEK": ("el",),
    "GUJARATI": ("gu",),
    "GURMUKHI": ("pa",),
    "HANGUL": ("ko",),
    "HEBREW": ("he", "yi"),
    "HIRAGANA": ("ja",),
    "KANNADA": ("kn",),
    "KATAKANA": ("ja",),
    "KHMER": ("km",),
    "LAO": ("lo",),
    "MALAYALAM": ("ml",),
    "MYANMAR": ("my",),
    "SINHALA": ("si",),
    "TAMIL": ("ta",),
    "TELUGU": ("te",),
    "THAI": ("th",),
    "TIBETAN": ("bo",),
}
"""Languages of a script, ISO 639-1, by the first word of its letters' names in Unicode."""

_NEITHER = "MODIFIER"
"""Letters of any script, such as an apostrophe."""

_KANA = ("HIRAGANA", "KATAKANA")

WORDS = {
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "tr": "Turkish",
}
"""What languages are called; others by their code."""


@dataclass(frozen=True)
class Language:
    """What some texts are written in.

    Attributes:
        codes: the languages that it may be, ISO 639-1: all of a script, or the one that was guessed.
        words: the same, as a user is told: "in Cyrillic script", "German".
        probability: of a guess; 1 for a script.
    """

    codes: tuple[str, ...]
    words: str
    probability: float

    @property
    def sure(self) -> bool:
        """Whether to decide by it; if not, it is only told."""
        return self.probability >= SURE

    @property
    def said(self) -> str:
        """What texts are, in words: "are in Cyrillic script", "look German"."""
        return f"{'are' if self.probability == 1 else 'look'} {self.words}"


def language_of(texts: Iterable[str], among: Collection[str]) -> Language | None:
    """The language of texts, all of one; None where nothing can be said.

    Args:
        texts: such as class names, of one or two words each.
        among: the languages that come into question, ISO 639-1, where the script does not tell.
    """
    said = [unicodedata.normalize("NFKC", text) for text in texts]
    letters = Counter(_script(letter) for text in said for letter in text if letter.isalpha())
    del letters[_NEITHER]
    foreign = {script: count for script, count in letters.items() if script != LATIN}
    if foreign and sum(foreign.values()) >= FOREIGN * letters.total():
        return _by_script(foreign)
    latin = tuple(sorted(set(among) - {code for codes in SCRIPTS.values() for code in codes}))
    return _guessed(", ".join(said).lower(), latin) if letters and len(latin) > 1 else None


def _script(letter: str) -> str:
    return unicodedata.name(letter, LATIN).split()[0].partition("-")[0]


def _by_script(letters: dict[str, int]) -> Language:
    japanese = [script for script in _KANA if script in letters]
    script = japanese[0] if japanese else max(letters, key=lambda name: letters[name])
    written = "Chinese signs" if script == "CJK" else f"{script.capitalize()} script"
    return Language(SCRIPTS.get(script, ()), "in Japanese script" if japanese else f"in {written}", 1.0)


@lru_cache(maxsize=256)
def _guessed(text: str, among: tuple[str, ...]) -> Language | None:
    if find_spec("py3langid") is None:
        return None
    code, probability = _identifier(among).classify(text)
    if probability < LIKELY:
        return None
    return Language((code,), WORDS.get(code, code), min(float(probability), 0.999))


@lru_cache(maxsize=2)
def _identifier(among: tuple[str, ...]) -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    made = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    made.set_languages(set(among) & set(made.labels))
    return made


def in_words(codes: Sequence[str]) -> str:
    """Languages as a user is told: by name if they are few, else how many."""
    return " and ".join(WORDS.get(code, code) for code in codes) if len(codes) < 3 else f"{len(codes)} languages"
