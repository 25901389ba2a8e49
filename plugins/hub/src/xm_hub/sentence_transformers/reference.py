"""What a user types after ``sentence-transformers:``, resolved to a model's files and settings. Loads no model.

The layout: https://sbert.net/docs/sentence_transformer/usage/custom_models.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from xm import UsageError, fingerprint_of
from xm.foundation import unknown
from xm.plugins import Config, Weights, hub, of_files, options_of, validated
from xm_hub.source import CHECKPOINTS, CONFIG, Source, digest, refuse_pointer, resolve as source_of

NAME = "sentence-transformers"
EXAMPLE = "sentence-transformers/all-mpnet-base-v2"
MODULES, SETTINGS = "modules.json", "config_sentence_transformers.json"

_OWN = "sentence_transformers."
"""How the class of a module begins that runs no code of the model's."""

_TOWERS = ("Transformer", "CLIPModel")
"""Modules that are a network of transformers."""

_LEARNED = (*_TOWERS, "Dense", "StaticEmbedding", "WordEmbeddings", "LayerNorm", "LSTM", "CNN", "WeightedLayerPooling")
"""Modules with weights."""

_READ = re.compile(
    r"config\.json|modules\.json|sentence_.*_config\.json|.*token.*\.json|vocab.*|merges\.txt|.*\.model"
    r"|(pre|video_pre)?processor_config\.json|.*\.jinja|.*_config\.json"
)
"""Names of the small files in a module's folder that its loading reads."""


class Options(Config):
    """What may follow the question mark."""

    prompt: str = Field("", description="name of a prompt of the model's: query, document …")
    prefix: str = Field("", description="text before every text, in place of a prompt")
    code: Literal["", "trust"] = Field("", description="trust: run the code that the model comes with")


@dataclass(frozen=True)
class Reference:
    """A model of sentence-transformers.

    Attributes:
        source: its files.
        prompt: what stands before every text.
        trusted: whether the user lets it run code of its own.
    """

    source: Source
    prompt: str
    trusted: bool

    @property
    def name(self) -> str:
        """As typed, for messages."""
        return f"{NAME}:{self.source.name}"

    def modules(self) -> list[tuple[str, str]]:
        """Kind and folder of each module, "" for the top folder: ("Pooling", "1_Pooling").

        Raises:
            UsageError: if there are none, or one is code of the model's, and the user does not trust it.
        """
        path = self.source.file(MODULES)
        try:
            found = [(str(m["type"]), str(m["path"]).strip("/")) for m in json.loads(path.read_text(encoding="utf-8"))]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: is no list of modules ({type(error).__name__})") from error
        if not found or any(".." in PurePosixPath(p).parts or PurePosixPath(p).is_absolute() for _, p in found):
            raise UsageError(f"{path}: is no list of modules in the model's own folder")
        foreign = [kind for kind, _ in found if not kind.startswith(_OWN)]
        if foreign and not self.trusted:
            raise self.untrusted(f"its module {foreign[0]} is code")
        return [(kind.rpartition(".")[2], place) for kind, place in found]

    def untrusted(self, why: str) -> UsageError:
        """The error for a model that would run code of its own."""
        return UsageError(f"{self.name}: {why} that it comes with; if you trust it, type {self.name}?code=trust")

    def folder(self) -> Path:
        """The folder with all that loading reads; of a repository it is downloaded.

        Raises:
            UsageError: if something lacks, or a Git LFS pointer stands for weights.
            PluginError: if a repository's files are not here and can't be downloaded.
        """
        modules = self.modules()
        needs = [[MODULES], *([f"{p}/{CONFIG}".lstrip("/")] for kind, p in modules if kind in (*_TOWERS, "Pooling"))]
        needs += [[f"{p}/{name}".lstrip("/") for name in CHECKPOINTS] for kind, p in modules if kind in _LEARNED]
        folder = self.source.snapshot(needs, self._chosen)
        for path in self._weights(folder):
            refuse_pointer(path)
        return folder

    def _chosen(self, names: Sequence[str]) -> list[str]:
        """Of a repository's files those to download: of each module one form of the weights and what is small."""
        places = {place for _, place in self.modules()} | {""}
        found = [PurePosixPath(name) for name in names]
        wanted = [str(path) for path in found if path.name in (SETTINGS, "README.md") and len(path.parts) == 1]
        for place in sorted(places):
            inside = [path for path in found if str(path.parent) == (place or ".")]
            kind = ".safetensors" if any(path.suffix == ".safetensors" for path in inside) else ".bin"
            code = ".py" if self.trusted else kind
            wanted += [str(p) for p in inside if p.suffix in (kind, code) or _READ.fullmatch(p.name)]
        return list(dict.fromkeys(wanted))

    def _weights(self, folder: Path) -> list[Path]:
        """Files with parameters, of each module those that are read: safetensors where there are such."""
        found = []
        for place in dict.fromkeys(place for _, place in self.modules()):
            inside = sorted((folder / place).glob("*.safetensors")) or sorted((folder / place).glob("*.bin"))
            found += inside
        return found

    def identity(self) -> str:
        """Of weights, modules and tokenizer, by content; weights are downloaded for it, not loaded."""
        folder = self.folder()
        small = [
            path
            for place in dict.fromkeys(["", *(place for _, place in self.modules())])
            for path in sorted((folder / place).glob("*"))
            if path.is_file() and path.name != SETTINGS and (_READ.fullmatch(path.name) or path.suffix == ".py")
        ]
        files = [*small, *self._weights(folder)]
        return fingerprint_of(*(f"{path.relative_to(folder)} {digest(path)}" for path in files), str(self.cut_to()))

    def space(self) -> str:
        """Name of the space: the repository's, or a digest of the folder's model. Prompts leave it as it is."""
        return self.source.space() if self.source.repo else f"{NAME}:{self.identity()[:12]}"

    def cut_to(self) -> int | None:
        """Dimensions that the model's settings keep; None: all."""
        found = settings(self.source).get("truncate_dim")
        return int(found) if isinstance(found, int) else None

    def pretrained(self) -> tuple[Weights, ...]:
        """What `xm.Encoder.pretrained` gives."""
        if self.source.given is not None:
            paths = self._weights(self.source.given)
            return (of_files(*paths),) if paths else ()
        try:
            places = [place for kind, place in self.modules() if kind in _LEARNED]
        except UsageError:
            places = []
        names = [f"{places[0] if places else ''}/{name}".lstrip("/") for name in CHECKPOINTS]
        return (hub.weights(self.source.repo, names, self.source.otherwise, self.source.revision),)


