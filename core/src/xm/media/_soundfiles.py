"""Sounds from files: by libsndfile, and by libav what that can't read."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import soundfile

from xm.data.member import File, opened
from xm.foundation.errors import ItemError
from xm.media._audio import Track, read_audio, read_mpeg
from xm.media._mono import mono
from xm.media._promises import is_cut, ogg_lacks_end

CUT = "is cut short: it holds less than its header says"

_MPEG = (".mp3", ".mp2", ".mpga")
_KNOWN = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"OggS", b"fLaC", b".snd", b"caff", b"riff", b"NIST")
"""First bytes of files that are no MPEG audio, whatever their suffix."""
_HEAD = 1024
_FRAME = 1152
"""Samples of an MPEG audio frame, at most."""
_PLAUSIBLE = 2**14
"""Most samples to a byte: more is what a header says that does not know, or of a damaged file."""


def read_file(file: File, name: str) -> Track:
    """The samples of a file, one channel, and their rate.

    Raises:
        ItemError: if there is no such file, neither library reads it, or it is cut short.
        PluginError: if libav is needed and PyAV is not installed.
    """
    if not file.is_file():
        raise ItemError(name, "no such file")
    try:
        with file.open("rb") as stream:
            start, size = stream.read(_HEAD), stream.seek(0, 2)
        if size == 0:
            raise ItemError(name, "is empty: it holds no bytes")
        if start.startswith(b"OggS") and ogg_lacks_end(file, size):
            raise ItemError(name, "is cut short: its last page is not the end of a stream")
        if _may_be_mpeg(file, start):
            return _mpeg(file, name)
        return _other(file, name, start, size)
    except OSError as error:
        raise ItemError(name, f"can't be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise ItemError(name, "is too long to be held in memory") from error


def _may_be_mpeg(file: File, start: bytes) -> bool:
    if start.startswith(_KNOWN):
        return False
    sync = len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0
    return sync or start.startswith(b"ID3") or file.suffix.lower() in _MPEG


def _mpeg(file: File, name: str) -> Track:
    """An MP3, or what is called one; libmpg123, below libsndfile, must not see others, on which it prints notes.

    libsndfile takes the number of frames from the first one's rate where no header frame tells it, and reads no more.
    """
    held = read_mpeg(file)
    if held is None:
        return read_audio(file, "sound", "it")
    if held.cut:
        raise ItemError(name, CUT)
    if not held.joined:
        try:
            with soundfile.SoundFile(opened(file)) as sound:
                if sound.subtype.startswith("MPEG") and sound.frames < 2 * held.samples + _FRAME:
                    samples, rate = sound.read(dtype="float32", always_2d=True), int(sound.samplerate)
                    if held.promised is not None and len(samples) < 0.99 * sound.frames:
                        raise ItemError(name, CUT)
                    if held.promised is not None or len(samples) >= held.samples - 2 * _FRAME:
                        return mono(samples, axis=1), rate
        except soundfile.SoundFileError:
            pass  # libav reads it, or says what is wrong
    return read_audio(file, "sound", "it")


def _other(file: File, name: str, start: bytes, size: int) -> Track:
    """Whatever libsndfile tells by its first bytes, not by its suffix, or else libav."""
    with file.open("rb") as stream:
        try:
            sound = soundfile.SoundFile(stream.fileno() if isinstance(file, Path) else stream, closefd=False)
        except soundfile.SoundFileError as error:
            return _by_libav(file, name, error)
        with sound:
            form, subtype, rate, frames = sound.format, sound.subtype, int(sound.samplerate), sound.frames
            if subtype.startswith("MPEG") and not is_cut(sound.extra_info, subtype, frames, start):
                return _mpeg(file, name)
            if frames > _PLAUSIBLE * size:
                return read_audio(file, "sound", "it")
            try:
                samples, log = sound.read(frames, dtype="float32", always_2d=True), sound.extra_info
            except soundfile.SoundFileError as error:
                if form == "OGG":  # FLAC in it, say
                    return _by_libav(file, name, error)
                raise ItemError(name, f"is damaged, or cut short ({_reason(error)})") from error
    if len(samples) < 0.99 * frames or is_cut(log, subtype, len(samples), start):
        raise ItemError(name, CUT)
    if not len(samples):
        held = f"by its header, in a file of {size:,} bytes; repair that, as ffmpeg -i FILE NEW does"
        raise ItemError(name, f"is empty: it holds no samples{f' {held}' if size > _HEAD else ''}")
    return mono(samples, axis=1), rate


def _by_libav(file: File, name: str, error: Exception) -> Track:
    """What libsndfile refused."""
    if find_spec("av") is None:
        said = f"is not a sound that libsndfile reads ({_reason(error)}); more kinds are read with PyAV: pip install av"
        raise ItemError(name, said) from error
    return read_audio(file, "sound", "it")


def _reason(error: Exception) -> str:
    """The library's own reason, without the path that it repeats."""
    return str(error).rpartition(": ")[2].strip().rstrip(".") or "libsndfile does not say why"
