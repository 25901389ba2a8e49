"""What a user types after ``laion-clap:``, resolved to files. Loads no model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xm.encoder import fingerprint_of
from xm.errors import UsageError
from xm.hub import fetch
from xm_laion_clap import hub

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
_VOCABULARY = (("tokenizer.json", "vocab.json"), ("merges.txt", "tokenizer.json"))
_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt")
_TOKENIZER_EXTRAS = ("tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class Source:
    """A model's files, in a folder of this machine or a repository of the hub.

    Attributes:
        name: as typed, for messages.
        folder: None for a repository.
        repo: "" for a folder.
    """

    name: str
    folder: Path | None
    repo: str = ""

    def file(self, *names: str) -> Path:
        """The first of the files that there is.

        Raises:
            UsageError: if there is none of them.
            PluginError: if the repository's is not here and can't be downloaded.
        """
        if self.folder is None:
            return fetch(self.repo, names, hub.OTHERWISE)
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise UsageError(f"laion-clap:{self.name}: the folder has no {' or '.join(names)}")

    def weights(self) -> Path:
        """The checkpoint: safetensors where there is one."""
        return self.file(*hub.WEIGHTS)

    def json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file."""
        path = self.file(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise UsageError(f"{path}: is no JSON of a model ({' '.join(str(error).split())})") from error
        return content

    def tokenizer(self) -> list[Path]:
        """The tokenizer's files: ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, and its settings."""
        needed = [self.file(*names) for names in _VOCABULARY]
        folder = needed[0].parent
        if self.folder is None and needed[0].name == "tokenizer.json":
            self.file(_TOKENIZER_EXTRAS[0])
        return [path for name in (*_TOKENIZER, *_TOKENIZER_EXTRAS) if (path := folder / name).is_file()]

    def space(self) -> str:
        """Name of the space: the repository's, or a digest of the folder's configuration and weights."""
        if self.repo:
            return f"laion-clap:{self.repo}"
        return f"laion-clap:{fingerprint_of(digest(self.file(CONFIG)), digest(self.weights()))[:12]}"


def resolve(argument: str) -> Source:
    """A folder of this machine, or ``ORG/NAME`` of the hub; "" is `hub.DEFAULT`.

    Raises:
        UsageError: if it is neither, or a folder without a CLAP model.
        PluginError: if the repository's configuration is not here and can't be downloaded.
    """
    folder = Path(argument).expanduser()
    if argument and folder.is_dir():
        source = Source(argument, folder)
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", argument or hub.DEFAULT) and not argument.startswith("."):
        source = Source(argument or hub.DEFAULT, None, argument or hub.DEFAULT)
    else:
        raise UsageError(f"laion-clap:{argument}: no such folder, and no ORG/NAME of the hub as in {hub.DEFAULT}")
    kind = source.json(CONFIG).get("model_type")
    if kind != "clap":
        raise UsageError(f"laion-clap:{source.name}: {CONFIG} says model_type {kind!r}; expected 'clap'")
    return source


def digest(path: Path) -> str:
    """Of a file's content; a file that has not changed is read once."""
    path = path.resolve()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return fingerprint_of(path)
