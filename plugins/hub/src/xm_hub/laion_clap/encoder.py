"""The audio and the text encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import Preparing, UsageError, fingerprint_of
from xm.encoders import note_cut, read_text
from xm.learning import Inputs
from xm.media import lengths
from xm.media.sounds import SILENCE, SUFFIXES, VIEWS, loud_windows, read_sound
from xm_hub.laion_clap import model
from xm_hub.laion_clap.mel import log_mel
from xm_hub.laion_clap.source import CONFIG, digest, resolve

_RUN = 8
"""Windows a run: bounds memory for long recordings."""

_FILLING = {"repeatpad": "repeatpad", "repeat": "loop", "pad": "pad"}
"""What transformers' extractor calls filling up, and what xm calls it."""


_ONE = Lock()
"""Held while a tokenizer works: transformers' are not made for several threads."""


class _Clap(Preparing):
    """One tower. Towers of one source share the model in memory, and the space."""

    def __init__(self, argument: str = "") -> None:
        """Resolve the source; weights load on the first call of `trunk`.

        Raises:
            UsageError: if it is no CLAP model, or the length policy is unknown.
            PluginError: if its configuration is not here and can't be downloaded.
        """
        where, words = lengths.split_length(argument)
        self._source = resolve(where)
        default = self._default_policy()
        self.policy = lengths.parse_length(words, default) if words else default
        self.space = self._source.space()
        self.dim = int(self._source.config().get("projection_dim", 512))

    def _default_policy(self) -> lengths.LengthPolicy:
        return lengths.CHUNKS

    def _model(self) -> Any:
        return model.load(self._source, str(self.device))

    def _print(self, *parts: str) -> str:
        files = [digest(self._source.file(CONFIG)), digest(self._source.weights())]
        return fingerprint_of("xm_laion_clap 1", self.modality, *files, *parts)


class AudioEncoder(_Clap):
    """Audio towers of CLAP: windows of the model's length, each a unit vector, averaged by what they hold of the sound.

    Args:
        argument: ``ORG/NAME`` or ``FOLDER``, then ``?length=POLICY``. By default a long sound is cut into chunks, and
            a short one filled up as the model's own preprocessing says.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = 16

    @cached_property
    def _settings(self) -> str:
        """Of the preprocessing, as JSON."""
        return json.dumps(self._source.preprocessing(), sort_keys=True)

    def _default_policy(self) -> lengths.LengthPolicy:
        said = str(json.loads(self._settings).get("padding", "repeatpad"))
        if said not in _FILLING:
            known = ", ".join(_FILLING)
            raise UsageError(
                f"laion-clap:{self._source.name}: its preprocessing says padding {said!r} (known: {known})"
            )
        return lengths.LengthPolicy("chunks", _FILLING[said])

    def fingerprint(self) -> str:
        """Of configuration, weights, preprocessing and length policy; weights are downloaded for it, not loaded."""
        return self._print(self._settings, self.policy.name, f"windows below {SILENCE} left out")

    def prepare(self, item: Any) -> tuple[Tensor, Tensor]:
        """A path or (samples (n,), rate) as the spectrograms of its windows that are not silent, and their shares (k,).

        Raises:
            ItemError: for a sound that can't be read, or is silent.
        """
        extractor = model.extractor(self._source.name, self._settings)
        sound = read_sound(item, int(extractor.sampling_rate))
        windows, shares = loud_windows(sound, int(extractor.nb_max_samples), self.policy, item)
        return torch.cat([log_mel(window, extractor) for window in torch.split(windows, 1)]), shares

    def compute(self, prepared: Sequence[tuple[Tensor, Tensor]]) -> Inputs:
        """``features`` (n, dim): means of unit vectors."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        windows = torch.cat([spectrograms for spectrograms, _ in prepared])
        vectors = torch.cat([self._vectors(run) for run in torch.split(windows, _RUN)])
        rows = torch.split(vectors, [len(shares) for _, shares in prepared])
        means = [(shares[:, None] * own).sum(dim=0) for (_, shares), own in zip(prepared, rows, strict=True)]
        return {"features": torch.stack(means)}

    def _vectors(self, spectrograms: Tensor) -> Tensor:
        """Unit vectors (k, dim) of spectrograms (k, channels, frames, bins)."""
        tower = self._model()
        spectrograms = spectrograms.to(self.device)
        with torch.no_grad():
            whole = torch.zeros(len(spectrograms), 1, dtype=torch.bool, device=self.device)
            pooled = tower.audio_model(input_features=spectrograms, is_longer=whole).pooler_output
            return normalize(tower.audio_projection(pooled).float(), dim=-1).cpu()


class TextEncoder(_Clap):
    """Text towers of CLAP. Items: strings, and `Path`s of .txt files; cut at the tower's number of positions.

    The argument is as of `AudioEncoder`, so that one reference serves both; its length policy is of no effect.
    """

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True
    sized = True

    def fingerprint(self) -> str:
        """Of configuration, weights and the tokenizer's files."""
        return self._print(*(f"{path.name} {digest(path)}" for path in self._source.tokenizer()))

    @property
    def _most(self) -> int:
        """Tokens that the tower reads: positions count from behind the padding's."""
        text = self._source.config().get("text_config") or {}
        return int(text.get("max_position_embeddings", 514)) - int(text.get("pad_token_id", 1)) - 1

    def prepare(self, item: Any) -> str:
        """The text itself; tokens are of a batch."""
        text = read_text(item)
        if (
            len(text.encode()) + 2 > self._most
            and len(self._coded([text], self._most + 1)["input_ids"][0]) > self._most
        ):
            note_cut(item, self._most)
        return text

    def _coded(self, texts: list[str], most: int) -> Any:
        made = model.tokenizer(self._source)
        with _ONE:
            return made(texts, padding=True, truncation=True, max_length=most, return_tensors="pt")

    def size(self, prepared: str) -> int:
        return len(prepared)

    def compute(self, prepared: Sequence[str]) -> Inputs:
        """``features`` (n, dim), not normalised."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        tower = self._model()
        coded = self._coded(list(prepared), self._most).to(self.device)
        with torch.no_grad():
            pooled = tower.text_model(
                input_ids=coded["input_ids"], attention_mask=coded["attention_mask"]
            ).pooler_output
            return {"features": tower.text_projection(pooled).float().cpu()}
