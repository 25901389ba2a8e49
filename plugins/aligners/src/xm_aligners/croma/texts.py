"""Texts of the classes that are heard: what a sound or a spoken digit is called."""

from __future__ import annotations

from collections.abc import Iterator

SOUNDS = {
    "dog": ("dog", "barking dog", "dog's bark", "puppy"),
    "rain": ("rain", "rainfall", "raindrops", "rain shower"),
    "sea waves": ("sea waves", "waves of the sea", "surf", "ocean waves"),
    "baby": ("crying baby", "baby", "baby's cry", "infant in tears"),
    "clock": ("clock", "ticking clock", "clock tick", "watch"),
    "sneeze": ("sneeze", "sneezing person", "person's sneeze", "someone with a cold who sneezes"),
    "helicopter": ("helicopter", "flying helicopter", "chopper", "helicopter's rotor"),
    "chainsaw": ("chainsaw", "running chainsaw", "chain saw", "motor saw"),
    "rooster": ("rooster", "crowing rooster", "cock", "rooster's crow"),
    "fire": ("crackling fire", "fire", "campfire", "burning wood"),
}
"""ESC-10's classes by short name, each in four ways."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

FOREIGN = """
null eins zwei drei vier fünf sechs sieben acht neun
zéro un deux trois quatre cinq six sept huit neuf
cero uno dos tres cuatro cinco seis siete ocho nueve
zero uno due tre quattro cinque sei sette otto nove
zero um dois três quatro cinco seis sete oito nove
nul een twee drie vier vijf zes zeven acht negen
nul en to tre fire fem seks syv otte ni
nolla yksi kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän
"""
"""German, French, Spanish, Italian, Portuguese, Dutch, Danish, Finnish."""

SOUND_SENTENCES = (
    "{}",
    "a {}",
    "the sound of a {}",
    "a recording of a {}",
    "I hear a {}",
    "there is a {} nearby",
    "listen, a {}",
    "the noise of a {}",
)
DIGIT_SENTENCES = (
    "{}",
    "the number {}",
    "the digit {}",
    "somebody says {}",
    "I hear the word {}",
    "number {} please",
    "it is {}",
    "count to {}",
    "{} apples",
    "page {}",
    "the figure {}",
    "room {}",
)


def sound_texts(name: str) -> list[str]:
    """32 sentences of a class of `SOUNDS`."""
    return [sentence.format(word) for word in SOUNDS[name] for sentence in SOUND_SENTENCES]


def digit_texts(digit: int) -> list[str]:
    """32 sentences of a digit: English around the word and the numeral, and other languages' words."""
    return [*_english(digit), *(line.split()[digit] for line in FOREIGN.strip().splitlines())]


def _english(digit: int) -> Iterator[str]:
    for word in (DIGITS[digit], str(digit)):
        yield from (sentence.format(word) for sentence in DIGIT_SENTENCES)
