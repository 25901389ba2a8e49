"""Spoken digits as files: made once by eSpeak NG, then checked and reused."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xm import DataError
from xm_digits import espeak
from xm_digits.names import CLASSES
from xm_digits.voices import VARIANTS, voice

VERSION = 1
INDEX = "index.json"


@dataclass(frozen=True)
class Recording:
    """A spoken digit.

    Attributes:
        path: below the folder of all recordings, ``test/seven/f2.wav``.
        split: of its voice.
        variant: the voice.
        digit: what is said.
    """

    path: str
    split: str
    variant: str
    digit: int


def all_recordings() -> Iterator[Recording]:
    """Every voice says every digit."""
    for split, variants in VARIANTS.items():
        for variant in variants:
            for digit, name in enumerate(CLASSES):
                yield Recording(f"{split}/{name}/{variant}.wav", split, variant, digit)


def key() -> str:
    """Identifies the recordings: what is said, by whom, and by which library."""
    digest = hashlib.blake2b(repr((VERSION, CLASSES, VARIANTS)).encode(), digest_size=8)
    digest.update(espeak.library().read_bytes())
    return digest.hexdigest()


def recordings_folder(cache: Path) -> Path:
    """The folder of all recordings below `cache`; made, or made anew, where it is missing or damaged.

    Raises:
        DataError: if the cache can't be written.
        PluginError: if eSpeak NG does not start.
    """
    folder = cache / f"digits-{key()}"
    if not is_whole(folder):
        try:
            _make(folder)
        except OSError as error:
            raise DataError(
                f"{error.filename or cache}: can't write the spoken digits ({error.strerror or error})"
            ) from error
    return folder


def is_whole(folder: Path) -> bool:
    """Whether every file is there and holds what was written."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return set(index) == {r.path for r in all_recordings()} and all(
            _digest((folder / path).read_bytes()) == digest for path, digest in index.items()
        )
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _make(folder: Path) -> None:
    """Write all files under a temporary name, then put them in place of `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        recordings = list(all_recordings())
        sounds = espeak.speak([(CLASSES[r.digit], voice(r.variant)) for r in recordings])
        index = {}
        for recording, sound in zip(recordings, sounds, strict=True):
            path = made / recording.path
            path.parent.mkdir(parents=True, exist_ok=True)
            write_wav(path, sound)
            index[recording.path] = _digest(path.read_bytes())
        (made / INDEX).write_text(json.dumps(index), encoding="utf-8")
        made.chmod(0o755)
        _put(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _put(made: Path, folder: Path) -> None:
    """Rename `made` to `folder`, unless another process has just done so; a damaged folder is moved away."""
    try:
        made.rename(folder)
        return
    except OSError:
        if not folder.exists():
            raise
    if is_whole(folder):
        return
    damaged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        folder.rename(damaged / "old")
        made.rename(folder)
    finally:
        shutil.rmtree(damaged, ignore_errors=True)


def write_wav(path: Path, sound: NDArray[np.float32]) -> None:
    """Write a waveform (n,) at `espeak.RATE` as 16-bit wav."""
    with path.open("wb") as file, wave.open(file) as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(espeak.RATE)
        out.writeframes((sound * 32768).astype("<i2").tobytes())


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
