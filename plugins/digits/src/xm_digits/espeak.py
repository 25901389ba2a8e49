"""Text to speech with eSpeak NG, through ctypes.

The library and its data come from the package espeakng-loader (GPL-3.0-or-later). The API is that of
`speak_lib.h` and `espeak_ng.h`, https://github.com/espeak-ng/espeak-ng/tree/master/src/include/espeak-ng.
"""

from __future__ import annotations

import _ctypes
import ctypes
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from espeakng_loader import get_data_path, get_library_path  # type: ignore[import-untyped]
from numpy.typing import NDArray

from xm import PluginError

RATE = 22_050
"""Samples per second."""
MAX_DATA_PATH = 150
"""Bytes of a data path that eSpeak NG surely takes; from about 160 on it fails."""

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: the callback gets all samples before espeak_Synth returns
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: without it, bad data end the Python process
_UTF8 = 1  # espeakCHARS_UTF8
_REINSTALL = "try: pip install --force-reinstall espeakng-loader"

_Samples = ctypes.POINTER(ctypes.c_short)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, _Samples, ctypes.c_int, ctypes.c_void_p)
_lock = threading.Lock()


def library() -> Path:
    """The file of the shared library."""
    return Path(get_library_path())


def speak(utterances: Sequence[tuple[str, str]]) -> list[NDArray[np.float32]]:
    """Say texts, one after the other.

    Every call loads the library afresh (4 ms), because eSpeak NG carries the phase of its flutter and noise
    from one text to the next. So equal calls give equal samples, whatever the process said before.

    Args:
        utterances: (text, voice); a voice is a language and a variant, ``"en+f2"``.

    Returns:
        a waveform (n,) at `RATE`, between -1 and 1, for each; of a few silent samples where there is nothing to say.

    Raises:
        PluginError: if eSpeak NG does not load or start, or does not know a voice.
    """
    with _lock, _started() as engine:
        return [engine.say(text, voice) for text, voice in utterances]


class _Engine:
    """eSpeak NG, started."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._chunks: list[NDArray[np.int16]] = []
        self._callback = _Callback(self._receive)  # kept alive: C holds it
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def _receive(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, text: str, voice: str) -> NDArray[np.float32]:
        self._chunks = [np.zeros(0, np.int16)]
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise PluginError(f"eSpeak NG has no voice {voice!r}")
        data = text.replace("\0", " ").encode(errors="replace") + b"\0"
        size = ctypes.c_size_t(len(data))
        status = self._library.espeak_Synth(data, size, 0, 1, 0, _UTF8, None, None)
        if status != 0:
            raise PluginError(f"eSpeak NG failed to say {text!r} with voice {voice!r} (status {status})")
        return np.concatenate(self._chunks).astype(np.float32) / np.float32(32768)


@contextmanager
def _started() -> Iterator[_Engine]:
    """eSpeak NG as if new, and unloaded afterwards."""
    try:
        loaded = ctypes.CDLL(get_library_path())
    except OSError as error:
        raise PluginError(f"eSpeak NG does not load ({error}); {_REINSTALL}") from error
    try:
        with short_path(get_data_path()) as data:
            rate = loaded.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(data), _DONT_EXIT)
            if rate != RATE:
                raise PluginError(f"eSpeak NG does not start with the data in {data} (answer {rate}); {_REINSTALL}")
            yield _Engine(loaded)
    finally:
        loaded.espeak_Terminate()
        _unload(loaded)


def _unload(loaded: ctypes.CDLL) -> None:
    close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary  # type: ignore[attr-defined]
    close(loaded._handle)


@contextmanager
def short_path(data: str) -> Iterator[str]:
    """`data`, or, if it is too long for eSpeak NG, a link to it under a temporary path.

    Raises:
        PluginError: if the temporary folder's path is too long itself.
    """
    if len(os.fsencode(data)) <= MAX_DATA_PATH:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="xm-") as folder:
        link = Path(folder, "espeak-ng-data")
        if len(os.fsencode(link)) > MAX_DATA_PATH:
            raise PluginError(f"eSpeak NG needs a short path, and {link} is too long; set TMPDIR=/tmp")
        link.symlink_to(data, target_is_directory=True)
        yield str(link)
