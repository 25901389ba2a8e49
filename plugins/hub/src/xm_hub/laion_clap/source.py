"""What a user types after ``laion-clap:``, resolved to files. Loads no model."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xm import UsageError, fingerprint_of
from xm.plugins.hub import fetch
from xm_hub.laion_clap import hub

CONFIG, PREPROCESSOR, PROCESSOR = "config.json", "preprocessor_config.json", "processor_config.json"
_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


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

    def config(self) -> dict[str, Any]:
        """The model's configuration."""
        return _json(self.file(CONFIG))

    def preprocessing(self) -> dict[str, Any]:
        """Settings of transformers' `ClapFeatureExtractor`; since its release 5 they are a part of the processor's."""
        path = self.file(PREPROCESSOR, PROCESSOR)
        content = _json(path)
        settings = content if path.name == PREPROCESSOR else content.get("feature_extractor")
        if not isinstance(settings, dict):
            raise UsageError(f"{path}: holds no feature_extractor, and there is no {PREPROCESSOR} beside it")
        return settings

    def tokenizer(self) -> list[Path]:
        """The files that make the tokenizer; of a repository, those that every machine downloads, and no others."""
        words = self.file("tokenizer.json", "vocab.json")
        needed = [words] if words.name == "tokenizer.json" else [words, self.file("merges.txt")]
        if self.folder is None:
            return [*needed, self.file("tokenizer_config.json")]
        return [path for name in _TOKENIZER if (path := self.folder / name).is_file()]

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
    kind = source.config().get("model_type")
    if kind != "clap":
        raise UsageError(f"laion-clap:{source.name}: {CONFIG} says model_type {kind!r}; expected 'clap'")
    return source


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise UsageError(f"{path}: is no JSON of a model ({' '.join(str(error).split())})") from error
    return content


def digest(path: Path) -> str:
    """Of a file's content; a file that has not changed is read once."""
    path = path.resolve()
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    return fingerprint_of(path)
