"""From what follows ``--data`` to the shards."""

from __future__ import annotations

import os
import re
from glob import glob
from pathlib import Path

from braceexpand import braceexpand

from xm import DataError
from xm.data import SPLIT_WORDS, missing

_GLOB = re.compile(r"[*?[]")


def expanded(source: str) -> list[Path]:
    """The shards of a file's path, or of a pattern with braces, as in Bash, and wildcards; each once.

    They are in the order of the braces, and by name where wildcards found them.

    Raises:
        DataError: if one is missing; it names the first.
    """
    if Path(source).is_file():
        return [Path(source)]
    try:
        names = list(braceexpand(source, escape=False))
    except ValueError as error:
        raise DataError(f"{source}: a brace is open; write it as 'shards-{{000..099}}.tar'") from error
    found: list[Path] = []
    absent: list[Path] = []
    for name in names:
        if not Path(name).is_file() and _GLOB.search(name):
            matches = [path for path in map(Path, sorted(glob(name, recursive=True))) if path.is_file()]  # noqa: PTH207
            if not matches:
                raise DataError(f"{name}: no file has such a name")
            found += matches
        else:
            (found if Path(name).is_file() else absent).append(Path(name))
    if absent and len(names) == 1:
        raise missing(absent[0], "file")
    if absent:
        raise DataError(f"{absent[0]}: no such file; of the {len(names)} shards of {source} {len(absent)} are missing")
    return list(dict.fromkeys(found))


def dataset_name(shards: list[Path]) -> str:
    """The words that all the shards' names begin with; without any, or but a split, their folder's name, or if that is
    a split, the name of the folder above."""
    if len(shards) == 1:
        return shards[0].stem
    words = [re.findall(r"[^\W\d_]+|\d+|[\W_]+", shard.stem) for shard in shards]
    common = "".join(os.path.commonprefix(words))  # noqa: RUF071 - of words
    common = common.rstrip("0123456789").rstrip("-_. ")
    if common and common.lower() not in SPLIT_WORDS:
        return common
    return folders_of(shards[0])[-1].name or "shards"


def folders_of(shard: Path) -> list[Path]:
    """A shard's folder; if that is called as a split, the one above too."""
    folder = Path(os.path.abspath(shard)).parent  # noqa: PTH100 - resolve would follow links
    return [folder, folder.parent] if folder.name.lower() in SPLIT_WORDS else [folder]


def unique_names(shards: list[Path]) -> list[str]:
    """Each shard's name without ".tar"; with the folders in which they differ, where they are in several."""
    folders = [os.path.abspath(shard.parent) for shard in shards]  # noqa: PTH100
    common = Path(os.path.commonpath(folders))
    return [(Path(f).relative_to(common) / s.stem).as_posix() for f, s in zip(folders, shards, strict=True)]


def split_of(shard: Path) -> str | None:
    """The split that a shard's name says ("train-000.tar", "imagenet_val.tar"), else its folder's ("train/000.tar").

    None if neither says one, or the name says two.
    """
    words = re.findall(r"[a-z]+", shard.stem.lower())
    splits = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    if splits:
        return splits.pop() if len(splits) == 1 else None
    return SPLIT_WORDS.get(folders_of(shard)[0].name.lower())