def resolve(argument: str) -> Reference:
    """Resolve what followed the colon.

    Raises:
        UsageError: if it is no folder and no repository's name, or an option is wrong.
        PluginError: if the list of modules is not here and can't be downloaded.
    """
    where = f"{NAME}:{argument}"
    place, given = options_of(NAME, argument, "prompt=query")
    options = validated(Options, given, where)
    if options.prompt and options.prefix:
        raise UsageError(f"{where}: a prompt and a prefix both stand before the text; give one")
    source = source_of(NAME, place, EXAMPLE)
    if source.given is not None and not (source.given / MODULES).is_file():
        raise UsageError(f"{where}: the folder has no {MODULES}; for a model of transformers type transformers:{place}")
    found = Reference(source, options.prefix or _prompt(source, options.prompt, where), options.code == "trust")
    found.modules()
    return found


def settings(source: Source) -> dict[str, Any]:
    """The model's settings: prompts and the like; {} if it states none."""
    path = source.file(MODULES).parent / SETTINGS
    if source.given is None and not path.is_file():
        try:
            path = hub.fetch(source.repo, [SETTINGS], source.otherwise, source.revision)
        except UsageError:  # the repository has none
            return {}
    return source.json(SETTINGS) if path.is_file() else {}


def _prompt(source: Source, name: str, where: str) -> str:
    """The text of a prompt; "" names the default one, if the model has such.

    Raises:
        UsageError: if the model has no prompt of that name.
    """
    found = settings(source)
    prompts = {key: text for key, text in (found.get("prompts") or {}).items() if isinstance(text, str)}
    name = name or str(found.get("default_prompt_name") or "")
    if name and name not in prompts:
        raise unknown(f"prompt of {where.partition('?')[0]}", name, prompts)
    return prompts.get(name, "")
