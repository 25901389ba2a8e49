"""The settings of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from xm.plugins.config import Config

SHARED = {"data", "encoders", "templates", "shots", "seeds", "device", "cache"}
"""Settings that training has too, of before there were more of them: they name the folders of runs."""

ALSO = {"unseen", "where", "descriptions", "descriptions_as"}
"""Further settings that training has too; they count where they are given."""


class BenchSettings(Config):
    """What ``xm bench`` takes. Every field is a flag of the same name."""

    data: str | None = Field(None, description="the data; none: the dataset of the benchmark's name")
    protocol: str | None = Field(
        None, description="by which data are measured: the name of a benchmark that is one; none: few-shot"
    )
    test: tuple[str, ...] = Field(
        (), description="other datasets that fitted models are scored on, by protocols of such"
    )
    modality: str | None = Field(None, description="the target, of data that no benchmark is for; none: their only one")
    aux: tuple[str, ...] = Field((), description="auxiliary modalities, of data that no benchmark is for")
    strategies: tuple[str, ...] = Field((), description="which; none: every one that applies")
    set: dict[str, Any] = Field({}, description="strategies' own settings, STRATEGY.NAME=VALUE")
    encoders: dict[str, str] = Field({}, description="modality to encoder, NAME or NAME:ARGUMENT")
    templates: tuple[str, ...] = Field((), description="sentences around a class name, or names of such")
    descriptions: Path | None = Field(None, description="texts by class name, as of training")
    descriptions_as: Literal["texts", "samples", "templates"] = Field("texts", description="what they are taken for")
    unseen: str | None = Field(None, description="classes without a sample of the target in train, as of training")
    where: tuple[str, ...] = Field((), description="conditions on the target's samples, as of training")
    shots: tuple[int, ...] = Field((1, 2, 4, 8, 16), min_length=1, description="samples per class of the target")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="of the draws")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    out: Path | None = Field(
        None,
        description="folder of runs, one a strategy; none: below runs/bench/NAME; those in it stay, and "
        "further shots, seeds and strategies add up",
    )
    cache: Path | None = Field(None, description="the cache's folder; none: XM_CACHE or the platform's")
