"""Audio encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from xm import UsageError
from xm.encoders import Trunk
from xm.learning import Inputs
from xm.media import lengths
from xm.media.sounds import SILENCE, SUFFIXES, VIEWS, check_loud, read_sound
from xm_hub.pretrained import runs
from xm_hub.pretrained.encoder import Pretrained
from xm_hub.pretrained.loading import made
from xm_hub.pretrained.mel import log_mel

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"

RUN = 8
"""Windows a run: bounds memory for long recordings."""

LONGEST = 30.0
"""Seconds that a model of sounds of any length hears at once, Whisper's number; longer ones are cut."""

LEAST = 0.1
"""Seconds: shorter ones, a last chunk too, are filled up with zeros, as no frame of a model fits in."""

_FILLING = {"repeatpad": "repeatpad", "repeat": "loop", "pad": "pad"}
"""What transformers' extractors call filling up, and what xm calls it."""


_MAPPING = "FEATURE_EXTRACTOR_MAPPING_NAMES"


@dataclass(frozen=True)
class Heard:
    """A sound that was prepared.

    Attributes:
        windows: the model's inputs (1, …) of each window that is not silent.
        shares: what part of the sound each holds, (k,), sum 1.
    """

    windows: list[dict[str, Tensor]]
    shares: Tensor = field(compare=False)


