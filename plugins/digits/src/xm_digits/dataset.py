"""The dataset `digits`: scans, spoken words and names of the ten digits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from xm import Dataset, Sample
from xm_digits.names import CLASSES, other_names
from xm_digits.recordings import Recording, all_recordings, recordings_folder
from xm_digits.voices import VARIANTS

PAIRS = 4
"""Pairs of each class."""
SCANS = {"pool": PAIRS, "train": 40, "val": 20}
"""Scans of each class by split; test has the rest."""


def open_digits(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open the digits. See `xm.data.Opener`.

    Raises:
        DataError: if the cache can't be written.
        PluginError: if eSpeak NG does not start.
    """
    folder = recordings_folder(cache)
    samples = (*_scans(), *_sounds(folder), *_texts())
    names = tuple(Sample(name, "text", label, "train") for label, name in enumerate(CLASSES))
    return Dataset(
        name="digits",
        classes=CLASSES,
        samples=samples,
        auxiliary={"text": names},
        encoders={"image": "pixels", "audio": "logmel", "text": "spoken"},
        notes=_notes(samples),
    )


def _scans() -> Iterator[Sample]:
    """scikit-learn's scans; within a class, the hash of a scan's number says its split."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = sorted(range(len(data.target)), key=lambda i: hashlib.blake2b(f"scan {i}".encode()).digest())
    drawn: Counter[int] = Counter()
    for i in order:
        label = int(data.target[i])
        split, rank = _split(drawn[label])
        drawn[label] += 1
        pair = f"{CLASSES[label]}-{rank}" if split == "pool" else None
        yield Sample(data.images[i], "image", label, split, pair=pair)


def _split(rank: int) -> tuple[str, int]:
    """The split of a class's scan number `rank`, and its number within the split."""
    for split, count in SCANS.items():
        if rank < count:
            return split, rank
        rank -= count
    return "test", rank


def _sounds(folder: Path) -> Iterator[Sample]:
    for recording in all_recordings():
        pair = _pair(recording)
        if recording.split != "pool" or pair is not None:
            path = folder / recording.path
            yield Sample(path, "audio", recording.digit, recording.split, f"voice {recording.variant}", pair)


def _pair(recording: Recording) -> str | None:
    """The pool's voices take turns: each says `PAIRS` * 10 / 16 digits that are paired."""
    if recording.split != "pool":
        return None
    voices = VARIANTS["pool"]
    rank = (voices.index(recording.variant) - PAIRS * recording.digit) % len(voices)
    return f"{CLASSES[recording.digit]}-{rank}" if rank < PAIRS else None


def _texts() -> Iterator[Sample]:
    for text, label, split, group in other_names():
        yield Sample(text, "text", label, split, group)


def _notes(samples: tuple[Sample, ...]) -> tuple[str, ...]:
    count = Counter((s.modality, s.split) for s in samples)
    image, text = (
        f"{count[modality, 'train']} in train, {count[modality, 'val']} in val, {count[modality, 'test']} in test"
        for modality in ("image", "text")
    )
    voices = ", ".join(f"{len(variants)} in {split}" for split, variants in VARIANTS.items())
    pairs = PAIRS * len(CLASSES)
    return (
        f"Images are scikit-learn's 8x8 scans: {image}, and {pairs} in a pool for pairs. They don't say who "
        "wrote them, so a hand may be in several splits.",
        f"Sounds are words spoken by eSpeak NG, each voice in one split: {voices}.",
        f"Texts are names in other languages and English phrases around the name: {text}; no text is in two "
        "splits, and no language but English. As an auxiliary, text is the ten English names.",
        "A text is known by its sound: the pool's voices say it.",
        f"{pairs} pairs of a seen and a heard digit come from the pool, {PAIRS} of each class. They were matched "
        f"by class, so they are labels in disguise: whoever uses them uses {pairs} labels besides the shots.",
    )
