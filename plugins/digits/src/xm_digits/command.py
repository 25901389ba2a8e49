"""The command ``xm digits``."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from xm import DataError, Sample, UsageError
from xm.data import SPLITS


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="New or empty folder.", show_default=False)],
) -> None:
    """Write the digits as an ordinary dataset: DIR/<split>/<modality>/<class>/*.png, *.wav and *.txt.

    This is what a folder of your own may look like. Pairs are left out: a folder has none, a manifest may.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; name a new one")
    try:
        count = write(folder)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: can't write ({error.strerror or error})") from error
    typer.echo(f"{count} files in {folder}")


def write(folder: Path) -> int:
    """Write every sample of train, val and test below `folder`, whole or not at all; returns how many."""
    from xm_digits.dataset import open_digits

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary, folder.name)
        dataset = open_digits("digits", suffixes={}, cache=Path(temporary, "cache"))
        numbers: Counter[Path] = Counter()
        for sample in dataset.samples:
            if sample.split not in SPLITS or sample.label is None:
                continue
            place = made / sample.split / sample.modality / dataset.classes[sample.label]
            place.mkdir(parents=True, exist_ok=True)
            _WRITERS[sample.modality](sample, place / f"{numbers[place]:03d}")
            numbers[place] += 1
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    return numbers.total()


def _write_scan(sample: Sample, stem: Path) -> None:
    """A grey PNG; 0..16 of the scan become 0..255."""
    import numpy as np
    from PIL import Image

    grey: Any = np.round(np.asarray(sample.item) * (255 / 16)).astype(np.uint8)
    Image.fromarray(grey).save(stem.with_suffix(".png"))


def _copy_sound(sample: Sample, stem: Path) -> None:
    shutil.copyfile(sample.item, stem.with_suffix(".wav"))


def _write_text(sample: Sample, stem: Path) -> None:
    stem.with_suffix(".txt").write_text(f"{sample.item}\n", encoding="utf-8")


_WRITERS = {"image": _write_scan, "audio": _copy_sound, "text": _write_text}
