"""Settings of meta-training and of few-shot learning after it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from xm.alignment import MapKind
from xm.plugins import Config


class MetaConfig(Config):
    """How encoders and classifier are meta-trained. All approaches share it."""

    map: MapKind = Field("linear", description="encoders over frozen features: linear, mlp or adapter")
    dim: int = Field(128, ge=2, description="of the shared space; the authors' code has 128")
    hidden: int = Field(128, ge=1, description="of an mlp's or adapter's hidden layer")
    objective: str = Field("infonce", description="of the alignment, by name; `nce` is the paper's equation 2")
    objective_set: dict[str, Any] = Field({}, description="the objective's own settings")
    iterations: int = Field(200, ge=1, description="outer ones; each has an alignment task and a source task")
    inner_steps: int = Field(5, ge=1, description="gradient steps within a task; the authors' default")
    epsilon: float = Field(0.5, gt=0, le=1, description="how far meta weights move towards a task's weights")
    anneal: bool = Field(True, description="epsilon falls to zero linearly, as Reptile's does")
    ways: int = Field(5, ge=2, description="classes of a task; the authors' default")
    shots: int = Field(5, ge=1, description="pairs, or samples, of each class of a task; the authors' default")
    align_ways: int = Field(5, ge=2, description="classes of an alignment task")
    align_lr: float = Field(3e-3, gt=0, description="of inner steps on pairs")
    classify_lr: float = Field(1e-3, gt=0, description="of inner steps on labels")
    open_encoder: bool = Field(False, description="source tasks train the encoder too, as in the authors' code")
    scale: float = Field(10.0, gt=0, description="of logits over unit vectors")

    @property
    def batch(self) -> int:
        """Samples of a step: all of a task."""
        return self.ways * self.shots

    @property
    def steps(self) -> int:
        """Gradient steps on each of the two losses, over all tasks."""
        return self.iterations * self.inner_steps


class AdaptConfig(Config):
    """How a start learns a new task from few samples."""

    adapt_steps: int = Field(50, ge=0, description="gradient steps on the few samples; the authors' default")
    adapt_lr: float = Field(1e-2, gt=0, description="of these steps")


class ApproachConfig(MetaConfig, AdaptConfig):
    """Settings of one approach of the benchmarks: ``--set APPROACH.NAME=VALUE``."""

    rows: Literal["zeros", "random", "tasks"] = Field(
        "zeros",
        description="the classifier that align-classify gives to new classes: zeros; random: as PyTorch starts a "
        "layer; tasks: one of as many ways, trained plainly on one source task after another",
    )


class TaskConfig(Config):
    """How the benchmarks draw tasks: ``--set task.NAME=VALUE``."""

    pairs: int = Field(60, ge=1, description="of each class for meta-training")
    pairing: Literal["weak", "strong"] = Field("weak", description="weak: by class, crosswise; strong: one to one")
    wrong: float = Field(0.0, ge=0, le=1, description="share of pairs whose two items are of different classes")
    noise: float = Field(0.0, ge=0, le=1, description="share of the few-shot labels that are wrong")
    dims: int = Field(128, ge=0, description="principal components of the features; 0: all of the features")
    supports: int = Field(5, ge=1, description="draws of few-shot samples for each task, averaged")