class AudioEncoder(Pretrained):
    """Audio towers: windows of the model's length, each a unit vector, averaged by what they hold of the sound.

    By default a long sound is cut into chunks, and a short one filled up as the model's own preprocessing does. Models
    of waveforms (Wav2Vec2 and like it) hear up to 30 s as they are, without filling. Windows under -80 dB are left out.
    As `Pretrained` else.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = 16

    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)
        words, default = self.options.length, self._default_policy()
        self.policy = lengths.parse_length(words, default) if words else default

    @cached_property
    def _preprocessing(self) -> dict[str, Any]:
        """Settings of the feature extractor; since transformers 5 they are a part of the processor's."""
        path = self._source.file(PREPROCESSOR, PROCESSOR)
        content = self._source.json(path.name)
        settings = content if path.name == PREPROCESSOR else content.get("feature_extractor")
        if not isinstance(settings, dict):
            raise UsageError(f"{path}: holds no feature_extractor, and there is no {PREPROCESSOR} beside it")
        return settings

    @cached_property
    def _json(self) -> str:
        return json.dumps(self._preprocessing, sort_keys=True)

    @property
    def _kind(self) -> str:
        return str(self._config.get("model_type"))

    def _default_policy(self) -> lengths.LengthPolicy:
        if self._kind != "clap":
            return lengths.CHUNKS
        said = str(self._preprocessing.get("padding", "repeatpad"))
        if said not in _FILLING:
            where, known = f"{self._source.encoder}:{self._source.name}", ", ".join(_FILLING)
            raise UsageError(f"{where}: its preprocessing says padding {said!r} (known: {known})")
        return lengths.LengthPolicy("chunks", _FILLING[said])

    def _settings(self) -> Sequence[str]:
        return [
            self._json,
            self.policy.name,
            f"windows below {SILENCE} left out, {LEAST} s at least, {LONGEST} at once",
        ]

    @cached_property
    def _extractor(self) -> Any:
        return made(self._source, "its preprocessing", lambda: _extractor(self._kind, self._json))

    def prepare(self, item: Any) -> Heard:
        """A path or (samples (n,), rate) as the inputs of its windows that are not silent.

        Raises:
            ItemError: for a sound that can't be read, or is silent.
        """
        extractor = self._extractor
        rate = int(extractor.sampling_rate)
        sound = read_sound(item, rate)
        length = self._window(extractor) or round(LONGEST * rate)
        pieces = self._pieces(sound, length)
        peaks = torch.stack([piece.abs().max() for piece in pieces])
        check_loud(float(peaks.max()), self.policy, item)
        loud = [i for i, peak in enumerate(peaks) if peak >= SILENCE]
        held = lengths.shares(len(sound), length, self.policy)[loud]
        return Heard([self._heard(pieces[i], length) for i in loud], held / held.sum())

    def _pieces(self, sound: Tensor, length: int) -> list[Tensor]:
        """Windows: what is filled up with zeros is left to the extractor, which knows how."""
        leave = self.policy.shorter == "pad" and self._kind != "clap"
        if not leave and self._window(self._extractor):
            return list(lengths.windows(sound, length, self.policy))
        if len(sound) > length and self.policy.longer == "crop":
            start = (len(sound) - length) // 2
            return [sound[start : start + length]]
        return list(torch.split(sound, length))

    def _window(self, extractor: Any) -> int:
        """Samples that the model hears; 0 of one that hears sounds of any length."""
        if self._kind == "clap":
            return int(extractor.nb_max_samples)
        if self._kind == "whisper":
            return int(extractor.n_samples)
        if hasattr(extractor, "num_mel_bins") and isinstance(getattr(extractor, "max_length", None), int):
            rate = int(extractor.sampling_rate)  # frames of 25 ms, 10 ms apart, as Kaldi's
            frames = int(extractor.max_length)
            return round(0.025 * rate) + (frames - 1) * round(0.01 * rate)
        return 0

    def _heard(self, piece: Tensor, length: int) -> dict[str, Tensor]:
        extractor = self._extractor
        if self._kind == "clap":
            return {"input_features": log_mel(piece[None], extractor)}
        rate = int(extractor.sampling_rate)
        given = pad(piece, (0, max(0, round(LEAST * rate) - len(piece))))
        out = extractor(given.numpy(), sampling_rate=rate, return_tensors="pt")
        found = {name: out[name] for name in ("input_features", "input_values") if name in out}
        if self._kind == "whisper":
            frames = found["input_features"].shape[-1] // 2
            found[runs.VALID] = torch.tensor([max(1, -(-len(piece) * frames // length))])
        return found

    def compute(self, prepared: Sequence[Heard]) -> Inputs:
        """``features`` (n, dim): means of unit vectors; ``scores`` of a model with a classifier likewise."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        windows = [window for one in prepared for window in one.windows]
        forms = [tuple((name, *value.shape) for name, value in window.items()) for window in windows]
        rows: dict[int, dict[str, Tensor]] = {}
        for form in dict.fromkeys(forms):
            own = [i for i, other in enumerate(forms) if other == form]
            for start in range(0, len(own), RUN):
                some = own[start : start + RUN]
                x = self._with_scores(self._features(_together([windows[i] for i in some])))
                x = {name: normalize(value, dim=-1) if name == "features" else value for name, value in x.items()}
                rows |= {i: {name: value[k] for name, value in x.items()} for k, i in enumerate(some)}
        found: dict[str, list[Tensor]] = {}
        start = 0
        for one in prepared:
            mine = [rows[i] for i in range(start, start + len(one.shares))]
            start += len(one.shares)
            for name in mine[0]:
                mean = (one.shares[:, None] * torch.stack([row[name] for row in mine])).sum(dim=0)
                found.setdefault(name, []).append(mean)
        return {name: torch.stack(values) for name, values in found.items()}

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """As `Pretrained.opened`; a sound is then the middle one of its windows that are not silent."""
        if depth and not self._window(self._extractor):
            raise UsageError(f"{self._told(depth)}: it hears sounds of any length, and is frozen here (depth 0)")
        return super().opened(depth)

    def _rows(self, prepared: Sequence[Heard]) -> dict[str, Tensor]:
        return _together([one.windows[len(one.windows) // 2] for one in prepared])

    def _sample(self) -> Heard:
        rate = int(self._extractor.sampling_rate)
        time = torch.arange(round(0.5 * rate)) / rate
        return self.prepare(((0.3 * torch.sin(2 * torch.pi * 440 * time)).numpy(), rate))


def _together(windows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([window[name] for window in windows]) for name in windows[0]}


@lru_cache(maxsize=4)
def _extractor(kind: str, settings: str) -> Any:
    import transformers
    from transformers.models.auto import feature_extraction_auto

    values = json.loads(settings)
    usual = "ClapFeatureExtractor" if kind == "clap" else vars(feature_extraction_auto)[_MAPPING].get(kind)
    name = usual if kind == "clap" else values.get("feature_extractor_type") or usual
    if not isinstance(name, str) or not hasattr(transformers, name):
        raise UsageError(f"{PREPROCESSOR} says feature_extractor_type {name!r}, which transformers does not have")
    return getattr(transformers, name).from_dict(values)
