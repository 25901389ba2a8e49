"""Tokenizers of a model's own files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from xm_hub.pretrained.kinds import OFFSET
from xm_hub.pretrained.loading import made
from xm_hub.source import CONFIG, Source, digest

WORDS = (
    *("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "sentencepiece.bpe.model"),
    *("spiece.model", "spm.model", "bpe.codes"),
)
"""One of these makes a tokenizer."""

FILES = (
    *WORDS,
    *("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)
"""All that may decide what it does."""

ONE = Lock()
"""Held while a tokenizer works: transformers' are not made for several threads."""

MOST = 512
"""Tokens where neither tokenizer nor configuration sets a bound."""


def files_of(source: Source) -> list[Path]:
    """The files that make the tokenizer, of those that there are.

    Raises:
        UsageError: if there are none.
        PluginError: if a repository's are not here and can't be downloaded.
    """
    folder = source.folder(WORDS)
    return [folder / name for name in FILES if (folder / name).is_file()]


def tokenizer(source: Source, files: tuple[Path, ...], trusted: bool) -> Any:
    """Made of these files alone, though the hub's cache may hold others beside them. The last two are kept.

    Raises:
        UsageError: if it does not load.
    """
    whole = (*files, source.file(CONFIG))
    return made(source, "its tokenizer", lambda: _tokenizer(whole, tuple(digest(path) for path in whole), trusted))


@lru_cache(maxsize=2)
def _tokenizer(files: tuple[Path, ...], contents: tuple[str, ...], trusted: bool) -> Any:
    from transformers import AutoTokenizer

    with TemporaryDirectory() as folder:
        code = files[-1].parent.glob("*.py") if trusted else ()
        for path in (*files, *code):
            shutil.copy(path, folder)
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
        found.truncation_side = "right"
        return found


def most(tokens: Any, config: Mapping[str, Any], wanted: int) -> int:
    """How many tokens of a text are read: what tokenizer and positions allow, or fewer if so wanted.

    Args:
        tokens: the tokenizer.
        config: of the model, with what its class adds.
        wanted: by the user; 0: all.
    """
    text = config.get("text_config") or config
    bounds = [wanted] if wanted else []
    positions = text.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        behind = int(text.get("pad_token_id") or 1) + 1 if str(config.get("model_type")) in OFFSET else 0
        bounds.append(positions - behind)
    if tokens.model_max_length < 1_000_000:
        bounds.append(int(tokens.model_max_length))
    return min(bounds, default=MOST)
