"""The lists of suffixes follow the libraries that are installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from xm.media import suffixes
from xm.plugins import manager

NO_PICTURES = {
    *(".mpg", ".mpeg"),  # videos, which Pillow tells and can't decode
    *(".bufr", ".grib", ".h5", ".hdf"),  # told as well, for plugins of Pillow
    *(".emf", ".wmf"),  # on Windows alone
    *(".eps", ".ps"),  # with Ghostscript
}
NOT_OF_FORMATS = {"RAW", "SD2", "MAT4", "MAT5", "XI", "MPC2K"}
"""Of libsndfile: without a header, with a second file, tables of MATLAB, and instruments."""
BY_PROBING = {
    *(".wma", ".wmv", ".asf", ".awb", ".mka", ".weba", ".mpga", ".m4b", ".f4v", ".mts", ".m2ts", ".vob", ".qt"),
    *(".3ga", ".divx", ".ogm", ".rmvb"),
}
"""Suffixes that libav's list does not have; it tells their formats by content."""


def test_no_suffix_is_there_twice() -> None:
    for found in (suffixes.IMAGES, suffixes.SOUNDS, suffixes.VIDEOS):
        assert len(set(found)) == len(found) and all(s.startswith(".") and s == s.lower() for s in found)
    assert set(suffixes.SOUNDS) & set(suffixes.VIDEOS) == set(suffixes.EITHER)
    assert not set(suffixes.IMAGES) & {*suffixes.SOUNDS, *suffixes.VIDEOS}


def test_images_are_what_pillow_opens() -> None:
    image = pytest.importorskip("PIL.Image")
    image.init()
    opened = {suffix for suffix, form in image.registered_extensions().items() if form in image.OPEN}
    heif = {".heif", ".heic", ".heics", ".heifs", ".hif"}  # once pillow-heif was asked for
    assert opened - NO_PICTURES - heif <= set(suffixes.IMAGES), "Pillow opens more"
    kept = {".avif", ".avifs", ".heic", ".heif", ".mpo", ".qoi", ".jpc", ".jpf", ".jpx", ".j2c", ".pfm"}
    assert set(suffixes.IMAGES) - opened <= kept, "Pillow opens less"


def test_sounds_are_what_libsndfile_reads() -> None:
    soundfile = pytest.importorskip("soundfile")
    other = {"SVX": ".8svx", "NIST": ".sph", "OGG": ".opus", "IRCAM": ".sf", "WAVEX": ".wav"}
    formats = set(soundfile.available_formats()) - NOT_OF_FORMATS
    assert {other.get(form, f".{form.lower()}") for form in formats} <= set(suffixes.LIBSNDFILE)


def test_sounds_and_videos_are_what_libav_reads() -> None:
    av = pytest.importorskip("av")
    known: set[str] = set()
    for name in av.formats_available:
        try:
            known |= {f".{extension}" for extension in av.format.ContainerFormat(name).extensions}
        except ValueError:  # a name of several
            continue
    unknown = {*suffixes.LIBAV_SOUNDS, *suffixes.VIDEOS} - known - BY_PROBING
    assert unknown == set()


def test_specs_have_the_lists() -> None:
    lists = {"image": suffixes.IMAGES, "audio": suffixes.SOUNDS, "video": suffixes.VIDEOS}
    ours = [spec for spec in manager().encoders.values() if spec.target.startswith("xm_") and spec.modality in lists]
    for spec in ours:
        if spec.suffixes and "features" not in spec.target:
            assert spec.suffixes == lists[spec.modality], spec.name
            assert spec.looks == ("xm.media.streams:is_sound" if spec.modality == "audio" else ""), spec.name


def test_importing_them_imports_no_library() -> None:
    code = "import sys; from xm.media import streams, suffixes; print({'PIL', 'av', 'torch'} & {*sys.modules})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "set()"
