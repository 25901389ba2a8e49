"""eSpeak NG through ctypes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from xm import PluginError
from xm_digits import espeak
from xm_digits.names import CLASSES
from xm_digits.voices import VARIANTS, voice

ALL = [v for variants in VARIANTS.values() for v in variants]

SCRIPT = """
import hashlib, sys
from xm_digits import espeak
from xm_digits.voices import VARIANTS, voice
for text in sys.argv[1:]:
    espeak.speak([(text, "en+croak")])
for variants in VARIANTS.values():
    for variant in variants:
        print(variant, hashlib.blake2b(espeak.speak([("seven", voice(variant))])[0].tobytes()).hexdigest())
"""


def _hashes(*before: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *before], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_two_processes_with_different_pasts_agree_on_every_voice() -> None:
    first, second = _hashes(), _hashes("something else", "before")
    assert first == second
    assert len({line.split()[-1] for line in first.splitlines()}) == len(ALL) == 102


def test_speech_is_a_waveform() -> None:
    short, long = espeak.speak([("six", "en+f2"), ("sixty six thousand", "en+f2")])
    assert short.dtype == np.float32 and short.ndim == 1
    assert 0.1 < np.abs(short).max() <= 1
    assert 0.2 < len(short) / espeak.RATE < 1 < len(long) / espeak.RATE


def test_order_and_threads_do_not_matter() -> None:
    jobs = [[(name, voice(v))] for name in CLASSES for v in ("f2", "croak", "whisper")]
    alone = [espeak.speak(job)[0] for job in jobs]
    with ThreadPoolExecutor(4) as threads:
        together = [sounds[0] for sounds in threads.map(espeak.speak, reversed(jobs))]
    assert all(np.array_equal(a, b) for a, b in zip(alone, reversed(together), strict=True))


def test_nothing_to_say() -> None:
    for sound in espeak.speak([("", "en+f2"), (" \n", "en+f2"), ("\0", "en+f2")]):
        assert len(sound) < 1000 and not sound.any()
    assert espeak.speak([]) == []


def test_unknown_voice() -> None:
    with pytest.raises(PluginError, match="no voice 'xx'"):
        espeak.speak([("one", "xx")])
    assert len(espeak.speak([("one", "en+f2")])[0]) > 1000, "an error must leave the next call alone"


def test_long_data_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    data = deep / "espeak-ng-data"
    deep.mkdir(parents=True)
    shutil.copytree(espeak.get_data_path(), data)
    assert len(str(data)) > 200
    usual = espeak.speak([("nine", "en+m3")])[0]
    before = set(Path(tempfile.gettempdir()).glob("xm-*"))
    monkeypatch.setattr(espeak, "get_data_path", lambda: str(data))
    assert np.array_equal(espeak.speak([("nine", "en+m3")])[0], usual)
    assert set(Path(tempfile.gettempdir()).glob("xm-*")) <= before, "the link is still there"
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(PluginError, match="TMPDIR"):
        espeak.speak([("nine", "en+m3")])


def test_missing_data_and_library_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(espeak, "get_data_path", lambda: str(tmp_path / "none"))
        with pytest.raises(PluginError, match="does not start"):
            espeak.speak([("one", "en+f2")])
    monkeypatch.setattr(espeak, "get_library_path", lambda: str(tmp_path / "none.so"))
    with pytest.raises(PluginError, match="does not load"):
        espeak.speak([("one", "en+f2")])


def test_library_is_a_file() -> None:
    assert hashlib.blake2b(espeak.library().read_bytes()).digest_size == 64
