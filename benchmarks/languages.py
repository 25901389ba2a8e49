"""Class names in other languages, by two encoders of text: the figures of docs/languages.md.

What `xm train --modality image --aux text --shots 0` does offline (EfficientNet-Lite0, the bridge `names`), on those
classes of Caltech-101 that are emoji too, named in 28 languages by emojibase-data (MIT), and on all in German, by
languages.tsv. Zero-shot, so that no seed matters; the test split of CoOp. And how often the language of some class
names is found, by `xm.encoders.language_of`, among those that `use` reads.

    python benchmarks/languages.py --data ../shared/data

The data folder (default: XM_DATA) holds caltech-101/. The names come from the npm registry (7 MB), once, to the cache
(XM_CACHE), by ``npm pack emojibase-data@17.0.0``; or name the package's folder: ``--emoji``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from torchvision.models._meta import _COCO_CATEGORIES, _IMAGENET_CATEGORIES, _KINETICS400_CATEGORIES

import xm
from xm import DataError
from xm.encoders import language_of
from xm.foundation import cache_dir
from xm.plugins import manager

PACKAGE = "emojibase-data@17.0.0"
ENCODERS = ("minilm", "use")
FOUND = ("de", "en", "es", "fr", "it", "nl", "pl", "pt", "ja", "ko", "ru", "th", "zh")
"""Languages that `use` reads, of those that emoji are named in."""

OBJECTS = (3, 4, 5, 6, 7)
"""Groups of emoji: animals and nature, food, travel, activities, objects."""

Rows: TypeAlias = Sequence[tuple[str, str, str]]

TABLE = Path(__file__).with_suffix(".tsv")
"""All classes in German, and the emoji that shows the same, or as good as, if there is one: a ketch is a sailboat."""


def table() -> tuple[dict[str, str], dict[str, str]]:
    """The emoji and the German name of each class that has one."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["class"]: row["emoji"] for row in rows if row["emoji"]}, {row["class"]: row["German"] for row in rows}


def emoji_folder(cache: Path) -> Path:
    """The package's files, from the npm registry if they are not in the cache."""
    folder = cache / "emojibase-data-17.0.0"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as new:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=new, check=True, capture_output=True)
            with tarfile.open(next(Path(new).glob("*.tgz"))) as archive:
                archive.extractall(new, filter="data")
            Path(new, "package").rename(folder)
    return folder


def labels(folder: Path, language: str) -> dict[str, tuple[str, int]]:
    """Name and group of each emoji, by itself without the sign that says how it is drawn."""
    found = json.loads((folder / language / "data.json").read_text(encoding="utf-8"))
    return {one["emoji"].replace("\ufe0f", ""): (one["label"], one.get("group", -1)) for one in found}


