"""The settings of an alignment, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from xm.alignment.diagnosis import Diagnosis, Probe
from xm.alignment.pairing import PARTNERS, RULES
from xm.plugins.config import Config


class AlignSettings(Config):
    """What ``xm align`` and `xm.align` take. Every field is a flag of the same name."""

    anchor: str = Field(description="the modality whose space the others are brought into")
    new: tuple[str, ...] = Field(min_length=1, description="the modalities that are brought there")
    data: str | None = Field(None, description="a dataset's name, a folder or a file; none: the default dataset")
    pairs: str = Field("own", description=f"a table of two columns, or {', '.join(RULES)}")
    partners: int = Field(PARTNERS, ge=1, description="of an item whose label or tag many others share")
    encoders: dict[str, str] = Field({}, description="modality to encoder, NAME or NAME:ARGUMENT or a run of xm align")
    aligner: str | None = Field(None, description="how; none: the first that applies")
    aligner_set: dict[str, Any] = Field({}, description="the aligner's own settings")
    objective: str | None = Field(None, description="what the aligner minimises; short for its setting")
    holdout: float = Field(0.2, ge=0, lt=1, description="share of the pairs that are looked at, not learned from")
    seed: int = Field(1, description="of whatever is drawn")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    out: Path | None = Field(None, description="the run's folder; none: a new one below runs/")
    cache: Path | None = Field(None, description="the cache's folder; none: XM_CACHE or the platform's")

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [f"{self.anchor} is the anchor; take it out of new"] if self.anchor in self.new else []
        wrong += ["new names a modality twice"] if len(set(self.new)) < len(self.new) else []
        if self.aligner is None and (self.aligner_set or self.objective):
            wrong.append("aligner_set and objective are of a named aligner; name it with --aligner")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def of_aligner(self) -> dict[str, Any]:
        """The aligner's settings."""
        return {**self.aligner_set, **({"objective": self.objective} if self.objective else {})}


@dataclass(frozen=True)
class AlignReport:
    """What `align` did.

    Attributes:
        anchor: the modality that others were brought to.
        space: that all share now.
        dim: of it.
        ways: by modality: encoder, fingerprint, aligner, pairs.
        diagnoses: of each new modality that pairs were there for.
        probe: of the anchor alone; None without enough labels.
        notes: how it was made, in words.
        run: the folder, which is an encoder of each modality.
        versions: of xm, plugins and libraries.
    """

    anchor: str
    space: str
    dim: int
    ways: Mapping[str, Mapping[str, Any]]
    diagnoses: tuple[Diagnosis, ...]
    probe: Probe | None
    notes: tuple[str, ...]
    run: str
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)
