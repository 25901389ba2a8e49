"""The real classes that are seen or named on one side and heard on the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xm import DataError
from xm_aligners.croma.texts import DIGITS, SOUNDS, digit_texts, sound_texts

FOLDERS = {
    "dog": "001 - Dog bark",
    "rain": "002 - Rain",
    "sea waves": "003 - Sea waves",
    "baby": "004 - Baby cry",
    "clock": "005 - Clock tick",
    "sneeze": "006 - Person sneeze",
    "helicopter": "007 - Helicopter",
    "chainsaw": "008 - Chainsaw",
    "rooster": "009 - Rooster",
    "fire": "010 - Fire crackling",
}
"""ESC-10's folders."""

SEEN = {
    "rooster": "rooster",
    "dog": "dalmatian",
    "helicopter": "helicopter",
    "clock": "watch",
    "sneeze": "Faces",
    "sea waves": "ketch",
}
"""Classes of ESC-10 that Caltech-101 shows, and its folders. `Faces` could stand for a baby too."""

IMAGES = 40
"""Photographs, and scans, of each class."""


@dataclass(frozen=True)
class Item:
    """One item of one side.

    Attributes:
        item: as encoders read it.
        label: index into the classes.
        group: what is kept whole: "fold 3" of ESC-10, "george" of the spoken digits; "" where there is none.
    """

    item: Any
    label: int
    group: str = ""


@dataclass(frozen=True)
class World:
    """What a task is drawn from.

    Attributes:
        source: the modality with many labels.
        target: the modality with few.
        classes: by name.
        kinds: of each class: "sound" or "digit".
        seen: items of the source.
        heard: items of the target.
        note: how it was made, in words.
    """

    source: str
    target: str
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    seen: tuple[Item, ...]
    heard: tuple[Item, ...]
    note: str


def data_folder() -> Path:
    """Where ``XM_DATA`` points.

    Raises:
        DataError: if it points nowhere, or not to all that is needed.
    """
    given = os.environ.get("XM_DATA")
    if not given:
        raise DataError("XM_DATA is not set: point it to a folder with caltech-101, esc-10 and fsdd (docs/croma.md)")
    for part in ("caltech-101/101_ObjectCategories", "esc-10", "fsdd"):
        if not (Path(given) / part).is_dir():
            raise DataError(f"{Path(given) / part}: no such folder; put the data there, or point XM_DATA elsewhere")
    return Path(given)


def image_audio(data: Path) -> World:
    """16 classes: six of Caltech-101 and ESC-10, ten digits as scans and as FSDD's spoken words."""
    names = tuple(SEEN)
    photos = [
        Item(path, label)
        for label, name in enumerate(names)
        for path in _files(data / "caltech-101/101_ObjectCategories" / SEEN[name], "*.jpg")[:IMAGES]
    ]
    scans = [Item(image, len(names) + digit) for digit, image in _scans()]
    return World(
        source="image",
        target="audio",
        classes=(*names, *DIGITS),
        kinds=("sound",) * len(names) + ("digit",) * 10,
        seen=(*photos, *scans),
        heard=(*_sounds(data, names), *_spoken(data, len(names))),
        note=f"image to audio: 16 classes; {', '.join(f'{SEEN[name]}-{name}' for name in names)} (Caltech-101's "
        "photographs, ESC-10's clips), and ten digits (scikit-learn's scans, FSDD's words); "
        f"{IMAGES} images a class.",
    )


def text_audio(data: Path) -> World:
    """20 classes: ESC-10's ten by name, ten digits as words and as FSDD's spoken words."""
    names = tuple(SOUNDS)
    texts = [Item(text, label) for label, name in enumerate(names) for text in sound_texts(name)]
    words = [Item(text, len(names) + digit) for digit in range(10) for text in digit_texts(digit)]
    return World(
        source="text",
        target="audio",
        classes=(*names, *DIGITS),
        kinds=("sound",) * len(names) + ("digit",) * 10,
        seen=(*texts, *words),
        heard=(*_sounds(data, names), *_spoken(data, len(names))),
        note="text to audio: 20 classes; ESC-10's ten by 32 English sentences each, ten digits by 24 English sentences "
        "and the word in 8 languages (FSDD's words).",
    )


WORLDS: dict[str, Callable[[Path], World]] = {"image-audio": image_audio, "text-audio": text_audio}
"""By name."""


def _scans() -> Iterator[tuple[int, Any]]:
    """The first `IMAGES` scans of each digit, 8 x 8 grey values from 0 to 240."""
    from sklearn.datasets import load_digits

    data = load_digits()
    for digit in range(10):
        for i in (data.target == digit).nonzero()[0][:IMAGES]:
            yield digit, (15 * data.images[i]).astype("uint8")


def _sounds(data: Path, names: tuple[str, ...]) -> Iterator[Item]:
    for label, name in enumerate(names):
        for path in _files(data / "esc-10" / FOLDERS[name], "*.ogg"):
            yield Item(path, label, f"fold {path.name.partition('-')[0]}")


def _spoken(data: Path, first: int) -> Iterator[Item]:
    for path in _files(data / "fsdd", "*.wav"):
        digit, speaker, _ = path.stem.split("_")
        yield Item(path, first + int(digit), speaker)


def _files(folder: Path, pattern: str) -> list[Path]:
    """All files of a folder, by name.

    Raises:
        DataError: if there are none.
    """
    found = sorted(folder.glob(pattern))
    if not found:
        raise DataError(f"{folder}: no {pattern} files; put the data there, or point XM_DATA elsewhere")
    return found