def zero_shot(images: Path, rows: Rows, names: Mapping[str, str], text: str | None) -> tuple[float, str]:
    """Accuracy in % on test, of the classes that have a name, and the encoder that read the names.

    Args:
        images: the folder that paths are relative to.
        rows: path, class, split.
        names: by class, as it is written in the data.
        text: the encoder; None: the default.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.csv")
        with data.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "label", "split"))
            writer.writerows((images / path, names[name], split) for path, name, split in rows if name in names)
        encoders = {"image": "efficientnet-lite0", **({"text": text} if text else {})}
        out = Path(folder, "run")
        report = xm.train(
            "image", aux=["text"], data=str(table), strategy="zero-shot", seeds=[1], encoders=encoders, out=out
        )
        chosen = json.loads((out / "xm.json").read_text(encoding="utf-8"))["ways"]["text"]["encoder"]
    return 100 * report.results[0].value, str(chosen)


def guesses(folder: Path, languages: Sequence[str], sizes: Sequence[int], draws: int) -> None:
    """How often the language of so many class names is found, sure enough to decide by it; of English, another one."""
    among = manager().encoders.find("use").languages
    for language in languages:
        names = [name for name, group in labels(folder, language).values() if group in OBJECTS]
        found = []
        for size in sizes:
            drawn = random.Random(size)
            told = [language_of(drawn.sample(names, size), among) for _ in range(draws)]
            sure = [one for one in told if one is not None and one.sure]
            hits = sum((language in one.codes) != (language == "en") for one in sure)
            found.append(100 * hits / draws)
        print(f"{language:<8}" + "".join(f"{value:8.0f}" for value in found))


def mistakes(lists: Mapping[str, Sequence[str]], sizes: Sequence[int], draws: int) -> None:
    """How often so many of English class names are taken for another language's, sure enough to decide by it."""
    among = manager().encoders.find("use").languages
    for what, names in lists.items():
        found = []
        for size in sizes:
            drawn = random.Random(size)
            told = [language_of(drawn.sample(list(names), size), among) for _ in range(draws)]
            wrong = sum(one is not None and one.sure and "en" not in one.codes for one in told)
            found.append(100 * wrong / draws)
        print(f"{what:<16}" + "".join(f"{value:8.1f}" for value in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="holds caltech-101/")
    parser.add_argument("--emoji", type=Path, help="folder of emojibase-data; else from npm")
    parser.add_argument("--languages", help="en,de,…; else all")
    given = parser.parse_args()
    if given.data is None:
        raise DataError("name the data folder by --data or XM_DATA")
    folder = given.emoji or emoji_folder(cache_dir())
    caltech = Path(given.data).absolute() / "caltech-101"
    splits = json.loads((caltech / "split_zhou_Caltech101.json").read_text(encoding="utf-8"))
    images = caltech / "101_ObjectCategories"
    held = [(path, name, split) for split in ("train", "test") for path, _, name in splits[split]]
    rows = [row for row in held if row[2] == "test" or (images / row[0]).is_file()]  # no name is learned from train
    every = sorted(path.parent.name for path in folder.glob("*/data.json"))
    languages = given.languages.split(",") if given.languages else every

    emoji, german = table()
    own = {name: name.replace("_", " ") for name in german}
    count = sum(split == "test" and name in emoji for _, name, split in rows)
    print(f"accuracy in %, zero-shot, on {len(emoji)} classes, {count} images:")
    print(f"{'':<16}{ENCODERS[0]:>8}{ENCODERS[1]:>8}  by default")
    for language in languages:
        called = labels(folder, language)
        names = {name: called[sign][0] for name, sign in emoji.items() if sign in called}
        _show(language, images, rows, names)
    _show("Caltech's own", images, rows, {name: own[name] for name in emoji})
    _show("German, table", images, rows, {name: german[name] for name in emoji})
    print(f"all {len(german)} classes:")
    _show("Caltech's own", images, rows, own)
    _show("German, table", images, rows, german)

    sizes = (2, 3, 5, 10, 20)
    print("names of which the language is found, in %; of en, those that are taken for another's:")
    print(f"{'':<8}" + "".join(f"{size:8}" for size in sizes))
    guesses(folder, [language for language in languages if language in FOUND], sizes, 100)
    print("English lists that are taken for another language's, in %:")
    lists = {
        "ImageNet": _IMAGENET_CATEGORIES,
        "COCO": [name for name in _COCO_CATEGORIES if name not in ("__background__", "N/A")],
        "Kinetics-400": _KINETICS400_CATEGORIES,
        "Caltech-101": list(own.values()),
    }
    mistakes(lists, sizes, 200)


def _show(what: str, images: Path, rows: Rows, names: Mapping[str, str]) -> None:
    (first, _), (second, _) = (zero_shot(images, rows, names, encoder) for encoder in ENCODERS)
    _, chosen = zero_shot(images, rows, names, None)
    print(f"{what:<16}{first:8.1f}{second:8.1f}  {chosen}", flush=True)


if __name__ == "__main__":
    main()
