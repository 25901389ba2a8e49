"""The opener: emojibase-data's files, below XM_DATA."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from xm import DataError, Dataset, Sample

FOLDER = "emojibase-data"
GET = (
    f"type: npm pack {FOLDER}@17.0.0 && mkdir -p $XM_DATA/{FOLDER} && "
    f"tar -xzf {FOLDER}-17.0.0.tgz -C $XM_DATA/{FOLDER} --strip-components 1"
)

TOPICS = {
    0: "smileys and emotion",
    1: "people and body",
    3: "animals and nature",
    4: "food and drink",
    5: "travel and places",
    6: "activities",
    7: "objects",
    8: "symbols",
}
"""Groups of emojibase that are classes; its components and flags are not."""

_PERSONS = re.compile("1F46[89]|1F9D1")
_NO_PICTURE = re.compile("-(?:200D-)?(?:FE0F|264[02]|1F3F[B-F])(?=-|$)")


class Emoji(BaseModel):
    """What is read of an entry."""

    label: str
    hexcode: str
    group: int | None = None


def open_emoji_names(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Dataset:
    """Open the names of emoji below XM_DATA: ``emojibase-data/LANGUAGE/data.json``, in any number of languages.

    An item is the name of an emoji in a language, its class the topic, in English; ``language`` is its metadata. Names
    of an emoji in all languages, of man, woman and person, are one group, so that none is learned in one and tested in
    another. Nothing is split. `source`, `suffixes` and `cache` are not used.

    Raises:
        DataError: if the folder is missing, holds no language, or a file has another form.
    """
    root = os.environ.get("XM_DATA")
    folder = Path(root).expanduser() / FOLDER if root else None
    if folder is None or not folder.is_dir():
        where = f"{folder}: no such folder" if folder else f"$XM_DATA/{FOLDER}: no such folder, as XM_DATA is not set"
        raise DataError(f"{where}; {GET}")
    files = sorted(folder.glob("*/data.json"))
    if not files:
        raise DataError(f"{folder}: holds no LANGUAGE/data.json; {GET}")
    labels = {topic: label for label, topic in enumerate(TOPICS)}
    samples = [
        Sample(one.label, "text", labels[one.group], group=base(one.hexcode), metadata={"language": file.parent.name})
        for file in files
        for one in _read(file)
        if one.group in labels
    ]
    return Dataset(
        name="emoji-names",
        classes=tuple(TOPICS.values()),
        samples=tuple(samples),
        notes=(f"{len(samples)} names of emoji in {len(files)} languages.",),
    )


def base(hexcode: str) -> str:
    """What variants of an emoji have in common: without gender, tone of skin, and the sign of how it is drawn."""
    return _NO_PICTURE.sub("", _PERSONS.sub("PERSON", hexcode))


def _read(file: Path) -> list[Emoji]:
    try:
        return TypeAdapter(list[Emoji]).validate_json(file.read_bytes())
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{file}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}; {GET}") from None
