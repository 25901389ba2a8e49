"""Loki: the Fréchet mean as the decision rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from xm import Predictor, Stream, UsageError
from xm.plugins import Config
from xm_zero_shot.loki.files import SUFFIXES, read_distances
from xm_zero_shot.loki.names import distances_of_names

NAMES = "names"
DISTANCES = "distances"


class LokiConfig(Config):
    """The label metric, and the power of its distances."""

    metric: str = Field(
        NAMES,
        description="names: Euclidean between the class names' unit vectors (published without an outer metric); "
        "or a file with a tree or a matrix: .csv, .json, .npz",
    )
    power: float = Field(
        2.0, gt=0, allow_inf_nan=False, description="of the distances; published: 2, the mean; 1 is the median"
    )

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != NAMES and Path(value).suffix.lower() not in SUFFIXES:
            raise ValueError(f"give {NAMES}, or a file that ends in {', '.join(SUFFIXES)}")
        return value


class Loki(Predictor):
    """Decides for ``argmin_y sum_i p_i d(y, i)^power`` (Roberts et al., NeurIPS 2023), each input alone.

    The probability of y is its expected closeness, ``sum_i p_i (1 - d(y, i)^power / max d^power)``, scaled so that all
    sum to 1. It falls as the expected distance grows, does not depend on the distances' unit, and is the model's
    softmax where all classes are equally far apart. Of equal classes the first wins.

    Attributes:
        tensors: ``distances`` (classes, classes), kept with the run.
    """

    config_type: ClassVar[type[Config]] = LokiConfig

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        """The distances between classes.

        Raises:
            UsageError: if no encoder reads class names, the file is missing or does not fit, or all distances are 0.
        """
        metric = self.config.metric
        distances = distances_of_names(classes, read_names()) if metric == NAMES else read_distances(metric, classes)
        if not bool(distances.any()):
            raise UsageError(f"loki: metric={metric}: every distance is 0, so that no class differs from another")
        return {DISTANCES: distances}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        """Shares of closeness (n, classes)."""
        with torch.inference_mode():
            probabilities = model(inputs).float().softmax(dim=1)
            distances = self.tensors[DISTANCES]
            expected = probabilities @ (1 - (distances / distances.max()) ** self.config.power)
            shares: Tensor = expected / expected.sum(dim=1, keepdim=True)
        return shares
