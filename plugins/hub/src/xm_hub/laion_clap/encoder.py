"""The audio and the text encoder: those of `xm_hub.pretrained`, for CLAP models, with fingerprints of before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from xm import UsageError, fingerprint_of
from xm.media import lengths
from xm.media.sounds import SILENCE
from xm_hub.laion_clap import hub
from xm_hub.pretrained import sounds, texts
from xm_hub.pretrained.options import Options
from xm_hub.source import CONFIG, Source, digest, resolve

_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


@dataclass(frozen=True)
class ClapSource(Source):
    """A CLAP model's files."""

    @property
    def otherwise(self) -> str:
        return hub.OTHERWISE


def _resolved(argument: str) -> tuple[Source, Options]:
    """A CLAP model, the default one if none is named, and the length policy.

    Raises:
        UsageError: if it is none.
        PluginError: if its configuration is not here and can't be downloaded.
    """
    model, words = lengths.split_length(argument)
    if words:
        lengths.parse_length(words)
    found = resolve("laion-clap", model or hub.DEFAULT, hub.DEFAULT)
    source = ClapSource(found.encoder, found.name, found.given, found.repo, found.revision)
    kind = source.config().get("model_type")
    if kind != "clap":
        raise UsageError(f"laion-clap:{source.name}: {CONFIG} says model_type {kind!r}; expected 'clap'")
    return source, Options.model_validate({"length": words})


def _print(source: Source, modality: str, *parts: str) -> str:
    files = [digest(source.file(CONFIG)), *(digest(path) for path in source.checkpoint())]
    return fingerprint_of("xm_laion_clap 1", modality, *files, *parts)


class AudioEncoder(sounds.AudioEncoder):
    """Audio towers of CLAP: windows of the model's length, each a unit vector, averaged by what they hold of the sound.

    Args:
        argument: ``ORG/NAME`` or ``FOLDER``, then ``?length=POLICY``. By default a long sound is cut into chunks, and
            a short one filled up as the model's own preprocessing says.
    """

    def _resolved(self, argument: str) -> tuple[Source, Options]:
        return _resolved(argument)

    def fingerprint(self) -> str:
        """Of configuration, weights, preprocessing and length policy; weights are downloaded for it, not loaded."""
        return _print(self._source, self.modality, self._json, self.policy.name, f"windows below {SILENCE} left out")


class TextEncoder(texts.TextEncoder):
    """Text towers of CLAP. Items: strings, and `Path`s of .txt files; cut at the tower's number of positions.

    The argument is as of `AudioEncoder`, so that one reference serves both; its length policy is of no effect.
    """

    def _resolved(self, argument: str) -> tuple[Source, Options]:
        return _resolved(argument)

    def fingerprint(self) -> str:
        """Of configuration, weights and the tokenizer's files."""
        return _print(self._source, self.modality, *(f"{path.name} {digest(path)}" for path in self._files()))

    def _files(self) -> tuple[Path, ...]:
        """The files that make the tokenizer; of a repository, those that every machine downloads, and no others."""
        words = self._source.file("tokenizer.json", "vocab.json")
        needed = [words] if words.name == "tokenizer.json" else [words, self._source.file("merges.txt")]
        if self._source.given is None:
            return (*needed, self._source.file("tokenizer_config.json"))
        return tuple(path for name in _TOKENIZER if (path := self._source.given / name).is_file())

    @cached_property
    def _most(self) -> int:
        """Tokens that the tower reads: positions count from behind the padding's."""
        text: dict[str, Any] = self._source.config().get("text_config") or {}
        return int(text.get("max_position_embeddings", 514)) - int(text.get("pad_token_id", 1)) - 1
